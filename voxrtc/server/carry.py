"""Owns a connection that is a stream of messages (WebSocket, TCP) for as long as it carries a call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from voxrtc.audio import Samples
from voxrtc.events import CallEnded, CallMoved, Event
from voxrtc.lines import Dialect, Gone, Message
from voxrtc.media.streaming import Order, Stream

logger = logging.getLogger(__name__)

MAX_FRAME = 1 << 20
"""Bytes of one message that is taken: 32 s of sound at 16 kHz."""
SEND_S = 10.0
"""Seconds in which a caller must take what it is sent."""
BURST = 2 * MAX_FRAME
"""Bytes that may come at once; then PER_SECOND: who sends faster is read more slowly, and nothing is lost."""
PER_SECOND = 256 * 1024
"""Bytes a second, twice what sound at 48 kHz is in base64: a whole file may be sent at once, a flood may not."""
EACH = 512
"""Bytes that a message counts for beside its own: small ones are work, too."""
COMPLAINTS = 50
"""Messages at once that cannot be understood, and one more a second; then the caller is cut off."""


class StreamDialect(Dialect, Protocol):
    """A dialect in which sound comes and goes in messages, too."""

    @property
    def complaints(self) -> int:
        """How many messages the caller was told not to be understood."""

    @property
    def over(self) -> str | None:
        """What ``why_over`` said of the last event that had a word on it."""

    def take(self, message: Message, line: Stream) -> None:
        """A message that came: sound is heard, all else received; what is neither is refused."""

    def put(self, item: Samples | Order) -> Iterable[Message]:
        """Sound (n,) at 24 kHz, or an order about it, as messages to the caller."""

    def complaint(self, code: str, message: str) -> str:
        """A message that tells the caller of something wrong outside of any call."""


class Allowance:
    """A token bucket: ``burst`` at once, and ``per_second`` more in every second."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst, self._per_second, self._left = burst, per_second, burst
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time()

    def spend(self, cost: float) -> float:
        """Take ``cost``; returns the seconds until that will have been allowed, 0 where it is already."""
        now = self._loop.time()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_second) - cost
        self._at = now
        return max(0.0, -self._left / self._per_second)


Incoming = AsyncIterator[Message | int]
"""What a caller sends; a number is the bytes of a message that was too long and is not there. It ends where the caller
says goodbye, and raises ConnectionError where the connection breaks."""


async def carry(
    line: Stream, dialect: StreamDialect, incoming: Incoming, send: Callable[[Message], Awaitable[None]]
) -> Gone:
    """Move what comes to ``line`` and what goes from it, until either is over; all that was to be sent is, where that
    is still possible. Returns why it is over (``line.detail`` may say more)."""
    reading = asyncio.create_task(_read(line, dialect, incoming), name="reading a stream")
    try:
        await _write(line, dialect, send)
    finally:
        line.end("lost")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return await line.closed()


def why_over(event: Event) -> str | None:
    """For dialects: what ``event`` says of the connection's end: shutdown, hangup ..., moved; None where nothing."""
    if isinstance(event, CallEnded):
        return event.reason
    return "moved" if isinstance(event, CallMoved) else None


async def _read(line: Stream, dialect: StreamDialect, incoming: Incoming) -> None:
    pace, patience, told = Allowance(BURST, PER_SECOND), Allowance(COMPLAINTS, 1.0), 0
    try:
        async for message in incoming:
            size = message if isinstance(message, int) else len(message)
            if size > MAX_FRAME or isinstance(message, int):
                line.refuse(f"it has {size} bytes; {MAX_FRAME} at the most are taken")
            else:
                dialect.take(message, line)
            if patience.spend(dialect.complaints - told):
                _cut_off(line, dialect)
                return
            told = dialect.complaints
            await asyncio.sleep(pace.spend(size + EACH))
        line.end("hangup")
    except (ConnectionError, TimeoutError) as error:
        line.end("lost", str(error))
    except Exception as error:
        logger.error("reading a stream failed with %s", type(error).__name__)  # noqa: TRY400 - it may hold words
        line.end("error", f"A message could not be handled ({type(error).__name__}).")
        raise


def _cut_off(line: Stream, dialect: StreamDialect) -> None:
    why = "Too many messages were not understood."
    line.send(dialect.complaint("bad_messages", why))
    line.end("error", why)


async def _write(line: Stream, dialect: StreamDialect, send: Callable[[Message], Awaitable[None]]) -> None:
    try:
        async for item in line.outgoing():
            for message in (item,) if isinstance(item, str) else dialect.put(item):
                async with asyncio.timeout(SEND_S):
                    await send(message)
    except TimeoutError:
        line.end("lost", "The caller does not take what it is sent.")
    except ConnectionError as error:
        line.end("lost", str(error))
