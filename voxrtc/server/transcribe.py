"""Files to text over HTTP: OpenAI's POST /v1/audio/transcriptions, and POST /transcribe {"source": ...}.

Both ask the server's own models, after what callers wait for (wire.Transcribe.patient). What is sent is never kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
from aiohttp import web

from voxrtc import sources
from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.errors import ModelsError
from voxrtc.languages import primary
from voxrtc.models.wire import Ready
from voxrtc.server import openapi, sse
from voxrtc.server.forms import Form, read_form
from voxrtc.server.keys import FILES, ROOM, SETTINGS, STATUS
from voxrtc.server.offer import read_json
from voxrtc.server.openapi import Operation, Reply
from voxrtc.server.readiness import Left, place, running, try_again, while_there
from voxrtc.settings import Sources
from voxrtc.sources import Guard
from voxrtc.transcription.formats import RENDERERS, usage
from voxrtc.transcription.transcript import UNSPACED, Transcript, gather
from voxrtc.transcription.transcription import IN_FLIGHT, Transcription

routes = web.RouteTableDef()

MIB = 1024 * 1024
Format = Literal["json", "text", "verbose_json", "srt", "vtt"]
FORMATS: tuple[Format, ...] = get_args(Format)
TYPES = {"json": "application/json", "verbose_json": "application/json", "vtt": "text/vtt"}
"""Of the formats that are more than text/plain."""
IGNORED = "X-Voxrtc-Ignored"
"""The header that names the fields which were sent and change nothing here."""
FIELDS = {"model", "language", "response_format", "stream", "timestamp_granularities"}
"""Fields of a form that count. ``model`` as well: there is one, whatever it is called."""
NAME = re.compile(r"[\w.\-]{1,64}", re.ASCII)
BUSY = "as many files as may be (sources.at_once) are being worked on already; try again in a moment"


class Source(msgspec.Struct, frozen=True):
    """The body of POST /transcribe. ``source``: an http(s) URL, a data: URL, or base64. ``language``: ISO 639-1, left
    out to detect it."""

    source: str
    language: str | None = None
    response_format: Format = "json"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of a file. ``language``: None to detect it. ``ignored``: fields that change nothing."""

    language: str | None
    form: Format
    stream: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        return {IGNORED: ", ".join(self.ignored)} if self.ignored else {}


@routes.post("/v1/audio/transcriptions")
async def post_transcriptions(request: web.Request) -> web.StreamResponse:
    """The words in the file of a form, whole or as they come."""
    ready, limits = running(request), request.app[SETTINGS].sources
    with request.app[ROOM].hold() as take:
        form = await read_form(request, limits.max_mb * MIB, limits.timeout_s, take)
        if not form.file:
            raise web.HTTPBadRequest(text="file: send the audio as a file in the part of this name")
        wanted, data, guard = _wanted(form, ready), form.file, guard_of(request)
        async with place(request.app[FILES], BUSY):  # not sooner: who sends slowly is in nobody's way
            return await _answer(request, wanted, lambda: asyncio.to_thread(sources.decode, data, guard))


@routes.post("/transcribe")
async def post_transcribe(request: web.Request) -> web.StreamResponse:
    """The words in what a URL, a data: URL or base64 holds."""
    ready, limits = running(request), request.app[SETTINGS].sources
    with request.app[ROOM].hold() as take:
        asked = await read_json(request, Source, _most_json(limits), limits.timeout_s, take)
        wanted = Wanted(_language(asked.language or "", ready), asked.response_format)
        async with place(request.app[FILES], BUSY):
            return await _answer(request, wanted, lambda: sources.load(asked.source, guard_of(request)))


def most_held(limits: Sources) -> int:
    """Bytes of bodies that are held at once: of those that are worked on, and of as many that are coming, and one."""
    return (2 * limits.at_once + 1) * _most_json(limits)


def _most_json(limits: Sources) -> int:
    """Bytes of the largest file as base64 in JSON."""
    return limits.max_mb * MIB * 4 // 3 + MIB


def guard_of(request: web.Request) -> Guard:
    """What sources may be, by the configuration: no paths, whatever it says."""
    limits = request.app[SETTINGS].sources
    return Guard(
        allow=tuple(limits.allow),
        max_bytes=limits.max_mb * MIB,
        max_seconds=limits.max_minutes * 60.0,
        timeout_s=limits.timeout_s,
    )


# -- what is asked for --------------------------------------------------------------------------------------


def _wanted(form: Form, ready: Ready) -> Wanted:
    """Raises 400 for what cannot be given."""
    name = form.one("response_format") or "json"
    if name not in FORMATS:
        raise web.HTTPBadRequest(text=f"response_format: one of {', '.join(FORMATS)}; speakers are not told apart here")
    stream = form.one("stream").lower() in ("true", "1")
    if stream and name not in ("json", "text"):
        raise web.HTTPBadRequest(text="stream: only of response_format json or text")
    for granularity in form.fields.get("timestamp_granularities", []):
        if granularity != "segment":
            raise web.HTTPBadRequest(
                text="timestamp_granularities: only segment; when each word is said is not known here"
            )
    ignored = sorted(field for field in form.fields if field not in FIELDS and NAME.fullmatch(field))
    return Wanted(_language(form.one("language"), ready), name, stream, tuple(ignored))


def _language(code: str, ready: Ready) -> str | None:
    """As the models are asked; None to detect it. Raises 400 where it is not heard here."""
    short = primary(code)
    if short in ("", "auto"):
        return None
    if short not in ready.hears_languages:
        raise web.HTTPBadRequest(text=f"language: one of {', '.join(ready.hears_languages)}, or none to detect it")
    return short


# -- what is answered ---------------------------------------------------------------------------------------


async def _answer(request: web.Request, wanted: Wanted, load: Callable[[], Awaitable[Samples]]) -> web.StreamResponse:
    if wanted.stream:
        return await _stream(request, wanted, load)
    transcript = await while_there(request, _transcribed(request, wanted, load))
    return web.Response(
        text=RENDERERS[wanted.form](transcript),
        content_type=TYPES.get(wanted.form, "text/plain"),
        charset="utf-8",
        headers=wanted.headers,
    )


async def _transcribed(request: web.Request, wanted: Wanted, load: Callable[[], Awaitable[Samples]]) -> Transcript:
    """Raises AudioError, and 503 where the models cannot do it now."""
    samples = await load()
    work = _work(request, wanted, samples)
    try:
        async with contextlib.aclosing(work.segments()) as segments:
            found = [segment async for segment in segments]
    except ModelsError as error:
        raise try_again(str(error), 5) from None
    return gather(found, work.language, samples.size / HEARD_RATE)


async def _stream(request: web.Request, wanted: Wanted, load: Callable[[], Awaitable[Samples]]) -> web.StreamResponse:
    """The segments as server-sent events. Audio that cannot be read is refused before the first of them."""
    samples = await while_there(request, _loaded(load))
    response = await sse.begin(request, wanted.headers)
    try:
        await while_there(request, _pour(_work(request, wanted, samples), samples.size / HEARD_RATE, response))
        await response.write_eof()
    except (Left, ConnectionError):
        pass  # nobody reads any more, and the work is stopped
    return response


async def _loaded(load: Callable[[], Awaitable[Samples]]) -> Samples:
    return await load()


async def _pour(work: Transcription, seconds: float, response: web.StreamResponse) -> None:
    text = ""
    try:
        async with contextlib.aclosing(work.segments()) as segments:
            async for segment in segments:
                delta = segment.text if not text or work.language in UNSPACED else f" {segment.text}"
                text += delta
                await sse.send(response, {"type": "transcript.text.delta", "delta": delta})
    except ModelsError as error:
        await sse.send(response, {"error": {"code": "models", "message": str(error)}})
    else:
        await sse.send(response, {"type": "transcript.text.done", "text": text, "usage": usage(seconds)})


def _work(request: web.Request, wanted: Wanted, samples: Samples) -> Transcription:
    settings = request.app[SETTINGS]
    share = (settings.models.max_waiting + 1) // 2 // settings.sources.at_once  # of what a host takes of files
    in_flight = max(1, min(IN_FLIGHT, share))
    return Transcription(request.app[STATUS].models, samples, wanted.language, in_flight=in_flight)


# -- what /openapi.json says of it --------------------------------------------------------------------------

_USAGE = openapi.struct({"type": {"const": "duration"}, "seconds": {"type": "integer", "minimum": 0}})
_NUMBER = {"type": "number"}
_SEGMENT = openapi.struct(
    {
        "id": {"type": "integer"},
        "seek": {"type": "integer", "description": "where its window begins, in hundredths of a second"},
        "start": _NUMBER,
        "end": _NUMBER,
        "text": {"type": "string"},
        "tokens": {"type": "array", "items": {"type": "integer"}, "description": "always empty"},
        "temperature": {"const": 0.0},
        "avg_logprob": {"type": "number", "description": "the logarithm of confidence"},
        "compression_ratio": _NUMBER,
        "no_speech_prob": {"const": 0.0, "description": "windows without speech make no segment"},
        "confidence": _NUMBER,
    }
)
_JSON = openapi.struct({"text": {"type": "string"}, "usage": _USAGE})
_VERBOSE = openapi.struct(
    {
        "task": {"const": "transcribe"},
        "language": {"type": "string", "description": "ISO 639-1; empty where nothing is said"},
        "duration": _NUMBER,
        "text": {"type": "string"},
        "confidence": _NUMBER,
        "segments": {"type": "array", "items": _SEGMENT},
        "usage": _USAGE,
    }
)
_TEXT = {"type": "string"}
_TOLD: dict[str, Any] = {
    "application/json": {"anyOf": [_JSON, _VERBOSE]},
    "text/plain": _TEXT,
    "text/vtt": _TEXT,
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "audio or video in any form FFmpeg knows"},
        "model": {"type": "string", "description": "of no account: the server has one"},
        "language": {"type": "string", "description": "ISO 639-1; left out to detect it"},
        "prompt": {"type": "string", "description": "ignored"},
        "response_format": {"enum": list(FORMATS), "default": "json"},
        "temperature": {"type": "number", "description": "ignored: the likeliest words are taken"},
        "timestamp_granularities[]": {"type": "array", "items": {"const": "segment"}},
        "stream": {"type": "boolean", "default": False, "description": "server-sent events; json and text only"},
    },
}
OPENAPI = {
    ("POST", "/v1/audio/transcriptions"): Operation(
        "Transcribe a file, in the shape of OpenAI's endpoint",
        replies={200: Reply("The words", _TOLD | {"text/event-stream": _TEXT}, headers=(IGNORED,))},
        errors=(400, 408, 413, 415, 503),
        body={"multipart/form-data": _FORM},
    ),
    ("POST", "/transcribe"): Operation(
        "Transcribe what a URL, a data: URL or base64 holds",
        replies={200: Reply("The words", _TOLD)},
        errors=(400, 408, 413, 415, 422, 503),
        body=Source,
    ),
}
