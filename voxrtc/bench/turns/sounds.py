"""The sounds that scenes name: recorded utterances, their phrases, backchannels, noises; and the words in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, resample
from voxrtc.bench.turns import noises
from voxrtc.bench.turns.recordings import Recording, onset_of
from voxrtc.bench.turns.scene import Part
from voxrtc.bench.turns.voice import Voice

RUN_UP = HEARD_RATE * 60 // 1000
"""Samples kept before a phrase that is cut out of a recording; they are faded in."""
GAP = HEARD_RATE * 180 // 1000
LEAST = HEARD_RATE * 900 // 1000
"""Samples: silence inside a recording that parts two phrases, and the shortest phrase."""
FADE = HEARD_RATE * 15 // 1000


@dataclass(frozen=True, slots=True)
class Sound:
    """``samples`` (n,) at 16 kHz. ``onset``: the first sample of speech, 0 for what is none. ``words``: those said."""

    samples: Samples
    onset: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """Words that are in a microphone's sound, from sample ``start`` to ``end``."""

    start: int
    end: int
    words: str

    def between(self, start: int, end: int) -> str:
        """Those of the words whose middle lies between the samples ``start`` and ``end``, were they evenly spread."""
        words = self.words.split()
        length = sum(map(len, words)) or 1
        heard, passed = [], 0
        for word in words:
            middle = self.start + (self.end - self.start) * (passed + len(word) / 2) / length
            passed += len(word)
            if start <= middle < end:
                heard.append(word)
        return " ".join(heard)


class Sounds:
    """Finds the sound of a Part. Names: ``utterance:N`` and ``phrase:N`` (by number, from 0), ``word:TEXT`` (spoken by
    the voice), ``white``, ``babble``, and those of noises.BURSTS."""

    def __init__(self, recordings: Sequence[Recording], voice: Voice | None = None) -> None:
        self._recordings = recordings
        self.utterances = [Sound(r.samples, r.onset, r.words) for r in recordings]
        self.phrases = [phrase for r in recordings for phrase in phrases(r)]
        self.voice = voice or Voice()
        """What speaks: the words of a Part, and the replies."""

    def of(self, part: Part) -> Sound:
        """The sound of ``part``, at its level and cut to its length. Raises KeyError for a name there is none of."""
        kind, _, which = part.sound.partition(":")
        if kind == "utterance":
            sound = self.utterances[int(which)]
        elif kind == "phrase":
            sound = self.phrases[int(which)]
        elif kind == "word":
            sound = self._word(which)
        else:
            return Sound(noises.at_level(self._noise(kind, part), part.dbfs))
        samples, words = sound.samples, sound.words
        if part.seconds is not None and samples.size > (end := sound.onset + round(part.seconds * HEARD_RATE)):
            words = Said(sound.onset, samples.size, words).between(0, end)
            samples = _faded(samples[:end])
        return Sound(noises.at_level(samples, part.dbfs), sound.onset, words)

    def seconds(self, reply: str) -> float:
        """About how long it takes to say ``reply``."""
        return sum(samples.size for samples, _, _ in self.voice.speak(reply)) / SPOKEN_RATE

    def _noise(self, kind: str, part: Part) -> Samples:
        random = np.random.default_rng(part.seed)
        if kind in noises.BURSTS:
            return noises.BURSTS[kind](random)
        size = round((part.seconds or 1.0) * HEARD_RATE)
        if kind == "white":
            return noises.white(random, size)
        if kind == "babble":
            return noises.babble(random, size, self._recordings)
        raise KeyError(part.sound)

    def _word(self, text: str) -> Sound:
        spoken = np.concatenate([samples for samples, _, _ in self.voice.speak(text)])
        samples = resample(spoken, SPOKEN_RATE, HEARD_RATE)
        return Sound(samples, onset_of(samples), text)


def phrases(recording: Recording) -> list[Sound]:
    """The stretches of a recording between its longer pauses, each of at least 0.9 s, with some silence before it."""
    frame = HEARD_RATE // 100
    speech = recording.samples[: recording.end]
    power = np.square(speech[: speech.size // frame * frame], dtype=np.float64).reshape(-1, frame).mean(axis=1)
    loud = np.flatnonzero(power > power.max() / 10**2.5) * frame
    starts = [recording.onset, *(int(b) for a, b in pairwise(loud) if b - a >= GAP)]
    ends = [*(int(a) + frame for a, b in pairwise(loud) if b - a >= GAP), recording.end]
    said = Said(recording.onset, recording.end, recording.words)
    found = []
    for start, end in zip(starts, ends, strict=True):
        if end - start >= LEAST:
            first = max(0, start - RUN_UP)
            samples = _faded(recording.samples[first:end])
            found.append(Sound(samples, onset_of(samples), said.between(start, end)))
    return found


def _faded(samples: Samples) -> Samples:
    """``samples`` without a click at either end."""
    faded = samples.copy()
    ramp = np.linspace(0, 1, min(FADE, samples.size), dtype=np.float32)
    faded[: ramp.size] *= ramp
    faded[faded.size - ramp.size :] *= ramp[::-1]
    return faded
