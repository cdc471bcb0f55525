"""Chatterbox as its callers hear it: made-up clauses of so many speech tokens, through the real loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.models.chatterbox.loop import Loop
from voxrtc.models.chatterbox.parts import CODES, STOP, TOKENS_PER_S, Manner, TokenModel, Utterance, Voice
from voxrtc.models.chatterbox.request import Request
from voxrtc.models.chatterbox.spoken import say

if TYPE_CHECKING:
    import torch

CLAUSES = (50, 100)
"""Speech tokens of the clauses of one reply: 2 s, as first clauses are cut early, and 4 s."""
CHARACTERS_PER_S = 15
"""Of English as it is spoken; a text token is about a character."""
REFERENCE_S = 6
"""Of the clip that the made-up voice is of."""
PROMPT = 150
"""Speech tokens of it that T3 is given (chatterbox 0.1.7, speech_cond_prompt_len)."""
FIRST_TEXT, START_TEXT, STOP_TEXT = 300, 255, 0
"""Text ids: from which on they are words; begin and end."""


def voice(device: torch.device, seed: int = 0) -> Voice:
    """A voice of nobody, of the sizes that a clip of REFERENCE_S gives."""
    import torch

    draws = torch.Generator(device).manual_seed(seed)
    count = REFERENCE_S * TOKENS_PER_S

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=draws, device=device)

    def codes(number: int) -> torch.Tensor:
        return torch.randint(0, CODES, (1, number), generator=draws, device=device)

    speaker = torch.nn.functional.normalize(normal(1, 256).abs(), dim=1)  # as the voice encoder gives it
    return Voice("nobody", speaker, codes(PROMPT), codes(count), normal(1, 2 * count, 80) - 6.0, normal(1, 192))


def utterance(voice: Voice, tokens: int, vocabulary: int, seed: int) -> Utterance:
    """A clause that takes ``tokens`` speech tokens, with text of a length that goes with it."""
    characters = max(6, CHARACTERS_PER_S * tokens // TOKENS_PER_S)
    first = min(FIRST_TEXT, vocabulary // 2)
    words = np.random.default_rng(seed).integers(first, vocabulary, characters)
    return Utterance([START_TEXT, *map(int, words), STOP_TEXT], voice, Manner(seed=seed), tokens)


class Unstopped:
    """``model``, but no clause ends before its ``most`` tokens: random weights say STOP, or what is no sound, where it
    falls to them. A row that has stopped is begun anew. Implements parts.TokenModel."""

    def __init__(self, model: TokenModel) -> None:
        self._model = model
        self._said: dict[int, Utterance] = {}
        self.stops = 0

    @property
    def rows(self) -> int:
        return self._model.rows

    def begin(self, row: int, utterance: Utterance) -> None:
        self._said[row] = utterance
        self._model.begin(row, utterance)

    def step(self, rows: Sequence[int]) -> list[int]:
        tokens = self._model.step(rows)
        for row, token in zip(rows, tokens, strict=True):
            if token == STOP:
                self.stops += 1
                self._model.begin(row, self._said[row])
        return [token % CODES for token in tokens]


class Spoken:
    """callers.Voice by the loop: the next clause of a reply is asked for when the one before has come, which is
    still being heard then."""

    def __init__(self, loop: Loop, voices: Sequence[Voice], vocabulary: int, clauses: Sequence[int] = CLAUSES) -> None:
        self._loop = loop
        self._voices = voices
        self._vocabulary = vocabulary
        self._clauses = clauses

    async def say(self, caller: int, turn: int) -> AsyncGenerator[tuple[int, Samples], None]:
        voice = self._voices[caller % len(self._voices)]
        heard_until = perf_counter()
        for number, tokens in enumerate(self._clauses):
            asked = utterance(voice, tokens, self._vocabulary, seed=(caller * 97 + turn) * 7 + number)
            request = Request(asked, len(asked.text), tokens, ahead=max(0.0, heard_until - perf_counter()))
            async with aclosing(say(self._loop, request)) as sounds:
                async for sounded in sounds:
                    heard_until = max(heard_until, perf_counter()) + sounded.samples.size / SPOKEN_RATE
                    yield number, sounded.samples
