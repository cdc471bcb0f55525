"""What a release takes: the end of a turn lets a guess go, which was made in the pause before it.

Two things are told apart. A guess that is being said already (its prompt was read in the pause, its first token is
there): from the release to its next token, which is to be no more than one step, whatever priority the guess had. A
guess whose prompt is still being read: from the release to its first token, which is what is left of reading it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.bench.voxtral.sound import Words
from voxrtc.bench.voxtral.timing import spread
from voxrtc.errors import ModelsError, VoxrtcError
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Request
from voxrtc.models.voxtral.sequence import Clip, Pick, Runner

ANSWER = 64
"""Tokens of one answer."""
STEPS = 20
"""Within so many steps after its first token a guess that is being said is released."""
PATIENCE_S = 120.0


def waited(times: Sequence[float], released: float) -> tuple[bool, float] | None:
    """Of a stream whose tokens came at ``times``: whether it was being said when it was ``released``, and the seconds
    from there to its next token. None where none came any more."""
    later = next((time for time in times if time > released), None)
    return None if later is None else (times[0] <= released, later - released)


def figures(found: Iterable[tuple[bool, float] | None]) -> dict[str, Any]:
    """Spreads in ms of what waited() gave: ``saying`` and ``reading``, None where there was none of that kind."""
    kinds: dict[bool, list[float]] = {True: [], False: []}
    for one in found:
        if one is not None:
            kinds[one[0]].append(1e3 * one[1])
    named = {"saying": kinds[True], "reading": kinds[False]}
    return {name: spread(times) | {"count": len(times)} if times else None for name, times in named.items()}


def measure(runner: Runner, sound: Samples, vocabulary: int, turns: int, seed: int) -> dict[str, Any]:
    """Turns of a caller who is alone: a guess and a transcript each, released at drawn times, in every second turn
    before the first token is to be expected. Raises VoxrtcError."""
    loop = Loop(runner)
    loop.start()
    draws = np.random.default_rng(seed)
    words = Words(vocabulary, seed)
    try:
        first = _Turn(loop, words, sound)
        first.ends()
        first.release()
        reading_s, step_s = first.times[0] - first.submitted, float(np.median(np.diff(first.times)))
        found = []
        for number in range(turns):
            turn = _Turn(loop, words, sound)
            if number % 2:
                turn.has_begun()
                turn.ends(float(draws.uniform(0.0, STEPS * step_s)))
            else:
                turn.ends(float(draws.uniform(0.0, reading_s)))
            found.append(turn.release())
    finally:
        loop.close()
    return figures(found)


@dataclass(eq=False)
class _Turn:
    """One guess, submitted. Times are of ``perf_counter``, written by the loop's thread."""

    loop: Loop
    words: Words
    sound: Samples
    times: list[float] = field(default_factory=list)
    urgency: Urgency = field(default_factory=lambda: Urgency(SPECULATIVE))

    def __post_init__(self) -> None:
        clip = Clip(self.sound)
        self._begun, self._over = threading.Event(), threading.Semaphore(0)
        self._error: ModelsError | None = None
        self.submitted = perf_counter()
        prompts = ((self.words.prompt(clip), ANSWER, self._on_pick), (self.words.transcription(clip), ANSWER, _none))
        self.loop.submit_together(
            [
                (Request(ids, most, clips={clip.key: clip}, urgency=self.urgency), on_pick, self._on_end)
                for ids, most, on_pick in prompts
            ]
        )

    def has_begun(self) -> None:
        """Return when its first token is there."""
        if not self._begun.wait(PATIENCE_S):
            raise VoxrtcError(f"no answer came within {PATIENCE_S:g} s")

    def ends(self, seconds: float = 0.0) -> None:
        """The caller's pause goes on for ``seconds``; then his turn is over."""
        threading.Event().wait(seconds)

    def release(self) -> tuple[bool, float] | None:
        """Let it go, and wait for its end. Raises VoxrtcError."""
        released = perf_counter()
        self.urgency.release()
        for _ in range(2):
            if not self._over.acquire(timeout=PATIENCE_S):
                raise VoxrtcError(f"an answer did not end within {PATIENCE_S:g} s")
        if self._error is not None:
            raise self._error
        return waited(self.times, released)

    def _on_pick(self, pick: Pick) -> None:
        self.times.append(perf_counter())
        self._begun.set()

    def _on_end(self, end: End | ModelsError) -> None:
        self._error = end if isinstance(end, ModelsError) else self._error
        self._begun.set()
        self._over.release()


def _none(pick: Pick) -> None:
    """The transcript's tokens are not looked at."""
