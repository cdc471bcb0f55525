"""Who goes first in a host: what a caller waits for, then guesses that nobody waits for yet, then looks ahead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

FIRST = 0
"""What a caller waits for."""
SPECULATIVE = 1
"""A guess: waits for a moment in which no caller waits, and is told to give way as soon as one does. Released, it is
FIRST."""
LAST = 2
"""What may also not happen (partial transcripts, prepare): given way by as guesses are, and by those as well."""
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
        """Return when ``ask`` may begin: at once if a caller waits for it, else when none waits for anything."""
        while ask.level != FIRST and self.urgent:
            await self._changed.wait()

    def _released(self) -> None:
        self._hurry(FIRST)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
