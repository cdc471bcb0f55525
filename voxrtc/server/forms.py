"""Forms with a file in them (multipart/form-data, RFC 7578), read within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from voxrtc.server.room import unbounded

MOST_PARTS = 32
MOST_TEXT = 64 * 1024
"""Bytes of what is not the file, in all."""
CHUNK = 65_536


@dataclass(slots=True)
class Form:
    """``fields``: the texts of each name, without the [] that names of lists end in; ``file``: of the part "file"."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    file: bytes | None = None

    def one(self, name: str) -> str:
        """The text of a field that may come once; empty where it did not come. Raises 400 where it came twice."""
        texts = self.fields.get(name, [])
        if len(texts) > 1:
            raise web.HTTPBadRequest(text=f"{name}: more than one was sent")
        return texts[0] if texts else ""


async def read_form(request: web.Request, most: int, seconds: float, take: Callable[[int], None]) -> Form:
    """The form in the body, with a file of ``most`` bytes at the most, come within ``seconds``; ``take`` is told of
    each piece of the file (room.Room). Raises 400 where it is none, 408, 413, 415."""
    if request.content_type != "multipart/form-data":
        raise web.HTTPUnsupportedMediaType(text=f"send multipart/form-data, not {request.content_type}")
    if "Content-Encoding" in request.headers:
        raise web.HTTPUnsupportedMediaType(text="send the form as it is, without a Content-Encoding")
    if (request.content_length or 0) > most + MOST_TEXT:
        raise _too_large(most, request.content_length or 0)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, most, take)
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the form did not come within {seconds:g} s") from None
    except ConnectionError:
        raise web.HTTPBadRequest(text="the connection broke in the middle of the form") from None
    except (ValueError, AssertionError, LookupError, HttpProcessingError, web.RequestPayloadError):
        raise web.HTTPBadRequest(text="the body is not the form that its Content-Type announces") from None


async def _read(request: web.Request, most: int, take: Callable[[int], None]) -> Form:
    form, text, parts = Form(), 0, 0
    reader = await request.multipart()
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MOST_PARTS:
            raise web.HTTPBadRequest(text=f"the form has more than {MOST_PARTS} parts")
        if not isinstance(part, BodyPartReader) or not part.name:
            raise web.HTTPBadRequest(text="each part of the form needs a name")
        if part.name == "file":
            if form.file is not None:
                raise web.HTTPBadRequest(text="file: more than one was sent")
            form.file = await _body(part, most, take)
            if len(form.file) > most:
                raise _too_large(most, len(form.file))
            continue
        data = await _body(part, MOST_TEXT - text, unbounded)
        text += len(data)
        if text > MOST_TEXT:
            raise web.HTTPRequestEntityTooLarge(
                max_size=MOST_TEXT, actual_size=text, text=f"the fields have more than {MOST_TEXT // 1024} KiB"
            )
        form.fields.setdefault(part.name.removesuffix("[]"), []).append(data.decode("utf-8"))
    return form


async def _body(part: BodyPartReader, most: int, take: Callable[[int], None]) -> bytes:
    """What is in ``part``, as it came; of more than ``most`` bytes only the beginning, which is more than that."""
    body = bytearray()
    while len(body) <= most and (chunk := await part.read_chunk(CHUNK)):
        take(len(chunk))
        body += chunk
    return bytes(body)


def _too_large(most: int, size: int) -> web.HTTPRequestEntityTooLarge:
    text = f"file: larger than {most // 1024 // 1024} MiB (sources.max_mb)"
    return web.HTTPRequestEntityTooLarge(max_size=most, actual_size=size, text=text)
