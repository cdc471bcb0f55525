"""The public HTTP application: routes of all dialects, errors as JSON with their real status, headers of the page."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from voxrtc.calls import Calls
from voxrtc.config import Settings
from voxrtc.errors import CallsFull, SdpError, UnknownCall, VoxrtcError
from voxrtc.metrics import Metrics
from voxrtc.server import offer, ops
from voxrtc.server.keys import CALLS, METRICS, SETTINGS, STATUS
from voxrtc.server.status import Status

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
    """The application of the public port. The caller owns ``calls`` and closes it."""
    app = web.Application(middlewares=[errors, headers], client_max_size=settings.server.max_body_kb * 1024)
    app[SETTINGS], app[CALLS], app[STATUS], app[METRICS] = settings, calls, status, metrics
    app.add_routes(offer.routes)
    app.add_routes(ops.health_routes)
    app.router.add_get("/", page)
    app.router.add_static("/", WEB)
    return app


async def page(request: web.Request) -> web.FileResponse:
    """The page a caller opens."""
    return web.FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


def error_body(code: str, message: str) -> dict[str, dict[str, str]]:
    """What every error answer carries."""
    return {"error": {"code": code, "message": message}}


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
    except UnknownCall as error:
        return web.json_response(error_body("unknown_call", str(error)), status=404)
    except VoxrtcError as error:
        return web.json_response(error_body("bad_request", str(error)), status=400)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = error.text if error.text and not error.text.startswith(str(error.status)) else error.reason
        code = error.reason.lower().replace(" ", "_")
        kept = {k: v for k, v in error.headers.items() if k in ("Allow", "Retry-After")}
        return web.json_response(error_body(code, message), status=error.status, headers=kept)
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return web.json_response(error_body("internal", "The server failed at this; its log says why."), status=500)


@web.middleware
async def headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Security headers on every answer; files of the page are asked for again each time, cheaply."""
    response = await handler(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if isinstance(response, web.FileResponse):
        response.headers.setdefault("Cache-Control", "no-cache")
    return response
