"""Who may use the Realtime routes, and as what: the one place where a bearer token is looked at."""

from __future__ import annotations

from aiohttp import web

from voxrtc.server.realtime.secrets import PREFIX, Secret, Secrets

PROTOCOLS = ("realtime",)
KEY_PROTOCOL = "openai-insecure-api-key."
"""Pages cannot set headers of a WebSocket: they name the key as a subprotocol, beside the real one."""

SECRETS: web.AppKey[Secrets] = web.AppKey("realtime_secrets", Secrets)


def bearer(request: web.Request) -> str:
    """The token of the Authorization header, or among a WebSocket's protocols; empty without one. Raises
    HTTPUnauthorized where it is no bearer's."""
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if header and (scheme.lower() != "bearer" or not token.strip()):
        raise web.HTTPUnauthorized(text="The Authorization header must be a bearer token.")
    return token.strip() or _named_as_protocol(request)


def _named_as_protocol(request: web.Request) -> str:
    names = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    keys = (name.strip().removeprefix(KEY_PROTOCOL) for name in names if name.strip().startswith(KEY_PROTOCOL))
    return next(keys, "")


def admitted(request: web.Request) -> Secret | None:
    """The client secret that ``request`` comes with, if it is one. Other tokens, and none, pass: there are no keys here
    yet. Raises HTTPUnauthorized."""
    token = bearer(request)
    if not token.startswith(PREFIX):
        return None
    secret = request.app[SECRETS].find(token)
    if secret is None:
        raise web.HTTPUnauthorized(text="The client secret is not valid; it may have expired.")
    return secret


def may_make_secrets(request: web.Request) -> None:
    """Raises HTTPUnauthorized for who has nothing but a client secret."""
    if bearer(request).startswith(PREFIX):
        raise web.HTTPUnauthorized(text="A client secret cannot make others.")
