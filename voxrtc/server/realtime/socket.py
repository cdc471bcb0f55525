"""OpenAI's Realtime API over a WebSocket: GET /v1/realtime. Sound comes and goes in messages, and the client plays."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from voxrtc.audio import Samples
from voxrtc.commands import AnyCommand
from voxrtc.errors import UnknownCall
from voxrtc.events import Event
from voxrtc.lines import Leg, Message
from voxrtc.media.streaming import Order, Stream
from voxrtc.server import cors
from voxrtc.server.carry import MAX_FRAME, why_over
from voxrtc.server.keys import CALLS, SETTINGS
from voxrtc.server.openapi import Operation, Reply
from voxrtc.server.realtime import access
from voxrtc.server.realtime.dialect import Realtime
from voxrtc.server.realtime.errors import INVALID, SHAPE, Refused, body
from voxrtc.server.realtime.routes import house, openai_errors
from voxrtc.server.realtime.shapes import event
from voxrtc.server.websocket import converse, upgradable

routes = web.RouteTableDef()


class RealtimeMessages:
    """voxrtc.server.carry.StreamDialect: the translator, and how sound is put into messages."""

    label = Realtime.label
    max_message = MAX_FRAME

    def __init__(self, translator: Realtime) -> None:
        self.over: str | None = None
        self._translator = translator

    @property
    def complaints(self) -> int:
        return self._translator.complaints

    def tell(self, event: Event) -> Iterable[str]:
        self.over = why_over(event) or self.over
        return self._translator.tell(event)

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        return self._translator.read(message)

    def take(self, message: Message, line: Stream) -> None:
        line.receive(message)

    def put(self, item: Samples | Order) -> Iterable[Message]:
        """Nothing for Order.CLEAR: clients stop at input_audio_buffer.speech_started, or by themselves, and say how far
        they have played."""
        return () if isinstance(item, Order) else self._translator.sound(item)

    def complaint(self, code: str, message: str) -> str:
        return event("error", error=body(message, INVALID, code) | {"event_id": None})


@routes.get("/v1/realtime")
@openai_errors
async def get_realtime(request: web.Request) -> web.StreamResponse:
    """A call; it is over when the connection is, since clients of this API do not come back."""
    if request.headers.get("Origin") is not None and not cors.allowed(request):
        raise web.HTTPForbidden(text="Pages of this origin may not call this server.")
    secret = access.admitted(request)
    if "call_id" in request.query:
        raise Refused("A second connection to a call is not to be had here.", "unsupported", "call_id")
    socket = upgradable(request, access.PROTOCOLS)
    line = Stream(request.app[SETTINGS].media)
    translator = Realtime(house(request), hear=line.hear)
    named = {"model": model} if (model := request.query.get("model")) else {}
    first = translator.open(secret.session if secret is not None else {}, named)
    dialect, calls = RealtimeMessages(translator), request.app[CALLS]
    joined = calls.join(Leg(line, dialect), first=first)
    try:
        await converse(request, socket, line, dialect)
    finally:
        try:
            await calls.hang_up(joined.session)
        except UnknownCall:
            pass  # it was the call that was over first
    return socket


OPENAPI = {
    ("GET", "/v1/realtime"): Operation(
        "A call over a WebSocket (OpenAI's Realtime API)",
        replies={101: Reply("The call begins")},
        errors=(400, 401, 403, 426, 503),
        error=SHAPE,
        parameters={"query:model": {"type": "string"}},
    ),
}
