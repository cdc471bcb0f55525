"""pipecat's SmallWebRTC transport over HTTP: start, offer, candidates. What is said on the channel is ``rtvi``.

A ``pc_id`` is the name of the call and its resume token: so nothing has to be kept here, and whoever offers with it
gets the session back. A session id is only a name: nothing hangs on it, and it does not expire.
"""

from __future__ import annotations

import uuid
from typing import Any, Literal

import msgspec
from aiohttp import web

from voxrtc.errors import UnknownCall
from voxrtc.media.ice import Trickled
from voxrtc.server.keys import CALLS
from voxrtc.server.offer import MAX_CANDIDATES, TrickledCandidate, ice_servers, read_json
from voxrtc.server.openapi import Operation, Reply, struct
from voxrtc.server.rtvi import Rtvi

routes = web.RouteTableDef()

SESSION = "/sessions/{session}"
"""As /start names them, and pipecat's clients put into the URL of its answer."""


class Start(msgspec.Struct, frozen=True):
    """The body of POST /start. What the client wants to tell a bot of its own (``body``) has no meaning here."""

    transport: str | None = None
    createDailyRoom: bool | None = None
    body: Any = None


class Offer(msgspec.Struct, frozen=True):
    """The body of POST /api/offer. ``pc_id``: of an earlier answer, to get that session back, on a new connection
    whatever ``restart_pc`` says: an offer for the connection that there is cannot be told from it."""

    sdp: str
    type: Literal["offer"]
    pc_id: str | None = None
    restart_pc: bool | None = None
    requestData: Any = None


class Trickle(msgspec.Struct, frozen=True):
    """The body of PATCH /api/offer."""

    pc_id: str
    candidates: list[TrickledCandidate]


@routes.post("/start")
async def post_start(request: web.Request) -> web.Response:
    """Name a session, and the servers that its client should know before its offer. Nothing begins yet."""
    start = await read_json(request, Start) if request.body_exists else Start()
    if start.transport not in (None, "webrtc") or start.createDailyRoom:
        raise web.HTTPUnprocessableEntity(text="the only transport here is webrtc")
    body = {"sessionId": str(uuid.uuid4()), "iceConfig": {"iceServers": ice_servers(request)}}
    return web.json_response(body, headers={"Cache-Control": "no-store"})


@routes.post("/api/offer")
@routes.post(SESSION + "/api/offer")
async def post_offer(request: web.Request) -> web.Response:
    """Begin a call, or bring a session back; where it lives no more a new one begins, with another pc_id."""
    _check_session(request)
    offer = await read_json(request, Offer)
    resume = (offer.pc_id or "").partition(".")[2]
    answered = await request.app[CALLS].offer(offer.sdp, resume or None, dialect=Rtvi())
    pc_id = f"{answered.session}.{answered.resume}"
    return web.json_response({"sdp": answered.sdp, "type": "answer", "pc_id": pc_id})


@routes.patch("/api/offer")
@routes.patch(SESSION + "/api/offer")
async def patch_offer(request: web.Request) -> web.Response:
    """Candidates that came after the offer. None go back: these clients take ours from the answer alone."""
    _check_session(request)
    trickle = await read_json(request, Trickle)
    if len(trickle.candidates) > MAX_CANDIDATES:
        raise web.HTTPUnprocessableEntity(text=f"at most {MAX_CANDIDATES} candidates at once")
    call, dot, _ = trickle.pc_id.partition(".")
    if not dot:
        raise UnknownCall(f"there is no connection {trickle.pc_id!r} here")
    candidates = [Trickled(c.candidate, c.sdp_mid, c.sdp_mline_index) for c in trickle.candidates]
    await request.app[CALLS].add_candidates(call, candidates)
    return web.json_response({"status": "success"})


def _check_session(request: web.Request) -> None:
    """404 where the URL names a session that /start cannot have named."""
    named = request.match_info.get("session")
    try:
        if named is not None:
            uuid.UUID(named)
    except ValueError:
        raise web.HTTPNotFound(text="there is no such session; POST /start names one") from None


_TEXT = {"type": "string"}
_STARTED = struct({"sessionId": _TEXT, "iceConfig": struct({"iceServers": {"type": "array"}})})
_ANSWER = struct({"sdp": _TEXT, "type": {"const": "answer"}, "pc_id": _TEXT})
_OFFER = Operation(
    "Begin a call in pipecat's dialect (SmallWebRTC), or bring a session back",
    replies={200: Reply("Our answer", {"application/json": _ANSWER})},
    errors=(400, 404, 408, 413, 415, 422, 503),
    body=Offer,
)
_TRICKLE = Operation(
    "Candidates that came after the offer",
    replies={200: Reply("They are taken", {"application/json": struct({"status": {"const": "success"}})})},
    errors=(400, 404, 408, 413, 415, 422),
    body=Trickle,
)
OPENAPI = {
    ("POST", "/start"): Operation(
        "Name a session of pipecat's dialect",
        replies={200: Reply("Its name, and the servers to know", {"application/json": _STARTED})},
        errors=(400, 408, 413, 415, 422),
        body=Start,
        optional=True,
    ),
    ("POST", "/api/offer"): _OFFER,
    ("POST", SESSION + "/api/offer"): _OFFER,
    ("PATCH", "/api/offer"): _TRICKLE,
    ("PATCH", SESSION + "/api/offer"): _TRICKLE,
}
