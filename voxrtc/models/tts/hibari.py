"""hibari: an English voice distilled from Kokoro (Apache-2.0), whole sentences at a time, about 100x real time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from hibari import Hibari as Engine

from voxrtc.audio import Samples
from voxrtc.errors import ModelsError
from voxrtc.models.tts.trim import pause, trim
from voxrtc.models.tts.voice import Spoken

_LONG_NUMBER = re.compile(r"\d{16,}")
"""Numbers that its normaliser has no name for; they are read digit by digit."""


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
            samples = self._say(sentence, speed)
            if samples.size:
                yield np.concatenate([samples, pause(sentence)]), start, end

    def _say(self, sentence: str, speed: float) -> Samples:
        """Samples (n,) of one sentence, trimmed; (0,) where it has no words, or only of a script unknown to it."""
        if not any(sign.isalnum() for sign in sentence):
            return np.zeros(0, np.float32)  # it would breathe
        try:
            sounds = self._engine.phonemize(_LONG_NUMBER.sub(lambda digits: " ".join(digits[0]), sentence))
            # One seed for all: the noise in the voice is the same whenever the same words are said.
            parts = [self._engine.from_phonemes(part, speed, seed=0) for part in sounds]
        except Exception as error:
            raise ModelsError("the voice hibari cannot say this clause") from error
        return trim(np.concatenate(parts)) if parts else np.zeros(0, np.float32)
