"""One connection to a host, seen from the dialogue's side: what was asked over it, and what has come back."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable

from voxrtc.errors import BadClip, GaveWay, HostLost, ModelsError
from voxrtc.models.stream import frame
from voxrtc.models.wire import Ask, Cancel, Done, Failed, Forget, Item, ItemOf, Release, Speech, Verb

MAX_ITEMS = 8_192
MAX_BYTES = 32 * 1024 * 1024
"""What one stream may hold unread: more than the longest answer (4,096 pieces) or clause (2,000 characters, 14 MB)."""


class Stream:
    """What comes back for one ask, in order, as far as nobody has read it.

    It never makes the connection wait: that would hold up every other call for one slow reader, and a caller who is
    spoken to is such a reader (a clause takes longer to hear than to make). It holds whatever a well-behaved host may
    send for one ask; beyond that the ask is cancelled and fails.
    """

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._items: deque[ItemOf] = deque()
        self._bytes = 0
        self._ended = False
        self._error: ModelsError | None = None
        self._news = asyncio.Event()

    def put(self, item: ItemOf) -> None:
        self._items.append(item)
        self._bytes += _weight(item)
        if len(self._items) > MAX_ITEMS or self._bytes > MAX_BYTES:
            self._cancel()
            self.end(ModelsError("an answer was longer than anybody may ask for, and was not read as it came"))
        self._news.set()

    def end(self, error: ModelsError | None = None) -> None:
        """Nothing follows what is here. ``error`` is raised where the reader comes to the end."""
        self._ended = True
        self._error = error
        self._news.set()

    async def next(self) -> ItemOf | None:
        """The next item; None at the end. Raises what the stream ended with."""
        while not self._items and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._items:
            item = self._items.popleft()
            self._bytes -= _weight(item)
            return item
        if self._error is not None:
            raise self._error
        return None

    def close(self) -> None:
        """Nobody reads any further: stop the work behind it. Does not wait for the host."""
        if not self._ended:
            self._ended = True
            self._cancel()
        self._items.clear()


class Connection:
    """Asks over one writer, and the streams that wait for their answers."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)
        self._lost: str | None = None

    async def ask(self, verb: Verb) -> Stream:
        """Send ``verb``; waits while the host takes nothing. Raises HostLost, or ModelsError where it is too long."""
        number = next(self._numbers)
        data = frame(Ask(number, verb))
        if self._lost is not None:
            raise HostLost(self._lost)
        stream = self._streams[number] = Stream(lambda: self._cancel(number))
        self._writer.write(data)
        try:
            await self._writer.drain()
        except ConnectionError:
            stream.close()
            raise HostLost(self._lost or "the model process closed its connection") from None
        except BaseException:
            stream.close()
            raise
        return stream

    def receive(self, message: Item | Done | Failed) -> None:
        """Hand a message to the stream it is for. Streams that were closed meanwhile get nothing."""
        stream = self._streams.get(message.id)
        if stream is None:
            return
        if isinstance(message, Item):
            stream.put(message.item)
            return
        del self._streams[message.id]
        stream.end(_error(message) if isinstance(message, Failed) else None)

    def release(self, guess: str) -> None:
        """Somebody waits for what was asked for ``guess``."""
        if not self._writer.is_closing():
            self._writer.write(frame(Release(guess)))  # as few as cancels are

    def forget(self, name: str) -> None:
        """The voice of a clip is not needed any more."""
        if not self._writer.is_closing():
            self._writer.write(frame(Forget(name)))  # as few as voices are made

    def lose(self, reason: str) -> None:
        """The host is gone: every stream ends with HostLost behind what had come for it."""
        self._lost = reason
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.end(HostLost(reason))

    def _cancel(self, number: int) -> None:
        if self._streams.pop(number, None) is not None and not self._writer.is_closing():
            self._writer.write(frame(Cancel(number)))  # few bytes, and one for each ask: need not be waited for


def _error(failed: Failed) -> ModelsError:
    kinds: dict[str, type[ModelsError]] = {"gave_way": GaveWay, "bad_clip": BadClip}
    return kinds.get(failed.code, ModelsError)(failed.message)


def _weight(item: ItemOf) -> int:
    return len(item.samples) if isinstance(item, Speech) else 0
