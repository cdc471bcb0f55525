"""GET /openapi.json: what the HTTP routes take and give, as an OpenAPI 3.1 document.

Each module of routes says so itself, beside them, in ``OPENAPI``: one Operation for each method and path. A test holds
that every route is there, and that nothing else is.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from aiohttp import web

from voxrtc import __version__

routes = web.RouteTableDef()

Schema = Mapping[str, Any]
"""A JSON schema (2020-12)."""

REASONS = {
    400: "The request is not as it should be",
    401: "The Authorization header is not as it should be",
    403: "It is not allowed here",
    404: "There is no such thing here",
    405: "Not with this method",
    408: "The body came too slowly",
    409: "It is in the way of something that is there",
    413: "The body is too large",
    415: "The body is of a type that is not taken here",
    422: "The body can be read, and is not as it should be",
    426: "Only as a WebSocket",
    429: "Too many; Retry-After says when to try again",
    501: "Not with what is configured",
    503: "Not now; Retry-After says when to try again",
}
REF = "#/components/schemas/{name}"
PARAMETER = re.compile(r"\{(\w+)\}")


def struct(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object of all ``properties``, but for the ``optional`` ones, and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


ERROR: Schema = struct({"error": {"$ref": REF.format(name="Error")}})


@dataclass(frozen=True, slots=True)
class Reply:
    """One status of an answer. ``content``: schemas by media type; a schema alone for JSON; None for no body."""

    description: str
    content: Mapping[str, Schema] | type | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``body``: a msgspec type for JSON, or schemas by media type; where it is ``optional``,
    there need be none. ``errors``: statuses with the body that errors have (app.error_body), or ``error``.
    ``parameters``: schemas of those in the path that are not any text, and, as "query:NAME", of those in the query."""

    summary: str
    replies: Mapping[int, Reply]
    errors: tuple[int, ...] = ()
    error: Schema = field(default_factory=lambda: ERROR)
    body: Mapping[str, Schema] | type | None = None
    optional: bool = False
    parameters: Mapping[str, Schema] = field(default_factory=dict)


Operations = Mapping[tuple[str, str], Operation]
OPERATIONS: web.AppKey[Operations] = web.AppKey("operations", dict)
"""What the routes of an application are, by method and path."""

_ERROR = struct({"code": {"type": "string"}, "message": {"type": "string"}})


def of(modules: Iterable[ModuleType]) -> dict[tuple[str, str], Operation]:
    """What the modules of routes say of themselves, each in its OPENAPI."""
    return {key: operation for module in modules for key, operation in getattr(module, "OPENAPI", {}).items()}


def of_pages(folder: Path) -> dict[tuple[str, str], Operation]:
    """The files of the page in ``folder``, each at its name, and the page itself at /."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return {("GET", "/"): _page("index.html")} | {("GET", f"/{name}"): _page(name) for name in names}


def _page(name: str) -> Operation:
    kind = mimetypes.MimeTypes().guess_type(name)[0] or "application/octet-stream"
    schema = {"type": "object" if kind.endswith("json") else "string"}
    return Operation(f"The page: {name}", replies={200: Reply("The file", {kind: schema})})


@routes.get("/openapi.json")
async def get_openapi(request: web.Request) -> web.Response:
    """What can be asked of this server by HTTP."""
    return web.json_response(document(request.app[OPERATIONS]), headers={"Cache-Control": "no-cache"})


def document(operations: Operations) -> dict[str, Any]:
    """The OpenAPI document of ``operations``."""
    types = {kind for op in operations.values() for kind in _types(op)}
    named, components = msgspec.json.schema_components(sorted(types, key=str), ref_template=REF)
    schemas = dict(zip(sorted(types, key=str), named, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in sorted(operations.items(), key=lambda item: (item[0][1], item[0][0])):
        described = paths.setdefault(path, {})[method.lower()] = _operation(path, operation, schemas)
        if method != "GET":  # voxrtc.server.cors.guard
            described["responses"].setdefault("403", _error(403, ERROR))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voxrtc",
            "version": __version__,
            "description": "A self-hosted voice assistant server. Calls are carried by WebRTC and WebSockets, "
            "which this document only names; docs/protocol.md says what is spoken there.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR, **components}},
    }


def _types(operation: Operation) -> list[type]:
    contents = [operation.body, *(reply.content for reply in operation.replies.values())]
    return [one for one in contents if isinstance(one, type)]


def _operation(path: str, operation: Operation, schemas: Mapping[type, Schema]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    told: dict[str, Any] = {"summary": operation.summary, "responses": responses}
    if parameters := _parameters(path, operation.parameters):
        told["parameters"] = parameters
    if operation.body is not None:
        told["requestBody"] = {"required": not operation.optional, "content": _content(operation.body, schemas)}
    for status, reply in operation.replies.items():
        answer: dict[str, Any] = {"description": reply.description}
        responses[str(status)] = answer
        if reply.content is not None:
            answer["content"] = _content(reply.content, schemas)
        if reply.headers:
            answer["headers"] = {name: {"schema": {"type": "string"}} for name in reply.headers}
    for status in operation.errors:
        responses[str(status)] = _error(status, operation.error)
    return told


def _error(status: int, schema: Schema) -> dict[str, Any]:
    told: dict[str, Any] = {"description": REASONS[status], "content": {"application/json": {"schema": schema}}}
    if status == 503:
        told["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    return told


def _content(body: Mapping[str, Schema] | type, schemas: Mapping[type, Schema]) -> dict[str, Any]:
    if isinstance(body, type):
        return {"application/json": {"schema": schemas[body]}}
    return {kind: {"schema": dict(schema)} for kind, schema in body.items()}


def _parameters(path: str, known: Mapping[str, Schema]) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": known.get(name, {"type": "string", "minLength": 1})}
        for name in PARAMETER.findall(path)
    ]
    in_query = [
        {"name": name.removeprefix("query:"), "in": "query", "schema": schema}
        for name, schema in known.items()
        if name.startswith("query:")
    ]
    return in_path + in_query


OPENAPI = {
    ("GET", "/openapi.json"): Operation(
        "This document", replies={200: Reply("An OpenAPI 3.1 document", {"application/json": {"type": "object"}})}
    )
}
