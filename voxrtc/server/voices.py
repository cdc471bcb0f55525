"""The voices there are, and those that callers bring: PUT a clip, choose it by its name, DELETE it.

A clip is kept in memory only. Whoever may call may bring one where ``tts.allow_cloning`` is on, and use another's.
"""

from __future__ import annotations

import asyncio
import io
from http import HTTPStatus

from aiohttp import web

from voxrtc.audio import Samples
from voxrtc.errors import BadClip, ModelsError
from voxrtc.models.chatterbox import clips
from voxrtc.models.tts import names
from voxrtc.models.wire import Ready
from voxrtc.server import openapi
from voxrtc.server.keys import CLIPS, SETTINGS, STATUS
from voxrtc.server.openapi import Operation, Reply

routes = web.RouteTableDef()

MAX_BYTES = 10 * 1024 * 1024
"""Of a clip's file."""
BODY_S = 30.0
"""Seconds in which a clip must have come."""
AT_ONCE = 4
"""Clips that may be on their way at once: what they take of the memory is bounded so."""


@routes.get("/voices")
async def get_voices(request: web.Request) -> web.Response:
    """The voices, and what each of them speaks."""
    ready = _ready(request)
    default = next(iter(ready.voices), "")
    listed = [
        {"voice": name, "languages": languages, "default": name == default, "cloned": name in ready.clones}
        for name, languages in ready.voices.items()
    ]
    return web.json_response({"voices": listed}, headers={"Cache-Control": "no-store"})


@routes.put("/voices/{name}")
async def put_voice(request: web.Request) -> web.Response:
    """Make a voice of the clip in the body: 201, or 200 where it replaces one that was made of a clip, too."""
    name = request.match_info["name"]
    ready = _may_clone(request, name)
    places = request.app[CLIPS]
    if places.locked():
        raise _try_again(f"{AT_ONCE} clips are being made into voices already; try again in a moment")
    async with places:
        samples, rate = await _decoded(await _body(request))
        try:
            languages = await request.app[STATUS].models.clone(name, samples, rate)
        except BadClip:
            raise
        except ModelsError as error:  # nothing that the caller could do better: the host died, or has too much to do
            raise _try_again(str(error)) from None
    status = HTTPStatus.OK if name in ready.clones else HTTPStatus.CREATED
    return web.json_response({"voice": name, "languages": languages}, status=status)


@routes.delete("/voices/{name}")
async def delete_voice(request: web.Request) -> web.Response:
    """Forget a voice that was made of a clip. Calls that speak with it go on with the default voice."""
    name, ready = request.match_info["name"], _ready(request)
    if name in ready.voices and name not in ready.clones:
        raise web.HTTPConflict(text=f"the voice '{name}' is configured; only those that were made of clips can go")
    if not await request.app[STATUS].models.forget(name):
        raise web.HTTPNotFound(text=f"there is no voice '{name[:64]}' here; it may have been forgotten")
    return web.Response(status=204)


def _may_clone(request: web.Request, name: str) -> Ready:
    """What runs. Raises what is in the way of a voice ``name``, whatever its clip is."""
    if not request.app[SETTINGS].tts.allow_cloning:
        raise web.HTTPForbidden(text="voices of clips are not allowed here; tts.allow_cloning would allow them")
    if not names.possible(name):
        raise web.HTTPUnprocessableEntity(text=names.POSSIBLE)
    ready = _ready(request)
    if not ready.cloning:
        raise web.HTTPNotImplemented(text='voices of clips need tts.engine = "chatterbox"')
    if why := names.taken(name, ready.voices.keys() - set(ready.clones)):
        raise web.HTTPConflict(text=why)
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="send the clip as it is, without a Content-Encoding")
    return ready


def _ready(request: web.Request) -> Ready:
    ready = request.app[STATUS].ready
    if ready is None:
        raise _try_again("the models are not ready yet; try again in a moment")
    return ready


def _try_again(why: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=why, headers={"Retry-After": "2"})


async def _body(request: web.Request) -> bytes:
    """The clip's file. Raises 413, 408 where it comes too slowly, 400 where it breaks off or there is none."""
    announced = request.content_length or 0
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while announced <= MAX_BYTES and (piece := await request.content.readany()):
                body += piece
                announced = max(announced, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the clip did not come within {BODY_S:g} s") from None
    except ConnectionError:
        raise web.HTTPBadRequest(text="the connection broke in the middle of the clip") from None
    if announced > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024 // 1024} MB"
        raise web.HTTPRequestEntityTooLarge(
            max_size=MAX_BYTES, actual_size=announced, text=f"a clip has {limit} at the most; 10 s of it are used"
        )
    if not body:
        raise web.HTTPBadRequest(text="the body is empty; send the clip's file as it is")
    return bytes(body)


async def _decoded(body: bytes) -> tuple[Samples, int]:
    """The clip's samples and rate. Raises 415 where it is no sound that is taken, BadClip."""
    try:
        return await asyncio.to_thread(clips.decode, io.BytesIO(body), clips.THE_CLIP)
    except clips.NotSound as error:
        raise web.HTTPUnsupportedMediaType(text=str(error)) from None


_LANGUAGES = {"type": "array", "items": {"type": "string"}}
_VOICE = openapi.struct(
    {
        "voice": {"type": "string"},
        "languages": _LANGUAGES,
        "default": {"type": "boolean"},
        "cloned": {"type": "boolean", "description": "made of a clip over HTTP"},
    }
)
_MADE = {"application/json": openapi.struct({"voice": {"type": "string"}, "languages": _LANGUAGES})}
OPENAPI = {
    ("GET", "/voices"): Operation(
        "The voices there are",
        replies={
            200: Reply(
                "The default one first",
                {"application/json": openapi.struct({"voices": {"type": "array", "items": _VOICE}})},
            )
        },
        errors=(503,),
    ),
    ("PUT", "/voices/{name}"): Operation(
        "Make a voice of a clip",
        replies={200: Reply("It replaced one of that name", _MADE), 201: Reply("There is a new voice", _MADE)},
        errors=(400, 403, 408, 409, 413, 415, 422, 501, 503),
        body={"application/octet-stream": {"type": "string", "format": "binary"}},
    ),
    ("DELETE", "/voices/{name}"): Operation(
        "Forget a voice that was made of a clip", replies={204: Reply("It is gone")}, errors=(404, 409, 503)
    ),
}
