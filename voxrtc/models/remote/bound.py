"""How many requests may be under way at the server at once, and who does not get a place when they become few."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import GAVE_WAY, SPECULATIVE, Urgency


class Bound:
    """``places`` requests: all of them for what callers wait for, half for guesses, a quarter for looks ahead."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._free = asyncio.Semaphore(places)

    @contextlib.asynccontextmanager
    async def place(self, urgency: Urgency) -> AsyncGenerator[None, None]:
        """Hold a place. What a caller waits for waits for one, in order; a guess raises GaveWay, a look ModelsError."""
        if urgency.level == SPECULATIVE and self._taken >= self._places // 2:
            raise GaveWay(GAVE_WAY)
        if urgency.level > SPECULATIVE and self._taken >= self._places // 4:
            raise ModelsError("the server of models is busy with what callers wait for")
        async with self._free:
            self._taken += 1
            try:
                yield
            finally:
                self._taken -= 1
