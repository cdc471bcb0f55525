"""Models that do what a script says, on a clock of their own: what the loop is tested with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.models.chatterbox.parts import STOP, TOKEN_SAMPLES, Chunk, Manner, Utterance
from voxrtc.models.chatterbox.request import Request
from voxrtc.models.urgency import Urgency


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Tokens:
    """Says the tokens ``seed * 100``, ``seed * 100 + 1`` ..., one for each id of an utterance's text, then STOP."""

    def __init__(self, clock: Clock, rows: int = 4, step_s: float = 0.005, begin_s: float = 0.0) -> None:
        self.clock, self.rows, self.step_s, self.begin_s = clock, rows, step_s, begin_s
        self.under_way: dict[int, list[int]] = {}
        self.fails = False

    def begin(self, row: int, utterance: Utterance) -> None:
        assert 0 <= row < self.rows
        self.clock.now += self.begin_s
        seed = utterance.manner.seed
        self.under_way[row] = [*(seed * 100 + n for n in range(len(utterance.text))), STOP]

    def step(self, rows: Sequence[int]) -> list[int]:
        self.clock.now += self.step_s
        if self.fails:
            raise RuntimeError("CUDA error")
        assert len(set(rows)) == len(rows)
        return [self.under_way[row].pop(0) for row in rows]


class Stream:
    def __init__(self, seed: int) -> None:
        self.seed, self.tokens, self.last = seed, [], False
        self.given = 0


class Sound:
    """Each token is 960 samples of its own number, in millionths; of the last 3 once there are more, or no more."""

    def __init__(self, clock: Clock, batch: int = 4, call_s: float = 0.05, chunk_s: float = 0.0) -> None:
        self.clock, self.batch, self.call_s, self.chunk_s = clock, batch, call_s, chunk_s
        self.calls: list[list[tuple[int, int]]] = []
        """Of each call: seed and tokens of its chunks."""

    def open(self, voice: Any, seed: int) -> Stream:
        return Stream(seed)

    def sound(self, chunks: Sequence[Chunk]) -> list[Samples]:
        assert 0 < len(chunks) <= self.batch
        self.clock.now += self.call_s + self.chunk_s * len(chunks)
        self.calls.append([(chunk.stream.seed, len(chunk.tokens)) for chunk in chunks])
        return [self._of(chunk.stream, chunk) for chunk in chunks]

    def _of(self, stream: Any, chunk: Chunk) -> Samples:
        assert not stream.last, "nothing comes after the last chunk"
        assert all(token // 100 == stream.seed for token in chunk.tokens), "somebody else's tokens"
        stream.tokens += chunk.tokens
        stream.last = chunk.last
        ready = len(stream.tokens) - (0 if chunk.last else 3)
        new = stream.tokens[stream.given : max(ready, stream.given)]
        stream.given += len(new)
        return np.repeat(np.asarray(new, np.float32) / 1e6, TOKEN_SAMPLES)


def request(seed: int, tokens: int, level: int = 0, most: int = 90, expected: int | None = None) -> Request:
    """An utterance of so many tokens, and a character for each."""
    utterance = Utterance([7] * tokens, None, Manner(seed=seed), most)  # type: ignore[arg-type]
    return Request(utterance, tokens, tokens if expected is None else expected, Urgency(level))


class Listener:
    """What one caller was told."""

    def __init__(self) -> None:
        self.sounds: list[Any] = []
        self.at: list[float] = []
        self.ends: list[Any] = []

    def samples(self) -> Samples:
        return np.concatenate([one.samples for one in self.sounds]) if self.sounds else np.zeros(0, np.float32)
