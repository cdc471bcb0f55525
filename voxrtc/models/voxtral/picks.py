"""What the loop's thread picks, carried to coroutines."""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import AsyncGenerator

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.request import End, Request
from voxrtc.models.voxtral.sequence import Pick

_Item = Pick | End | ModelsError


class Asked:
    """The picks of one request, as they come. close() it: that cancels what is under way still."""

    def __init__(self, loop: Loop, request: Request) -> None:
        self.request = request
        self._loop = loop
        self._items: asyncio.Queue[_Item] = asyncio.Queue(request.max_tokens + 1)

    def __aiter__(self) -> Asked:
        return self

    async def __anext__(self) -> Pick:
        """Raises GaveWay or another ModelsError where the request fails. ``request.end`` is why it ended. Once."""
        item = await self._items.get()
        if isinstance(item, Pick):
            return item
        if isinstance(item, ModelsError):
            raise item
        raise StopAsyncIteration

    def put(self, item: _Item) -> None:
        """In the event loop. Never full: there are max_tokens picks and one end."""
        self._items.put_nowait(item)

    def close(self) -> None:
        self._loop.cancel(self.request)


class Picks:
    """Asks a Loop from the running event loop. All picks of one step wake it once, not each by itself."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._events = asyncio.get_running_loop()
        self._arrived: collections.deque[tuple[Asked, _Item]] = collections.deque()
        """Bounded by what was asked."""
        self._woken = False

    def ask(self, request: Request) -> Asked:
        """Begin ``request`` at once. Raises ModelsError where the loop does not take it."""
        (asked,) = self.ask_together(request)
        return asked

    def ask_together(self, *requests: Request) -> list[Asked]:
        """As ask(), all or none: a clip that more than one of them hears is surely encoded once."""
        all_asked = [Asked(self._loop, request) for request in requests]
        carry = self._carry
        self._loop.submit_together(
            [(asked.request, functools.partial(carry, asked), functools.partial(carry, asked)) for asked in all_asked]
        )
        return all_asked

    async def stream(self, request: Request) -> AsyncGenerator[Pick, None]:
        """ask(), begun with the first step of the iteration and cancelled when it is closed."""
        asked = self.ask(request)
        try:
            async for pick in asked:
                yield pick
        finally:
            asked.close()

    def _carry(self, asked: Asked, item: _Item) -> None:
        """In the loop's thread."""
        self._arrived.append((asked, item))
        # Set here, cleared in _deliver before it empties the queue: what is added in between is taken along.
        if not self._woken and not self._events.is_closed():  # closed: nobody is there to read
            self._woken = True
            self._events.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        while self._arrived:
            asked, item = self._arrived.popleft()
            asked.put(item)
