"""Our runner's steps one by one: hear a window, read a prompt, give a first token, go on for 1, 8, 32 callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.bench.voxtral.sound import PROMPT_TOKENS, Words, window
from voxrtc.bench.voxtral.timing import Wait, median, spread, timed
from voxrtc.errors import VoxrtcError
from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row, Runner

RAGGED = 0.25
"""Contexts of several callers lie within so much of their mean."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``callers``: numbers of rows that are measured. ``context``: tokens of each, in the mean."""

    callers: Sequence[int] = (1, 8, 32)
    context: int = 1_000
    repeat: int = 30
    seed: int = 0


class Memory:
    """Hands out a runner's pages in no order, as they are after many callers."""

    def __init__(self, runner: Runner, seed: int) -> None:
        self._size = runner.page_size
        self._free = [int(page) for page in np.random.default_rng(seed).permutation(runner.pages) + 1]

    def take(self, tokens: int) -> list[int]:
        """Pages with room for so many tokens. Raises VoxrtcError where there are too few."""
        count = -(-tokens // self._size)
        if count > len(self._free):
            raise VoxrtcError("the runner's memory holds too few tokens for this many callers; lower --callers")
        taken, self._free = self._free[:count], self._free[count:]
        return taken

    def give(self, pages: Sequence[int]) -> None:
        self._free.extend(pages)


def encode(runner: Runner, samples: Samples) -> Clip:
    """A clip that is encoded."""
    clip = Clip(samples)
    for _ in runner.encode(clip):
        pass
    return clip


def read(runner: Runner, ids: Sequence[int], pages: Sequence[int], clips: Sequence[Clip] = ()) -> Pick:
    """Read a whole prompt at once; its first token."""
    pick = runner.prefill(Chunk(ids, 0, pages, {clip.key: clip for clip in clips}, last=True))
    assert pick is not None  # the last chunk picks
    return pick


def measure(runner: Runner, sound: Samples, vocabulary: int, wait: Wait, plan: Plan) -> dict[str, Any]:
    """Every step's median in ms, and in ``spread`` how far it varies."""
    memory, words = Memory(runner, plan.seed), Words(vocabulary, plan.seed)
    spreads: dict[str, dict[str, float]] = {}
    whole = window(sound)
    encoding = timed(lambda: encode(runner, whole), wait, plan.repeat)
    clip, pages = encode(runner, sound), memory.take(PROMPT_TOKENS)
    prompt = words.prompt(clip)
    reading = timed(lambda: read(runner, prompt, pages, [clip]), wait, plan.repeat)

    def answer() -> None:
        heard = encode(runner, sound)
        read(runner, words.prompt(heard), pages, [heard])

    answering = timed(answer, wait, plan.repeat)
    memory.give(pages)
    spreads |= {"encode_ms": spread(encoding), "prefill_ms": spread(reading), "first_token_ms": spread(answering)}
    decoding = {}
    for count in plan.callers:
        times = decode(runner, memory, words, count, wait, plan)
        decoding[str(count)] = median(times)
        spreads[f"decode_ms_{count}"] = spread(times)
    return {
        "encode_ms": median(encoding),
        "prefill_ms": median(reading),
        "first_token_ms": median(answering),
        "decode_ms": decoding,
        "tokens_per_s": {count: round(1_000.0 * int(count) / ms, 1) for count, ms in decoding.items()},
        "spread": spreads,
    }


def decode(runner: Runner, memory: Memory, words: Words, callers: int, wait: Wait, plan: Plan) -> list[float]:
    """The ms of each of ``plan.repeat`` steps of ``callers`` rows, whose contexts really have been read."""
    warm = 5
    steps = warm + plan.repeat
    rows = []
    for length in contexts(callers, plan.context - steps // 2):
        pages = memory.take(length + steps)
        rows.append(Row(read(runner, words.take(length), pages).token, length, pages))

    def step() -> None:
        picks = runner.decode(rows)
        rows[:] = [Row(pick.token, row.position + 1, row.pages) for row, pick in zip(rows, picks, strict=True)]

    times = timed(step, wait, plan.repeat, warm)
    for row in rows:
        memory.give(row.pages)
    return times


def contexts(callers: int, mean: int) -> list[int]:
    """Ragged lengths with this mean: evenly between 3/4 and 5/4 of it, in no order, always the same."""
    spaced = np.linspace(-RAGGED, RAGGED, callers) if callers > 1 else np.zeros(1)
    lengths = np.round(mean * (1 + np.random.default_rng(callers).permutation(spaced))).astype(int)
    return [max(1, int(length)) for length in lengths]
