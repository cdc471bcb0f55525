"""Who goes first in a host: what a caller waits for, then guesses that nobody waits for yet, then looks ahead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import TypeVar

from voxrtc.errors import GaveWay

T = TypeVar("T")

FIRST = 0
"""What a caller waits for."""
SPECULATIVE = 1
"""A guess: waits for a moment in which no caller waits, and is told to give way as soon as one does. Released, it is
FIRST."""
LAST = 2
"""What may also not happen (partial transcripts, prepare): given way by as guesses are, and by those as well."""
PATIENT = 3
"""What has time, and has to be done in the end (the words of a file): gives way as well, and is then begun anew."""
AGAIN_S = 0.2
"""After how long it is; what it gave way to takes longer as a rule."""
WAITED_S = 15.0
"""The longest that it waits for others, for each piece (30 s of sound at most)."""
GAVE_WAY = "a guess gave way to what another caller waits for"


class Urgency:
    """How urgent one ask is. Changed in the host's loop only; any thread may read ``level``."""

    def __init__(self, level: int = FIRST) -> None:
        self.level = level
        self.on_release: Callable[[], None] = lambda: None

    def release(self) -> None:
        """What was a guess is waited for from now on."""
        if self.level == SPECULATIVE:
            self.level = FIRST
            self.on_release()


class Traffic:
    """The asks under way in one profile. ``hurry``: tell what is less urgent than a level to give way."""

    def __init__(self, hurry: Callable[[int], None]) -> None:
        self._hurry = hurry
        self._asks: set[Urgency] = set()
        self._changed = asyncio.Event()

    @property
    def any(self) -> bool:
        return bool(self._asks)

    @property
    def urgent(self) -> bool:
        """Whether a caller waits for something."""
        return any(ask.level == FIRST for ask in self._asks)

    @contextlib.contextmanager
    def joined(self, ask: Urgency) -> Iterator[None]:
        """``ask`` is under way within."""
        self._asks.add(ask)
        ask.on_release = self._released
        self._hurry(ask.level)
        try:
            yield
        finally:
            self._asks.discard(ask)
            self._tell()

    async def clear(self, ask: Urgency) -> None:
        """Return when ``ask`` may begin: at once if a caller waits for it, else when none waits for anything. What has
        time waits for guesses, too."""
        while ask.level != FIRST and (self.urgent or (ask.level == PATIENT and self.any)):
            await self._changed.wait()

    def _released(self) -> None:
        self._hurry(FIRST)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def until_done(work: Callable[[int], AsyncGenerator[T, None]], traffic: Traffic | None = None) -> T:
    """The one thing that ``work(level)`` gives, begun again as often as it gives way; where ``traffic`` is told, only
    while nothing else is under way there. After WAITED_S it is as urgent as what a caller waits for: on a server that
    is never idle it would else never be done."""
    loop = asyncio.get_running_loop()
    until = loop.time() + WAITED_S
    while True:
        ask = Urgency(PATIENT if loop.time() < until else FIRST)
        if traffic is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until if ask.level == PATIENT else None):
                    await traffic.clear(ask)
        try:
            async with contextlib.aclosing(work(PATIENT if loop.time() < until else FIRST)) as items:
                return await anext(items)
        except GaveWay:
            await asyncio.sleep(AGAIN_S)
