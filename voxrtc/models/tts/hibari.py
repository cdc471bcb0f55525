"""hibari: an English voice distilled from Kokoro (Apache-2.0), whole sentences at a time, about 100x real time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hibari import Hibari as Engine

from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken


class Hibari:
    """The voice "heart", which comes with the package: nothing is fetched."""

    languages: Sequence[str] = ("en",)

    def __init__(self, threads: int = 1) -> None:
        self._engine = Engine(threads=threads)
        assert self._engine.sample_rate == 24_000

    def speak(self, text: str, language: str = "en", speed: float = 1.0) -> Iterator[Spoken]:
        """A stretch for each sentence of ``text``."""
        end = 0
        for sentence in self._engine.split_sentences(text):
            start = text.index(sentence, end)
            end = start + len(sentence)
            # One seed for all: the noise in the voice is the same whenever the same words are said.
            parts = [self._engine.from_phonemes(sounds, speed, seed=0) for sounds in self._engine.phonemize(sentence)]
            samples = trim(np.concatenate(parts)) if parts else np.zeros(0, np.float32)
            if samples.size:
                yield np.concatenate([samples, pause(sentence)]), start, end
