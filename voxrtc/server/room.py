"""Memory for the bodies of requests, while they come and while they are worked on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from aiohttp import web


class Room:
    """``most`` bytes of all of them together. A body that only trickles takes what has come of it, so that no few slow
    callers are in the way of others."""

    def __init__(self, most: int) -> None:
        self.left = most

    @contextlib.contextmanager
    def hold(self) -> Generator[Callable[[int], None], None, None]:
        """Gives what is to be called with the size of each piece that comes. It raises 503 where there is no room. What
        was taken is given back at the end."""
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            if count > self.left:
                raise web.HTTPServiceUnavailable(
                    text="too much is being sent here at once; try again in a moment", headers={"Retry-After": "5"}
                )
            self.left -= count
            mine += count

        try:
            yield take
        finally:
            self.left += mine


def unbounded(count: int) -> None:
    """For bodies whose size alone is bound enough."""
