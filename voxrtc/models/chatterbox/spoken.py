"""What the loop's thread gives, carried to coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox.loop import Loop
from voxrtc.models.chatterbox.request import Request, Sounded

_Item = Sounded | ModelsError | None


async def say(loop: Loop, request: Request) -> AsyncGenerator[Sounded, None]:
    """The sound of ``request`` as it is made; cancelled when this is closed. Raises GaveWay or another ModelsError."""
    events = asyncio.get_running_loop()
    items: asyncio.Queue[_Item] = asyncio.Queue(request.utterance.most + 2)
    """Never full: a chunk has a token at least, but for the last one, and there is one end."""

    def carry(item: _Item) -> None:
        """In the loop's thread."""
        if not events.is_closed():  # closed: nobody is there to read
            events.call_soon_threadsafe(items.put_nowait, item)

    loop.submit(request, carry, carry)
    try:
        while True:
            item = await items.get()
            if isinstance(item, ModelsError):
                raise item
            if item is None:
                return
            yield item
    finally:
        loop.cancel(request)
