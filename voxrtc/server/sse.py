"""Server-sent events (WHATWG HTML, 9.2), in which OpenAI's endpoints stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web


async def begin(request: web.Request, headers: Mapping[str, str]) -> web.StreamResponse:
    """A stream of events to the caller."""
    response = web.StreamResponse(
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | {**headers}
    )
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    await response.prepare(request)
    return response


async def send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    """One event, its data as JSON. Raises ConnectionError where nobody reads."""
    await response.write(b"data: " + msgspec.json.encode(event) + b"\n\n")
