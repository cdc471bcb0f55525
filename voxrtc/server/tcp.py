"""Calls over TCP, on a port of their own: each message is its length (4 bytes, big-endian) and that many bytes of JSON,
in the dialect of ``messages``."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec

from voxrtc.calls import Calls
from voxrtc.commands import decode
from voxrtc.errors import BadMemory, CallsFull, frames
from voxrtc.lines import Leg, Message
from voxrtc.media.streaming import Stream
from voxrtc.metrics import Metrics
from voxrtc.server.carry import MAX_FRAME, carry
from voxrtc.server.messages import Messages, text_of
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

PREFIX = 4
MAX_BYTES = 4 * MAX_FRAME
"""What a message may have before the connection is closed; one above MAX_FRAME is passed over and refused."""
FIRST_S = 10.0
"""Seconds in which the first message must have come."""
FRAME_S = 30.0
"""Seconds in which a message that has begun must be there."""
BUFFER = 65_536
"""Bytes that wait in this process for a caller to take them, and for us to read them."""
CLOSE_S = 2.0
PROBE_S = 10
"""Seconds of silence, or of nothing being acknowledged, after which TCP doubts that the caller is there ..."""
PROBES = 3
"""... and how many more such times (a third each) it asks."""


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="hello"):
    """The first message of a caller who comes back, or brings a memory along; the fields are those of POST /offer."""

    resume: str | None = None
    memory: str | None = None
    silent_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None


class TcpPort:
    """Listens for callers; each has one task, which ends with its connection."""

    def __init__(self, settings: Settings, calls: Calls, metrics: Metrics) -> None:
        self._settings = settings
        self._calls = calls
        self._metrics = metrics
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[Any]] = set()

    async def open(self) -> int:
        """Listen at tcp.host and tcp.port; returns the port. Raises OSError."""
        where = self._settings.tcp
        self._server = await asyncio.start_server(self._serve, where.host, where.port, limit=BUFFER)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Listen no more, and end what is no call yet; those that are are their switchboard's to end, before this."""
        if self._server is not None:
            self._server.close()
        for task in self._callers:
            task.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        connection = _Connection(reader, writer)
        try:
            # Each call has one connection, and so many more may just be beginning or ending.
            if len(self._callers) > 2 * self._settings.server.max_calls:
                raise CallsFull("too many connections; try again in a moment")
            await self._call(connection)
        except CallsFull as error:
            self._metrics.refused.labels(error.code).inc()
            await connection.complain(error.code, str(error))
        except BadMemory as error:
            self._metrics.refused.labels("bad_memory").inc()
            await connection.complain("bad_memory", str(error))
        except ValueError as error:
            await connection.complain("bad_message", str(error))
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a connection ended before it was a call (%s)", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - other callers must not end of it
            logger.error("a connection failed with %s", frames(error))  # noqa: TRY400 - it may hold words
        finally:
            self._callers.discard(task)
            await connection.close()

    async def _call(self, connection: _Connection) -> None:
        """One caller, from the first message on. Raises CallsFull, BadMemory, ValueError and ConnectionError, all
        before there is a call."""
        async with asyncio.timeout(FIRST_S):
            first = await connection.receive()
        if first is None:
            return
        if isinstance(first, int):
            raise ValueError(f"the first message has {first} bytes; {MAX_FRAME} at the most are taken")
        hello = _hello(first)
        line, dialect = Stream(self._settings.media), Messages(has_binary=False)
        dialect.joined = self._calls.join(
            Leg(line, dialect),
            hello.resume if hello else None,
            hello.memory if hello else None,
            hello.silent_ms if hello else None,
        )
        if hello is None:
            dialect.take(first, line)
        await carry(line, dialect, connection.incoming(), connection.send)


def _hello(first: bytes) -> Hello | None:
    """The first message as a Hello, None where it is any other. Raises ValueError."""
    found = decode(text_of(first))
    if found.get("type") != "hello":
        return None
    try:
        return msgspec.convert(found, Hello)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


class _Connection:
    """The framing, and the socket below."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=BUFFER)
        _watch(writer.get_extra_info("socket"))

    async def receive(self) -> bytes | int | None:
        """The next message, or only its length where it was too long to be taken; None where the caller said goodbye.
        Raises ConnectionError where the connection breaks, TimeoutError where the rest of a message does not come."""
        try:
            prefix = await self._reader.readexactly(PREFIX)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise ConnectionError("The connection broke in the middle of a message.") from None
            return None
        size = int.from_bytes(prefix, "big")
        if size > MAX_BYTES:
            raise ConnectionError(f"A message was announced with {size} bytes, more than {MAX_BYTES}.")
        try:
            async with asyncio.timeout(FRAME_S):
                return await (self._pass_over(size) if size > MAX_FRAME else self._reader.readexactly(size))
        except asyncio.IncompleteReadError:
            raise ConnectionError("The connection broke in the middle of a message.") from None
        except TimeoutError:
            raise TimeoutError(f"The rest of a message did not come within {FRAME_S:g} s.") from None

    async def incoming(self) -> AsyncIterator[Message | int]:
        """As carry.Incoming."""
        while (message := await self.receive()) is not None:
            yield message

    async def send(self, message: Message) -> None:
        """Raises ConnectionError."""
        data = message.encode() if isinstance(message, str) else message
        self._writer.write(len(data).to_bytes(PREFIX, "big") + data)
        await self._writer.drain()

    async def complain(self, code: str, message: str) -> None:
        """Tell the caller why there is no call, if it still listens."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.send(Messages(has_binary=False).complaint(code, message))
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a caller was gone before it was told %s (%s)", code, type(error).__name__)

    async def close(self) -> None:
        """End it: what is written is sent first, where the caller takes it within CLOSE_S."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()

    async def _pass_over(self, size: int) -> int:
        left = size
        while left:
            if not (piece := await self._reader.read(min(left, BUFFER))):
                raise ConnectionError("The connection broke in the middle of a message.")
            left -= len(piece)
        return size


def _watch(connection: socket.socket) -> None:
    """Let TCP find out by itself where nobody is there any more (tcp(7)); what a system does not have stays out."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {"TCP_KEEPIDLE": PROBE_S, "TCP_KEEPINTVL": PROBE_S // PROBES, "TCP_KEEPCNT": PROBES}
    for name, value in (options | {"TCP_USER_TIMEOUT": 2 * PROBE_S * 1_000, "TCP_NODELAY": 1}).items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
