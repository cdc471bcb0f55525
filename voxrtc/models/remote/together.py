"""Two streams as one: what comes from either, as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")
AHEAD = 16
"""Items that may wait to be read."""


async def together(*streams: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Ends when all have ended, or with the first error of one. All are closed by then."""
    items: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue(AHEAD)
    tasks = [asyncio.create_task(_pump(stream, items)) for stream in streams]
    try:
        left = len(tasks)
        while left:
            match await items.get():
                case None:
                    left -= 1
                case BaseException() as error:
                    raise error
                case (item,):
                    yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(stream: AsyncGenerator[T, None], items: asyncio.Queue[tuple[T] | BaseException | None]) -> None:
    """Its end comes as None, its error as it is; its being cancelled is our own doing, and does not come."""
    try:
        async with contextlib.aclosing(stream):
            async for item in stream:
                await items.put((item,))
    except Exception as error:  # noqa: BLE001 - carried to the reader, who raises it
        await items.put(error)
    else:
        await items.put(None)
