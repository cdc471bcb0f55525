"""OpenAI's Realtime API over HTTP: client secrets, and calls over WebRTC (``voxrtc.server.realtime.dialect``)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Meta

from voxrtc.commands import decode
from voxrtc.errors import CallsFull, SdpError, UnknownCall
from voxrtc.server.keys import CALLS, METRICS, SETTINGS, STATUS
from voxrtc.server.offer import BODY_S, read_json
from voxrtc.server.openapi import Operation, Reply, struct
from voxrtc.server.realtime import access
from voxrtc.server.realtime.dialect import Realtime
from voxrtc.server.realtime.errors import INVALID, SERVER, SHAPE, Refused, body
from voxrtc.server.realtime.session import House

routes = web.RouteTableDef()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SDP = "application/sdp"


class Expiry(msgspec.Struct, frozen=True):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7_200)] = 600


class NewSecret(msgspec.Struct, frozen=True):
    """The body of POST /v1/realtime/client_secrets."""

    expires_after: Expiry | None = None
    session: dict[str, Any] | None = None


def openai_errors(handler: Handler) -> Handler:
    """What ``handler`` raises as OpenAI writes errors; what nobody expected is left to the application."""

    @wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as error:
            return _error(400, str(error), INVALID, error.code, error.param)
        except SdpError as error:
            request.app[METRICS].refused.labels("bad_sdp").inc()
            return _error(400, str(error), INVALID, "invalid_offer", "sdp")
        except CallsFull as error:
            request.app[METRICS].refused.labels(error.code).inc()
            return _error(503, str(error), SERVER, error.code, retry_after=str(error.retry_after))
        except UnknownCall as error:
            return _error(404, str(error), INVALID, "call_not_found")
        except web.HTTPException as error:
            return _http_error(error)

    return answered


def _http_error(error: web.HTTPException) -> web.Response:
    named = {401: "invalid_api_key", 415: "unsupported_content_type", 429: "rate_limit_exceeded"}
    code = named.get(error.status, error.reason.lower().replace(" ", "_"))
    return _error(error.status, error.text or error.reason, INVALID, code, retry_after=error.headers.get("Retry-After"))


def _error(
    status: int, message: str, kind: str, code: str, param: str | None = None, retry_after: str | None = None
) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    if status == web.HTTPUnauthorized.status_code:
        headers["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": body(message, kind, code, param)}, status=status, headers=headers)


def house(request: web.Request) -> House:
    """What a translator is to know of this server."""
    status = request.app[STATUS]

    def voices() -> list[str]:
        ready = status.models.ready
        return [*ready.voices] if ready is not None else []

    return House(request.app[SETTINGS], voices)


@routes.post("/v1/realtime/client_secrets")
@openai_errors
async def post_client_secrets(request: web.Request) -> web.Response:
    """A key for a page, with the session that the page's call will have."""
    access.may_make_secrets(request)
    asked = await read_json(request, NewSecret) if request.body_exists else NewSecret()
    translator = Realtime(house(request))
    session = asked.session or {}
    translator.open(session)  # what cannot be is refused now, not when it is used
    expiry = asked.expires_after or Expiry()
    secret = request.app[access.SECRETS].make(session, expiry.seconds)
    if secret is None:
        raise web.HTTPTooManyRequests(text="Too many client secrets are valid.", headers={"Retry-After": "60"})
    answer = {"value": secret.value, "expires_at": secret.expires_at, "session": translator.session()}
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


@routes.post("/v1/realtime/calls")
@routes.post("/v1/realtime")
@openai_errors
async def post_call(request: web.Request) -> web.Response:
    """Begin a call: 201, the answer, and in Location the call."""
    secret = access.admitted(request)
    sdp, session = await _offered(request)
    translator = Realtime(house(request))
    named = {"model": model} if (model := request.query.get("model")) else {}
    first = translator.open(secret.session if secret is not None else {}, named, session)
    answered = await request.app[CALLS].offer(sdp, dialect=translator, first=first, returns=False)
    headers = {"Location": f"/v1/realtime/calls/{answered.session}", "Cache-Control": "no-store"}
    return web.Response(status=201, text=answered.sdp, content_type=SDP, headers=headers)


@routes.post("/v1/realtime/calls/{call}/hangup")
@openai_errors
async def post_hangup(request: web.Request) -> web.Response:
    """Hang up. Whoever knows a call's name, which cannot be guessed, may."""
    access.admitted(request)
    await request.app[CALLS].hang_up(request.match_info["call"])
    return web.Response()


async def _offered(request: web.Request) -> tuple[str, dict[str, Any]]:
    """The offer, and the session that came with it. Raises HTTPException and Refused."""
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="Send the body as it is, without a Content-Encoding.")
    try:
        async with asyncio.timeout(BODY_S):
            if request.content_type == SDP:
                return await request.text(), {}
            if request.content_type == "multipart/form-data":
                return await _form(request)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"The body did not come within {BODY_S:g} s.") from None
    except ConnectionError:
        raise web.HTTPBadRequest(text="The connection broke in the middle of the body.") from None
    except UnicodeDecodeError:
        raise Refused("The offer is not UTF-8.", param="sdp") from None
    raise web.HTTPUnsupportedMediaType(text=f"Send {SDP}, or multipart/form-data with sdp and session.")


async def _form(request: web.Request) -> tuple[str, dict[str, Any]]:
    try:
        form = await request.post()
    except (ValueError, HttpProcessingError):
        raise Refused("The body is not multipart/form-data.") from None
    sdp, session = _field(form.get("sdp")), _field(form.get("session"))
    if sdp is None:
        raise Refused("sdp is missing.", "missing_required_parameter", "sdp")
    try:
        return sdp, decode(session) if session else {}
    except ValueError as error:
        raise Refused(str(error).replace("The message", "session"), "invalid_json", "session") from None


def _field(value: str | bytes | bytearray | web.FileField | None) -> str | None:
    """Clients send a part as text, or as a file."""
    if isinstance(value, web.FileField):
        return value.file.read().decode()
    return value if value is None or isinstance(value, str) else value.decode()


_TEXT = {"type": "string"}
_SECRET = struct({"value": _TEXT, "expires_at": {"type": "integer"}, "session": {"type": "object"}})
_FORM = {"type": "object", "required": ["sdp"], "properties": {"sdp": _TEXT, "session": _TEXT}}
_CALL = Operation(
    "Begin a call in the dialect of OpenAI's Realtime API",
    replies={201: Reply("Our answer", {SDP: _TEXT}, headers=("Location",))},
    errors=(400, 401, 408, 413, 415, 503),
    error=SHAPE,
    body={SDP: _TEXT, "multipart/form-data": _FORM},
    parameters={"query:model": _TEXT},
)
OPENAPI = {
    ("POST", "/v1/realtime/client_secrets"): Operation(
        "A key for a page, with the session that its call will have",
        replies={200: Reply("The key", {"application/json": _SECRET})},
        errors=(400, 401, 408, 413, 415, 422, 429),
        error=SHAPE,
        body=NewSecret,
        optional=True,
    ),
    ("POST", "/v1/realtime/calls"): _CALL,
    ("POST", "/v1/realtime"): _CALL,
    ("POST", "/v1/realtime/calls/{call}/hangup"): Operation(
        "Hang up", replies={200: Reply("The call is over")}, errors=(400, 401, 404), error=SHAPE
    ),
}
