"""What the detector sees of a pause, moment by moment: recorded once, so that any rule can be asked afterwards.

The sound goes through the real Detector, Smart Turn, whisper and the model that reads for the end. Time is the sound's
own; how long the models take is set to what was measured on two cores, so that a run comes out the same anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples
from voxrtc.bench.turns.places import Place
from voxrtc.endpointing.detector import Detector, Paused
from voxrtc.endpointing.prosody import Prosody
from voxrtc.endpointing.vad import SileroModel
from voxrtc.endpointing.waits import Pause, Wait
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.llm.gguf import Gguf
from voxrtc.settings import Endpointing

PROSODY_MS = 35.0
WHISPER_MS, WHISPER_MS_PER_S = 60.0, 30.0
READING_MS = 20.0
"""How long the models take: measured on two cores (docs/benchmarks.md)."""


LISTENED_S = 2.6
"""Seconds of silence after the voice that are recorded: more than any rule waits."""
LONGEST_PAUSE_MS = 1_200
"""A rule that waits longer than this has not cut anybody off."""
LEAD = HEARD_RATE * 6 // 10
"""Samples of quiet before the voice, for the detector to know the room."""
MS = HEARD_RATE // 1000


@dataclass(frozen=True, slots=True)
class Models:
    """What evidence comes from."""

    silero: SileroModel
    prosody: Prosody
    whisper: Whisper
    reader: Gguf


@dataclass(frozen=True, slots=True)
class Trace:
    """One pause. ``moments``: at each of them (ms of silence as the detector counts them, ms since the voice really
    ended) a rule is asked. ``*_at``: ms of silence, as counted, from which on the evidence is known."""

    recording: str
    done: bool
    moments: tuple[tuple[float, float], ...]
    prosody: float
    prosody_at: float
    words: str
    ends: float
    words_at: float

    def ended_after(self, rule: Wait) -> float | None:
        """Milliseconds after the voice really ended at which ``rule`` ends the turn; None where it never does."""
        pause = Pause(0, 0, 0)
        for lasted, since in self.moments:
            if not self.done and since > LONGEST_PAUSE_MS:
                return None
            pause.now = round(lasted * MS)
            if lasted >= self.prosody_at:
                pause.prosody = self.prosody
            if lasted >= self.words_at:
                pause.words, pause.ends = self.words, self.ends
            if lasted >= rule.wait_ms(pause):
                return since
        return None


class _Endless:
    """A Wait that ends no turn, and notes when it is asked."""

    uses: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def wait_ms(self, pause: Pause) -> float:
        self.asked.append((pause.end, pause.now))
        return float("inf")


def trace(place: Place, models: Models, settings: Endpointing, noise_dbfs: float, seed: int) -> Trace | None:
    """Listen to ``place`` in a room with white noise of that level. None where the detector hears no pause there."""
    sound = _sound(place, noise_dbfs, seed)
    ended = LEAD + place.voice
    endless = _Endless()
    detector = Detector(settings, models.silero, endless)
    paused_at = 0
    for at in range(0, sound.size - BLOCK + 1, BLOCK):
        for decision in detector.feed(Block(at, sound[at : at + BLOCK])):
            if isinstance(decision, Paused):
                paused_at, end = at + BLOCK, decision.end
                endless.asked.clear()
    if detector.pause is None or not endless.asked:
        return None
    voice = sound[max(0, LEAD - HEARD_RATE * 3 // 10) : paused_at]
    words = models.whisper.hear(voice, "en").text
    known = (paused_at - end) / MS
    words_at = known + WHISPER_MS + WHISPER_MS_PER_S * voice.size / HEARD_RATE + READING_MS
    return Trace(
        recording=place.recording,
        done=place.done,
        moments=tuple(((now - end) / MS, (now - ended) / MS) for end, now in endless.asked),
        prosody=models.prosody.judge(voice),
        prosody_at=known + PROSODY_MS,
        words=words,
        ends=models.reader.ending(words) if words else 0.0,
        words_at=words_at,
    )


def _sound(place: Place, noise_dbfs: float, seed: int) -> Samples:
    after = np.zeros(int(LISTENED_S * HEARD_RATE), np.float32)
    tail = place.tail[: after.size]
    after[: tail.size] = tail
    sound = np.concatenate([np.zeros(LEAD, np.float32), place.speech, after])
    fade = HEARD_RATE // 200  # 5 ms, so that the cut is no click
    at = LEAD + place.speech.size
    if not tail.size:
        sound[at - fade : at] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    random = np.random.default_rng(seed)
    noise: Samples = np.asarray(random.standard_normal(sound.size) * 10 ** (noise_dbfs / 20), np.float32)
    sound += noise
    return np.asarray(sound, np.float32)
