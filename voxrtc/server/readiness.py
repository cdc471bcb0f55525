"""What asks of the models need before they begin: models that are ready, a place, and a caller who is still there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from voxrtc.models.wire import Ready
from voxrtc.server.keys import STATUS

T = TypeVar("T")

LOOK_S = 0.25
"""How often it is looked whether the caller is still there. aiohttp tells nobody who does not read or write."""


class Left(web.HTTPBadRequest):
    """The caller went away, so there is nobody to read this."""


def running(request: web.Request) -> Ready:
    """What runs. Raises 503 while a call could not be answered."""
    ready = request.app[STATUS].ready
    if ready is None:
        raise try_again("the models are not ready yet; try again in a moment")
    return ready


def try_again(why: str, seconds: int = 2) -> web.HTTPServiceUnavailable:
    """503 with ``why`` and when it is worth another try."""
    return web.HTTPServiceUnavailable(text=why, headers={"Retry-After": str(seconds)})


@contextlib.asynccontextmanager
async def place(places: asyncio.Semaphore, why: str) -> AsyncGenerator[None, None]:
    """Hold one of ``places``. Raises 503 with ``why`` where all are taken: nobody waits in a queue of open requests."""
    if places.locked():
        raise try_again(why, 5)
    async with places:
        yield


async def while_there(request: web.Request, work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` gives; it is cancelled when the caller goes away, which raises Left, and with this."""
    task = asyncio.create_task(work, name="for a request")
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_S))[0]:
            if request.transport is None or request.transport.is_closing():
                raise Left(text="the caller went away")
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
