"""GET /ws: calls over a WebSocket, in the dialect of ``messages``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from functools import partial

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, web

from voxrtc.lines import Gone, Leg, Message
from voxrtc.media.streaming import Stream
from voxrtc.server import cors
from voxrtc.server.carry import MAX_FRAME, StreamDialect, carry
from voxrtc.server.keys import CALLS, SETTINGS
from voxrtc.server.messages import Messages
from voxrtc.server.openapi import Operation, Reply

routes = web.RouteTableDef()

HEARTBEAT_S = 15.0
"""Seconds of nothing until the caller is asked whether it is there; it has half of that to answer."""
MAX_BYTES = 4 * MAX_FRAME
"""What a message may have before the connection is closed; one above MAX_FRAME is only refused."""
CLOSE_S = 2.0
MAX_REASON = 120
"""Bytes; a control frame has 125 (RFC 6455, 5.5)."""
GOODBYES = (0, WSCloseCode.OK, WSCloseCode.GOING_AWAY)
"""Codes of a caller who closes as it should; 0 where it gave none."""
OVER = {"shutdown": WSCloseCode.GOING_AWAY, "error": WSCloseCode.INTERNAL_ERROR}


@routes.get("/ws")
async def get_ws(request: web.Request) -> web.StreamResponse:
    """A call, or a session brought back with ?resume= (and ?silent_ms=, as in POST /offer)."""
    if request.headers.get("Origin") is not None and not cors.allowed(request):
        raise web.HTTPForbidden(text="pages of other origins may not call this server")
    socket = upgradable(request)
    silent_ms = _silent_ms(request.query.get("silent_ms"))
    line, dialect = Stream(request.app[SETTINGS].media), Messages(has_binary=True)
    dialect.joined = request.app[CALLS].join(Leg(line, dialect), request.query.get("resume"), silent_ms=silent_ms)
    await converse(request, socket, line, dialect)
    return socket


OPENAPI = {
    ("GET", "/ws"): Operation(
        "A call over a WebSocket (docs/clients.md), or a session brought back",
        replies={101: Reply("The call begins")},
        errors=(400, 403, 422, 426, 503),
        parameters={"query:resume": {"type": "string"}, "query:silent_ms": {"type": "number", "minimum": 0}},
    ),
}


def upgradable(request: web.Request, protocols: tuple[str, ...] = ()) -> web.WebSocketResponse:
    """A socket for ``request``, not prepared yet; 426 where it is no handshake. No compression: sound does not get
    smaller, and a small bomb does not get big."""
    socket = web.WebSocketResponse(
        timeout=CLOSE_S, heartbeat=HEARTBEAT_S, max_msg_size=MAX_BYTES, compress=False, protocols=protocols
    )
    if not socket.can_prepare(request):
        raise web.HTTPUpgradeRequired(text="this is a WebSocket; ask for an upgrade to it")
    return socket


async def converse(request: web.Request, socket: web.WebSocketResponse, line: Stream, dialect: StreamDialect) -> None:
    """Carry the call that ``line`` has joined over ``socket``, and close that with the reason."""
    try:
        await socket.prepare(request)
        gone = await carry(line, dialect, _incoming(socket), partial(_send, socket))
    finally:
        line.end("lost")
    code, reason = closing(dialect.over, gone, line.detail)
    try:
        async with asyncio.timeout(CLOSE_S):
            await socket.close(code=code, message=reason.encode()[:MAX_REASON])
    except TimeoutError:  # it takes nothing any more, not even this
        if request.transport is not None:
            request.transport.abort()


def closing(over: str | None, gone: Gone, detail: str) -> tuple[int, str]:
    """The code (RFC 6455, 7.4.1) and the reason that a socket is closed with. ``over``: what the call said of it."""
    if over is not None:
        return OVER.get(over, WSCloseCode.OK), over
    if gone == "closed":  # the line was given up before it had carried anything
        return WSCloseCode.TRY_AGAIN_LATER, "closed"
    return (WSCloseCode.OK if gone == "hangup" else WSCloseCode.POLICY_VIOLATION), detail


async def _incoming(socket: web.WebSocketResponse) -> AsyncIterator[Message]:
    while True:
        message = await socket.receive()
        match message.type:
            case WSMsgType.TEXT:
                yield str(message.data)
            case WSMsgType.BINARY:
                yield bytes(message.data)
            case WSMsgType.CLOSE if message.data in GOODBYES:
                return
            case WSMsgType.ERROR:
                raise ConnectionError(_sentence(message.data))
            case _:
                raise ConnectionError("The connection broke.")


def _sentence(error: object) -> str:
    if isinstance(error, WebSocketError):
        too_big = error.code == WSCloseCode.MESSAGE_TOO_BIG
        return f"A message had more than {MAX_BYTES} bytes." if too_big else "What came was no WebSocket message."
    return "The caller does not answer." if isinstance(error, TimeoutError) else "The connection broke."


async def _send(socket: web.WebSocketResponse, message: Message) -> None:
    if isinstance(message, str):
        await socket.send_str(message)
    else:
        await socket.send_bytes(message)


def _silent_ms(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        silent_ms = float(text)
    except ValueError:
        silent_ms = -1.0
    if not 0 <= silent_ms < math.inf:
        raise web.HTTPUnprocessableEntity(text="silent_ms must be a number of milliseconds")
    return silent_ms
