"""The plain dialect: POST an SDP offer, get the answer; candidates by PATCH, hang up by DELETE.

The shape is that of aiortc's own examples; events and commands go over the data channel ``voxrtc``.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from aiohttp import web

from voxrtc.media import turn
from voxrtc.media.ice import Trickled
from voxrtc.server import openapi
from voxrtc.server.keys import CALLS, SETTINGS
from voxrtc.server.openapi import Operation, Reply
from voxrtc.server.room import unbounded

routes = web.RouteTableDef()

MAX_CANDIDATES = 64
BODY_S = 10.0
"""Seconds in which a request's body must have come."""
LARGE = 256 * 1024
"""Bytes of JSON from which on they are decoded in a thread: the event loop has a packet to send every 20 ms."""
T = TypeVar("T")


class Offer(msgspec.Struct, frozen=True):
    """The body of POST /offer. ``resume``: the token of an earlier answer, to get that session back. ``memory``: what
    a new call is to begin with, as MemoryExported told it; of no account where a session comes back. ``silent_ms``:
    of a caller who comes back, for how long nothing had come on its old connection."""

    sdp: str
    type: Literal["offer"]
    resume: str | None = None
    memory: str | None = None
    silent_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None


class TrickledCandidate(msgspec.Struct, frozen=True):
    candidate: str
    sdp_mid: str | None = None
    sdp_mline_index: int | None = None


class Trickle(msgspec.Struct, frozen=True):
    """The body of PATCH /offer/{session}."""

    candidates: list[TrickledCandidate]


async def read_json(
    request: web.Request,
    kind: type[T],
    most: int | None = None,
    seconds: float | None = None,
    take: Callable[[int], None] = unbounded,
) -> T:
    """The request's body as ``kind``: 415 if it is not called JSON, 408 if it comes too slowly, 400 if it is none,
    422 if it is wrong. ``most``: bytes of it, in place of server.max_body_kb; ``seconds``: in which it must come;
    ``take``: told of each piece (room.Room)."""
    if request.content_type not in ("application/json", "text/json"):
        raise web.HTTPUnsupportedMediaType(text=f"send application/json, not {request.content_type}")
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="send the JSON as it is, without a Content-Encoding")
    seconds = BODY_S if seconds is None else seconds
    try:
        async with asyncio.timeout(seconds):
            pieces = await _pieces(request, request.client_max_size if most is None else most, take)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {seconds:g} s") from None
    except ConnectionError:
        raise web.HTTPBadRequest(text="the connection broke in the middle of the body") from None
    try:
        if sum(map(len, pieces)) > LARGE:
            return await asyncio.to_thread(_decoded, pieces, kind)
        return _decoded(pieces, kind)
    except msgspec.ValidationError as error:
        raise web.HTTPUnprocessableEntity(text=f"the JSON is not as it should be: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise web.HTTPBadRequest(text=f"the body is not JSON: {error}") from None
    except RecursionError:
        raise web.HTTPBadRequest(text="the JSON is nested too deeply") from None


async def _pieces(request: web.Request, most: int, take: Callable[[int], None]) -> list[bytes]:
    """The body, as it came: to put it together is work, too, where it is large. Raises 413."""
    pieces, have = [], 0
    while piece := await request.content.readany():
        pieces.append(piece)
        have += len(piece)
        if have > most:
            raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=have)
        take(len(piece))
    return pieces


def _decoded(pieces: list[bytes], kind: type[T]) -> T:
    body = b"".join(pieces)
    pieces.clear()
    return msgspec.json.decode(body, type=kind)


def ice_servers(request: web.Request) -> list[dict[str, Any]]:
    """RTCConfiguration.iceServers for the caller: as configured, and the TURN server with credentials made now."""
    return turn.ice_servers(request.app[SETTINGS].turn)


@routes.post("/offer")
async def post_offer(request: web.Request) -> web.Response:
    """Begin a call, or bring a session back."""
    offer = await read_json(request, Offer)
    answered = await request.app[CALLS].offer(offer.sdp, offer.resume, offer.memory, offer.silent_ms)
    return web.json_response(
        {
            "sdp": answered.sdp,
            "type": "answer",
            "session": answered.session,
            "resume": answered.resume,
            "ice_servers": ice_servers(request),
        }
    )


@routes.patch("/offer/{session}")
async def patch_offer(request: web.Request) -> web.Response:
    """Candidates that came after the offer; ours that came after the answer go back, 204 where there are none."""
    trickle = await read_json(request, Trickle)
    if len(trickle.candidates) > MAX_CANDIDATES:
        raise web.HTTPUnprocessableEntity(text=f"at most {MAX_CANDIDATES} candidates at once")
    candidates = [Trickled(c.candidate, c.sdp_mid, c.sdp_mline_index) for c in trickle.candidates]
    found = await request.app[CALLS].add_candidates(request.match_info["session"], candidates)
    if not found:
        return web.Response(status=204)
    return web.json_response({"candidates": [dataclasses.asdict(one) for one in found]})


@routes.delete("/offer/{session}")
async def delete_offer(request: web.Request) -> web.Response:
    """Hang up."""
    await request.app[CALLS].hang_up(request.match_info["session"])
    return web.Response(status=204)


@routes.get("/ice")
async def get_ice(request: web.Request) -> web.Response:
    """The servers a caller should know before it makes its offer."""
    return web.json_response({"ice_servers": ice_servers(request)}, headers={"Cache-Control": "no-store"})


_ICE: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "required": ["urls"], "description": "an entry of RTCConfiguration.iceServers"},
}
_ANSWER = openapi.struct(
    {
        "sdp": {"type": "string"},
        "type": {"const": "answer"},
        "session": {"type": "string", "description": "the call's name"},
        "resume": {"type": "string", "description": "brings the session back"},
        "ice_servers": _ICE,
    }
)
_CANDIDATE = openapi.struct(
    {
        "candidate": {"type": "string"},
        "sdp_mid": {"type": ["string", "null"]},
        "sdp_mline_index": {"type": ["integer", "null"]},
    }
)
_CANDIDATES = openapi.struct({"candidates": {"type": "array", "items": _CANDIDATE}})
OPENAPI = {
    ("POST", "/offer"): Operation(
        "Begin a call by WebRTC, or bring a session back",
        replies={200: Reply("Our answer", {"application/json": _ANSWER})},
        errors=(400, 408, 413, 415, 422, 503),
        body=Offer,
    ),
    ("PATCH", "/offer/{session}"): Operation(
        "Candidates that came after the offer",
        replies={200: Reply("Ours that came after the answer", {"application/json": _CANDIDATES}), 204: Reply("None")},
        errors=(400, 404, 408, 413, 415, 422),
        body=Trickle,
    ),
    ("DELETE", "/offer/{session}"): Operation("Hang up", replies={204: Reply("The call is over")}, errors=(400, 404)),
    ("GET", "/ice"): Operation(
        "The servers that a caller should know before its offer",
        replies={200: Reply("For RTCConfiguration", {"application/json": openapi.struct({"ice_servers": _ICE})})},
    ),
}
