"""The end of a process that the bench has started."""

from __future__ import annotations

import asyncio


async def ended(process: asyncio.subprocess.Process, timeout_s: float) -> None:
    """Return once ``process``, which was told to, has ended; it is killed if it needs longer than ``timeout_s``."""
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
