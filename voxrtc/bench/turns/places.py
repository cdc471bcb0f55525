"""Where a caller can pause, and where one is done: the places in recordings that endpointing rules are judged at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.turns.recordings import Recording
from voxrtc.endpointing.vad import WINDOW, Silero, SileroModel
from voxrtc.models.asr.whisper import LONGEST_S, Whisper

UNFINISHED = frozenset({"austen-0880", "austen-0930"})
"""Clips that end within a sentence: "He was not an ill-disposed young man, unless to be ..." and "he might even have
been made amiable himself; for he was very young ..." (Sense and Sensibility, ch. 1). Of other recordings, those whose
words end in a comma or a dash."""
DIP_DB = -25.0
"""A pause is put in only where the voice itself falls this far below its peak for a moment: anywhere else a sound would
be cut in two, which no caller does."""
VOICE_DB = -28.0
"""What is softer than this below the loudest 10 ms of a recording is no voice any more."""
STEP = HEARD_RATE // 100
LAST_WORD = HEARD_RATE // 5
AROUND = HEARD_RATE * 120 // 1000
"""Samples around the beginning of a word in which that moment is looked for."""
LEAST_BEFORE = HEARD_RATE * 8 // 10
LEAST_APART = HEARD_RATE * 15 // 100
SILENCE = HEARD_RATE * 2 // 10
"""Samples of silence inside a recording that are a caller's own pause. Whisper puts a word that follows one up to a
second early, so these are looked for besides."""
BREAK = HEARD_RATE // 10
"""Samples without voice after which a turn may begin inside a recording: nobody begins in mid-phrase."""
DECAY = HEARD_RATE // 10
"""Samples of a voice's own decay that are kept after its end."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A caller says ``speech`` (n,), whose voice lasts ``voice`` samples, and falls silent: ``done``, or pausing."""

    recording: str
    speech: Samples
    voice: int
    tail: Samples
    """What the recording holds after the last word of a turn that is done: a room, applause."""
    done: bool


def places(recording: Recording, whisper: Whisper, silero: SileroModel) -> Iterator[Place]:
    """All places of one recording, each with several beginnings of the turn."""
    samples, name = recording.samples, recording.name
    if samples.size > LONGEST_S * HEARD_RATE:
        return
    words = [int(seconds * HEARD_RATE) for seconds in whisper.word_starts(samples, recording.words)]
    end = _voice_until(samples, _speech_end(samples, words[-1], silero))
    cuts = _cuts(recording, words, end)
    finished = name not in UNFINISHED and not recording.words.rstrip().endswith((",", "-", "–", "—"))
    starts = [recording.onset, *(cut for cut in cuts if cut - _voice_until(samples, cut) >= BREAK)]
    for start in starts:
        for cut in cuts:
            voice = _voice_until(samples, cut)
            if voice - start >= LEAST_BEFORE:
                speech = samples[start : min(cut, voice + DECAY)]
                yield Place(name, speech, voice - start, np.zeros(0, np.float32), done=False)
        last = min(end + DECAY, samples.size)
        tail = samples[last:] if finished else np.zeros(0, np.float32)
        yield Place(name, samples[start:last], end - start, tail, done=finished)


def _cuts(recording: Recording, words: list[int], end: int) -> list[int]:
    """Samples at which a word is over and the voice has dipped."""
    samples = recording.samples
    power = np.convolve(np.square(samples), np.ones(320, np.float32) / 320, "same")
    limit = float(power.max()) * 10 ** (DIP_DB / 10)
    cuts: list[int] = []
    for word in words[1:]:
        low = max(0, word - AROUND)
        around = power[low : word + AROUND]
        if not around.size:
            continue
        cut = low + int(np.argmin(around))
        apart = cut - (cuts[-1] if cuts else recording.onset)
        if power[cut] <= limit and apart >= LEAST_APART and recording.onset + LEAST_BEFORE <= cut <= end - LEAST_APART:
            cuts.append(cut)
    own = [(a, b) for a, b in _silences(power <= limit) if recording.onset + LEAST_BEFORE <= a and b < end]
    return sorted([*cuts, *((a + b) // 2 for a, b in own if not any(a <= cut < b for cut in cuts))])


def _silences(quiet: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where ``quiet`` (n,) is true for at least SILENCE in a row: from, to."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= SILENCE]


def _voice_until(samples: Samples, before: int) -> int:
    """The sample after the last 10 ms before ``before`` that are less than VOICE_DB below the loudest."""
    steps = samples[: before // STEP * STEP].reshape(-1, STEP)
    loudest = np.mean(np.square(samples[: samples.size // STEP * STEP].reshape(-1, STEP)), axis=1).max()
    over = np.flatnonzero(np.mean(np.square(steps), axis=1) > loudest * 10 ** (VOICE_DB / 10))
    return int(over[-1] + 1) * STEP if over.size else before


def _speech_end(samples: Samples, last_word: int, model: SileroModel) -> int:
    """The sample at which silero first no longer hears speech after the last word began: it knows applause from a
    voice, and is up to 0.3 s late to say so."""
    silero = Silero(model)
    for at in range(0, samples.size - WINDOW + 1, WINDOW):
        if silero.feed(samples[at : at + WINDOW]) < 0.5 and at > last_word + LAST_WORD:
            return at
    return samples.size
