"""The public HTTP application: routes of all dialects, errors as JSON with their real status, headers of the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from voxrtc.calls import Calls
from voxrtc.errors import AudioError, BadClip, BadMemory, CallsFull, SdpError, UnknownCall, VoxrtcError, frames
from voxrtc.metrics import Metrics
from voxrtc.server import cors, offer, openapi, ops, smallwebrtc, speech, transcribe, voices, websocket
from voxrtc.server.keys import CALLS, CLIPS, FILES, METRICS, ROOM, SETTINGS, SPEECHES, STATUS
from voxrtc.server.openapi import OPERATIONS
from voxrtc.server.realtime import routes as realtime
from voxrtc.server.realtime import socket as realtime_socket
from voxrtc.server.realtime.access import SECRETS
from voxrtc.server.realtime.secrets import Secrets
from voxrtc.server.room import Room
from voxrtc.server.runner import Runner
from voxrtc.server.status import Status
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

WEB = Path(__file__).resolve().parents[2] / "web"
"""The page's files. They lie beside the package in a checkout, which is how voxrtc is installed (pip install -e)."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; connect-src 'self'; media-src 'self' blob: mediastream:; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def make_app(settings: Settings, calls: Calls, status: Status, metrics: Metrics) -> web.Application:
    """The application of the public port. The caller owns ``calls`` and closes it. Raises VoxrtcError with no page."""
    if not (WEB / "index.html").is_file():
        raise VoxrtcError(f"{WEB}: the page is not there; install voxrtc from its repository with pip install -e .")
    app = web.Application(middlewares=[errors, cors.guard], client_max_size=settings.server.max_body_kb * 1024)
    app.on_response_prepare.append(headers)
    app[SETTINGS], app[CALLS], app[STATUS], app[METRICS] = settings, calls, status, metrics
    app[CLIPS], app[SPEECHES] = asyncio.Semaphore(voices.AT_ONCE), asyncio.Semaphore(speech.AT_ONCE)
    app[FILES] = asyncio.Semaphore(settings.sources.at_once)
    app[ROOM] = Room(transcribe.most_held(settings.sources))
    app.add_routes(offer.routes)
    app.add_routes(voices.routes)
    app.add_routes(transcribe.routes)
    app.add_routes(speech.routes)
    app.add_routes(openapi.routes)
    app.add_routes(websocket.routes)
    cors.share(app, smallwebrtc.routes)
    app[SECRETS] = Secrets()
    cors.share(app, realtime.routes)
    app.add_routes(realtime_socket.routes)
    app.add_routes(ops.health_routes)
    app.router.add_get("/", partial(page, WEB / "index.html"))
    for file in sorted(path for path in WEB.iterdir() if path.is_file() and not path.name.startswith(".")):
        # Each file by its name: nothing else can be asked for, however the path is spelt.
        app.router.add_get(f"/{file.name}", partial(page, file))
    # What says nothing of itself in OPENAPI is missed by tests/server/test_openapi.py.
    described = (offer, voices, transcribe, speech, openapi, websocket, smallwebrtc, realtime, realtime_socket, ops)
    app[OPERATIONS] = openapi.of_pages(WEB) | openapi.of(described)
    return app


def make_ops_app(public: web.Application) -> web.Application:
    """The application of the operators' port, about the calls of the public one."""
    settings = public[SETTINGS]
    app = web.Application(middlewares=[errors])
    app.on_response_prepare.append(headers)
    app[SETTINGS], app[CALLS], app[STATUS], app[METRICS] = settings, public[CALLS], public[STATUS], public[METRICS]
    app.add_routes(ops.health_routes)
    if settings.metrics.enabled:
        app.add_routes(ops.metrics_routes)
    if settings.ops.host in cors.LOOPBACK:
        app.add_routes(ops.debug_routes)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """What serves ``app``. aiohttp's own choices, but for these:

    Nobody has to send us compressed JSON, and a small bomb cannot become a big one. Nor does anybody who was told that
    his body is wrong need 10 s to send the rest of it.
    """
    return Runner(app, _unread, shutdown_timeout=2.0, access_log=None, auto_decompress=False, lingering_time=1.0)


def _unread(status: int) -> web.Response:
    """The answer to bytes of which no request could be made."""
    said = ("bad_request", "What came is no HTTP request.") if status == 400 else ("internal", "The server failed.")
    return web.json_response(error_body(*said), status=status, headers=HEADERS)


async def page(file: Path, request: web.Request) -> web.StreamResponse:
    """One file of the page. Asked for again each time, cheaply: a new version must not meet old parts of itself."""
    return web.FileResponse(file, headers={"Cache-Control": "no-cache"})


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    """What every error answer carries."""
    return {"error": {"code": code, "message": message}}


async def headers(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers on every answer, errors and streams included: told before the first byte goes."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Our exceptions as real status codes; what nobody expected is a 500 with nothing of the inside in it."""
    try:
        return await handler(request)
    except CallsFull as error:
        request.app[METRICS].refused.labels(error.code).inc()
        body = error_body(error.code, str(error))
        return web.json_response(body, status=503, headers={"Retry-After": str(error.retry_after)})
    except SdpError as error:
        request.app[METRICS].refused.labels("bad_sdp").inc()
        return web.json_response(error_body("bad_sdp", str(error)), status=422)
    except BadMemory as error:
        request.app[METRICS].refused.labels("bad_memory").inc()
        return web.json_response(error_body("bad_memory", str(error)), status=422)
    except UnknownCall as error:
        return web.json_response(error_body("unknown_call", str(error)), status=404)
    except BadClip as error:
        return web.json_response(error_body("bad_clip", str(error)), status=400)
    except AudioError as error:
        return web.json_response(error_body("bad_audio", str(error)), status=400)
    except VoxrtcError as error:
        return web.json_response(error_body("bad_request", str(error)), status=400)
    except web.HTTPException as error:
        return _http_error(error)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer
        # Not logger.exception: the message of an error may hold what a caller sent.
        logger.error("%s %r failed with %s", request.method, request.path, frames(error))  # noqa: TRY400
        return web.json_response(error_body("internal", "The server failed at this; its log says why."), status=500)


def _http_error(error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's own errors in our form; ``text`` is a sentence of ours, or "404: Not Found"."""
    message = error.text if error.text and not error.text.startswith(str(error.status)) else error.reason
    code = error.reason.lower().replace(" ", "_")
    kept = {name: value for name, value in error.headers.items() if name in ("Allow", "Retry-After")}
    return web.json_response(error_body(code, message), status=error.status, headers=kept)
