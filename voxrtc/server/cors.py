"""Pages of other origins: which may call this server, and what their browsers are told (Fetch standard, CORS)."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web

from voxrtc.server.keys import SETTINGS

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing, and begin nothing; GETs of WebSockets look for themselves."""
METHODS = "GET, POST, PATCH, DELETE"
EXPOSED = "Location, Retry-After"
MAX_AGE_S = 600
"""Seconds for which a browser need not ask again."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def share(app: web.Application, routes: web.RouteTableDef) -> None:
    """Add ``routes`` to ``app`` as ones that pages of other origins may use: with answers to preflights, and with the
    headers that let such a page read what is answered, errors included."""
    resources = frozenset(
        route.resource for route in app.add_routes(routes) if isinstance(route.resource, web.Resource)
    )
    for resource in resources:
        resource.add_route("OPTIONS", preflight)
    app.on_response_prepare.append(partial(_open, resources))


def allowed(request: web.Request) -> bool:
    """Whether the page that ``request`` comes from may call this server and read its answers: one of the server's own,
    of server.origins, or of this machine where nobody else reaches the server. Any other page on the internet would
    else be free to call a server that its visitor runs at home."""
    origin = request.headers.get("Origin", "")
    settings = request.app[SETTINGS].server
    if origin in settings.origins or "*" in settings.origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if is_loopback(settings.host):
        # What Host says is of no account: any name may be made to lead to this machine (DNS rebinding). Behind a proxy
        # the page's origin is another, and server.origins has to name it.
        return is_loopback(parts.hostname or "")
    # The scheme is not compared: a proxy may have taken off the TLS.
    return parts.netloc.lower() == request.host.lower()


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name (RFC 6761, 6.3) or an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what pages ask that may not call this server, but for what only reads. Browsers ask before some requests
    (``preflight``), yet send forms, and bodies without a type, as they are, and only keep the answer from the page."""
    if request.method not in SAFE and "Origin" in request.headers and not allowed(request):
        raise web.HTTPForbidden(text="pages of this origin may not call this server (server.origins)")
    return await handler(request)


async def preflight(request: web.Request) -> web.Response:
    """What a browser asks before it sends a page's request: 204 with what is allowed, or 403."""
    if not allowed(request):
        raise web.HTTPForbidden(text="pages of this origin may not call this server")
    headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": str(MAX_AGE_S)}
    if asked := request.headers.get("Access-Control-Request-Headers"):
        headers["Access-Control-Allow-Headers"] = asked
    return web.Response(status=204, headers=headers)


async def _open(resources: Collection[web.Resource], request: web.Request, response: web.StreamResponse) -> None:
    if request.match_info.route.resource not in resources:
        return
    response.headers.add("Vary", "Origin")
    if "Origin" in request.headers and allowed(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
