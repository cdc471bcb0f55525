"""What the runner is given to hear and to read: speech of a file, or noise as loud as speech, and prompts around it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.voxtral.shape import AUDIO
from voxrtc.errors import VoxrtcError
from voxrtc.models.voxtral.sequence import WINDOW_TOKENS, Clip

UTTERANCE_S = 6.0
"""What a caller says, in the mean; the time of a step does not depend on it, since sound is padded to 30 s."""
BOS, EOS, BEGIN_INST, END_INST, BEGIN_AUDIO, TRANSCRIBE = 1, 2, 3, 4, 25, 34
FIRST_WORD = 1_000
"""Ids below are special tokens."""
PROMPT_TOKENS = 405
"""Of a first turn: a window of sound, four special tokens, and an instruction of 26."""


def speech(file: Path | None, seed: int) -> tuple[Samples, str]:
    """6 s of 16 kHz, and what they are. ``file``: a WAV of 16 kHz, mono, 16 bit; else noise. Raises VoxrtcError."""
    count = int(UTTERANCE_S * HEARD_RATE)
    if file is None:
        noise = np.random.default_rng(seed).standard_normal(count)
        return (0.1 * noise).astype(np.float32), "noise as loud as speech"
    try:
        with wave.open(str(file)) as reader:
            form = (reader.getframerate(), reader.getnchannels(), reader.getsampwidth())
            data = reader.readframes(count)
    except (OSError, EOFError, wave.Error) as error:
        raise VoxrtcError(f"{file}: cannot be read as a WAV file: {error}") from None
    if form != (HEARD_RATE, 1, 2):
        raise VoxrtcError(f"{file}: the bench takes a WAV of 16 kHz, mono, 16 bit")
    samples = np.frombuffer(data, dtype="<i2").astype(np.float32) / 32_768.0
    if not samples.size:
        raise VoxrtcError(f"{file}: holds no sound")
    return np.resize(samples, count).astype(np.float32), file.name


def window(samples: Samples) -> Samples:
    """The same sound again and again, for 30 s."""
    return np.resize(samples, 30 * HEARD_RATE).astype(np.float32)


class Words:
    """Ids that stand for text: which ones makes no difference to a random model."""

    def __init__(self, vocabulary: int, seed: int) -> None:
        self._vocabulary = vocabulary
        self._draws = np.random.default_rng(seed)

    def take(self, count: int) -> list[int]:
        """So many ids of words."""
        return [int(number) for number in self._draws.integers(FIRST_WORD, self._vocabulary, max(0, count))]

    def prompt(self, clip: Clip, tokens: int = PROMPT_TOKENS) -> list[int]:
        """A first turn that hears ``clip``, ``tokens`` long: `1 3 25 <sound> <instruction> 4`."""
        return [BOS, BEGIN_INST, BEGIN_AUDIO, *clip.ids(), *self.take(tokens - 4 - clip.tokens), END_INST]

    def turn(self, clip: Clip) -> list[int]:
        """A later turn, after an answer and its end: `3 25 <sound> 4`."""
        return [BEGIN_INST, BEGIN_AUDIO, *clip.ids(), END_INST]

    def transcription(self, clip: Clip) -> list[int]:
        """`1 3 25 <sound> 4 lang:en 34`, of which the language is plain text."""
        return [BOS, BEGIN_INST, BEGIN_AUDIO, *clip.ids(), END_INST, *self.take(3), TRANSCRIBE]


def plain(ids: list[int]) -> list[int]:
    """``ids`` as transformers has them: the sound's all are the token [AUDIO]."""
    return [number if number >= 0 else AUDIO for number in ids]


assert PROMPT_TOKENS > WINDOW_TOKENS + 4
