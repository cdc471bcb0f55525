"""When the caller speaks, pauses, goes on, is done. Blocks in, decisions out; no clock but the samples.

Three states. *Quiet*: ``min_speech_ms`` of voice, with no hole longer than CANDIDATE_GAP, start a turn. *Speaking*:
``pause_ms`` without voice are a pause. *Paused*: RESUME of voice take the turn up again; a silence as long as the
strategy's wait ends it. Edges are reported where they were, not when they were noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from voxrtc.audio import HEARD_RATE, Block, Samples
from voxrtc.endpointing.vad import FRAME, Frame, SileroModel, Vad
from voxrtc.endpointing.waits import Pause, Wait, make
from voxrtc.settings import Endpointing

MS = HEARD_RATE // 1000
BRIDGE = 50 * MS
"""Loud frames this close belong to one stretch, whose beginning is where a turn starts ..."""
LOOK_BACK = 300 * MS
"""... but never further before the first frame that is surely voice."""
CANDIDATE_GAP = 200 * MS
"""Voice that falls silent for longer than this before it made a turn was none."""
RESUME = 60 * MS
"""Voice that ends a pause."""
HINT = 60 * MS
"""A stretch this long, with something in it that is surely voice, may become a turn ..."""
HINT_GAP = 100 * MS
"""... until it has been silent for so long."""
FADED_DB = 16.0
"""A sound that has faded by so much since it began is no voice that begins: doors, which silero may take for one."""
CERTAIN = 0.9
"""Silero at least this sure needs no pitch to be believed, where a mistake would be heard. Doors get up to 0.85."""
SURE_OF_START = 60 * MS
"""Of the ``min_speech_ms`` since a turn began, so much has to be surely voice: silero is 50 to 110 ms late to say so,
and an interruption should not have to wait for that twice."""
TRAIL = 300 * MS
"""Silero may call this much speech after the last loud frame without being believed. Its own tail is up to 290 ms on
the clips of tests/data; longer than that, the caller speaks more softly than the gate expects."""
SURE = 0.8
"""Silero at least this sure: a dip inside a word rather than a pause ..."""
SURE_EXTRA = 80 * MS
"""... and the pause is believed only so much later."""


@dataclass(frozen=True, slots=True)
class Started:
    """The caller began to speak at sample ``start``."""

    start: int


@dataclass(frozen=True, slots=True)
class Paused:
    """The voice stopped at sample ``end``; the turn may go on."""

    end: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The voice went on at sample ``start``."""

    start: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn is over; the voice in it lasted from sample ``start`` to ``end``."""

    start: int
    end: int


Decision = Started | Paused | Resumed | Ended


class TurnDetector(Protocol):
    """What a session needs of a detector."""

    def feed(self, block: Block) -> list[Decision]: ...

    @property
    def speaking(self) -> bool: ...

    eager: bool

    @property
    def voicing(self) -> bool: ...

    @property
    def voice_end(self) -> int: ...

    @property
    def pause(self) -> Pause | None: ...

    def finish(self) -> list[Decision]: ...

    def tune(self, settings: Endpointing) -> None: ...


class Detector:
    """Finds the turns of one call. Positions must not run backwards; a hole in them counts as silence."""

    def __init__(self, settings: Endpointing, silero: SileroModel, wait: Wait | None = None) -> None:
        self._vad = Vad(silero, settings.aggressiveness, settings.speech_threshold)
        self._wait = wait or make(settings)
        self.eager = False
        """Soonness is worth a mistake now: take a pitch for a voice, where silero hears none yet; and want one where
        silero is in doubt."""
        self._threshold = settings.speech_threshold
        self._pause = settings.pause_ms * MS
        self._min_speech = settings.min_speech_ms * MS
        self._max_turn = int(settings.max_turn_s * HEARD_RATE)
        self._state: Literal["quiet", "speaking", "paused"] = "quiet"
        self._pause_now: Pause | None = None
        self._now = 0
        self._rest: Samples = np.zeros(0, np.float32)
        self._start = 0
        self._end = 0
        self._stretch = -BRIDGE  # where the current stretch of loud frames began ...
        self._loud_until = -BRIDGE  # ... and its last loud frame
        self._peak = 0.0  # dBFS of the loudest frame of the stretch
        self._doubt = 0  # samples that silero has called speech since the last loud frame
        self._voice = 0  # samples of voice in the candidate for a start or a resumption
        self._candidate = 0
        self._certain = False  # whether something in it can be nothing but a voice
        self._voice_until = 0

    @property
    def speaking(self) -> bool:
        """True from Started until Ended, pauses included."""
        return self._state != "quiet"

    @property
    def voicing(self) -> bool:
        """The first sign of a voice, sooner than Started and less sure; also while a turn is on and does not pause."""
        if self._state != "quiet":
            return self._state == "speaking"
        lately = self._now - self._voice_until < HINT_GAP
        return lately and self._voice > 0 and self._now - self._candidate >= HINT

    @property
    def voice_end(self) -> int:
        """The sample after the last voice of the turn, as far as is known."""
        return self._end

    @property
    def pause(self) -> Pause | None:
        """The pause that is going on: what is learned of it may be written into it."""
        return self._pause_now if self._state == "paused" else None

    def feed(self, block: Block) -> list[Decision]:
        """The decisions that ``block`` brings, in order. Raises ValueError where it lies before the block fed last."""
        expected = self._now + self._rest.size
        if block.position < expected:
            raise ValueError(f"a block at sample {block.position} after the call had reached {expected}")
        if block.position > expected:
            self._now = block.position
            self._rest = self._rest[:0]
        samples = np.concatenate([self._rest, block.samples]) if self._rest.size else block.samples
        decisions: list[Decision] = []
        whole = samples.size - samples.size % FRAME
        for at in range(0, whole, FRAME):
            decisions += self._frame(samples[at : at + FRAME], block.echo)
        self._rest = samples[whole:]
        return decisions

    def tune(self, settings: Endpointing) -> None:
        """From now on by the strategy, the waits and the threshold of ``settings``. Raises ConfigError."""
        self._wait = make(settings)
        self._threshold = settings.speech_threshold

    def finish(self) -> list[Decision]:
        """End the turn now (push-to-talk released, the caller left): its Ended, or nothing where no turn is on."""
        if not self.speaking:
            return []
        self._quiet()
        return [Ended(self._start, self._end)]

    def _frame(self, samples: Samples, echo: bool) -> list[Decision]:
        before = self._now
        self._now += FRAME
        seen = self._vad.judge(samples, echo, self.eager)
        if echo:  # what was taken for a voice before it was probably echo as well
            self._voice = 0
            self._loud_until = -BRIDGE
        speech = seen.speech >= self._threshold
        if seen.loud:
            if before - self._loud_until > BRIDGE:
                self._stretch = before
                self._peak = seen.level
            self._loud_until = self._now
            self._peak = max(self._peak, seen.level)
        self._doubt = self._doubt + FRAME if speech and not seen.loud else 0
        voice = (speech and (seen.loud or self._doubt > TRAIL)) or seen.pitched
        if self._state == "quiet" and seen.loud and seen.level < self._peak - FADED_DB:
            voice = False
        if voice:
            self._heard_voice(before, seen)
        if self._state == "quiet":
            return self._while_quiet(voice)
        if self._now - self._start >= self._max_turn:
            return self._cut()
        if self._state == "speaking":
            return self._while_speaking(voice, seen.speech)
        return self._while_paused(voice, speech)

    def _heard_voice(self, before: int, seen: Frame) -> None:
        if before - self._voice_until > CANDIDATE_GAP or not self._voice:
            self._voice = 0
            self._certain = False
            since = self._stretch if self._loud_until == self._now else before - TRAIL
            self._candidate = max(since, before - LOOK_BACK, self._end)
        self._voice = max(self._voice + FRAME, SURE_OF_START if seen.pitched else 0)
        self._certain = self._certain or seen.pitched or seen.speech >= CERTAIN
        self._voice_until = self._now

    def _while_quiet(self, voice: bool) -> list[Decision]:
        long_enough = self._now - self._candidate >= self._min_speech
        if not voice or not long_enough or self._voice < min(self._min_speech, SURE_OF_START):
            return []
        if self.eager and not self._certain:
            return []
        self._state = "speaking"
        self._start = self._candidate
        self._end = self._now
        return [Started(self._start)]

    def _while_speaking(self, voice: bool, probability: float) -> list[Decision]:
        if voice:
            self._end = self._now
            return []
        silence = self._now - self._end
        if silence < self._pause + (SURE_EXTRA if probability >= SURE else 0):
            return []
        self._state = "paused"
        self._pause_now = Pause(self._start, self._end, self._now)
        self._voice = 0
        return [Paused(self._end)]

    def _while_paused(self, voice: bool, speech: bool) -> list[Decision]:
        if voice:
            if self._voice < RESUME:
                return []
            self._state = "speaking"
            self._end = self._now
            return [Resumed(self._candidate)]
        pause = self._pause_now
        assert pause is not None
        pause.now = self._now
        if speech or pause.lasted_ms < self._wait.wait_ms(pause):
            return []  # while silero hears speech it may be going on
        self._quiet()
        return [Ended(self._start, self._end)]

    def _cut(self) -> list[Decision]:
        """The turn is too long: end it here; whoever goes on speaking starts the next."""
        if self._state == "speaking":
            self._end = self._now
        self._quiet()
        return [Ended(self._start, self._end)]

    def _quiet(self) -> None:
        self._state = "quiet"
        self._voice = 0
        self._doubt = 0
