"""How many requests may be under way at the server at once, and who does not get a place when they become few."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.urgency import GAVE_WAY, PATIENT, SPECULATIVE, Urgency


class Bound:
    """``places`` requests: all of them for what callers wait for, half for guesses, a quarter for looks ahead, and
    an eighth for files, which wait for theirs."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._free = asyncio.Semaphore(places)
        self._for_files = asyncio.Semaphore(max(1, places // 8))

    @contextlib.asynccontextmanager
    async def place(self, urgency: Urgency) -> AsyncGenerator[None, None]:
        """Hold a place. What a caller waits for waits for one, in order; a guess raises GaveWay, a look ModelsError."""
        if urgency.level == PATIENT:  # not counted: looks are not to find their share taken by files
            async with self._for_files, self._free:
                yield
            return
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
