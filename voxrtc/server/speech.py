"""Text to speech alone: OpenAI's POST /v1/audio/speech, streamed as it is made."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from time import monotonic
from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web

from voxrtc.audio import SPOKEN_RATE
from voxrtc.dialogue.clauses import ClauseCutter
from voxrtc.errors import ModelsError
from voxrtc.languages import ALL, primary
from voxrtc.models.wire import Ready, Speak, Speech, unpack
from voxrtc.server.encoding import TYPES, encoder
from voxrtc.server.keys import SETTINGS, SPEECHES, STATUS
from voxrtc.server.offer import read_json
from voxrtc.server.openapi import Operation, Reply
from voxrtc.server.readiness import Left, place, running, try_again, while_there
from voxrtc.server.realtime.session import OPENAI_VOICES
from voxrtc.server.transcribe import IGNORED

routes = web.RouteTableDef()

AT_ONCE = 4
"""Texts that are being spoken at once; callers have the voice as well."""
MOST_CHARS = 4_096
BUSY = f"{AT_ONCE} texts are being spoken already; try again in a moment"


class VoiceId(msgspec.Struct, frozen=True):
    id: str


class Text(msgspec.Struct, frozen=True):
    """The body of POST /v1/audio/speech. ``voice``: one of GET /voices, or one of OpenAI's names for the default.
    ``language``: ISO 639-1, what the text is in; left out for that of the configuration. ``model`` and
    ``instructions`` are of no account."""

    input: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARS)]
    voice: str | VoiceId = ""
    model: str = ""
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, msgspec.Meta(ge=0.5, le=2.0)] = 1.0
    language: str = ""
    instructions: str | None = None
    stream_format: Literal["audio"] = "audio"


@routes.post("/v1/audio/speech")
async def post_speech(request: web.Request) -> web.StreamResponse:
    """The text, spoken."""
    ready = running(request)
    text = await read_json(request, Text)
    clauses = _clauses(request, text, ready)
    async with place(request.app[SPEECHES], BUSY):  # not sooner: who sends slowly is in nobody's way
        spoken = _spoken(request, clauses)
        async with contextlib.aclosing(spoken):
            first = await while_there(request, _first(spoken))  # a failure before it has a status of its own
            if first is None:
                raise web.HTTPBadRequest(text="input: the voice has no sound for anything in it")
            return await _stream(request, text, first, spoken)


def _clauses(request: web.Request, text: Text, ready: Ready) -> list[Speak]:
    """What is said one after the other. Raises 400 for a voice or a language that is not there, and for no words."""
    settings = request.app[SETTINGS]
    voice = text.voice.id if isinstance(text.voice, VoiceId) else text.voice
    if voice in OPENAI_VOICES and voice not in ready.voices:
        voice = ""
    if voice and voice not in ready.voices:
        raise web.HTTPBadRequest(text=f"voice: one of {', '.join(ready.voices)}, or none for the default")
    language = _language(text.language or settings.dialogue.language, ready)
    cutter = ClauseCutter(settings.tts.first_clause_chars, settings.tts.max_clause_chars)
    cuts = [*cutter.feed(text.input), *cutter.finish()]
    said = [cut.text.strip() for cut in cuts if any(sign.isalnum() for sign in cut.text)]
    if not said:
        raise web.HTTPBadRequest(text="input: there is nothing in it that could be said")
    speed = settings.tts.speed * text.speed
    return [Speak(clause, voice, language, min(2.0, max(0.5, speed))) for clause in said]


def _language(asked: str, ready: Ready) -> str:
    """As the models are asked; English where that is the caller's. Raises 400 where no voice speaks it."""
    code = primary(asked)
    if code in ("", "auto"):
        return "en"
    spoken = {code for codes in ready.voices.values() for code in codes}
    if code not in spoken:
        there = ", ".join(code for code in ALL if code in spoken)
        raise web.HTTPBadRequest(text=f"language: one of {there}; no voice here speaks another")
    return code


async def _spoken(request: web.Request, clauses: list[Speak]) -> AsyncGenerator[Speech, None]:
    """The samples of ``clauses``. The further ahead of the listener they are, the less urgent the next clause is."""
    models, began, seconds = request.app[STATUS].models, 0.0, 0.0
    for clause in clauses:
        ahead = max(0.0, began + seconds - monotonic()) if began else 0.0
        asked = msgspec.structs.replace(clause, ahead_ms=round(1_000 * ahead))
        async with contextlib.aclosing(models.speak(asked)) as items:
            async for speech in items:
                began = began or monotonic()
                seconds += len(speech.samples) / 4 / SPOKEN_RATE
                yield speech


async def _first(spoken: AsyncGenerator[Speech, None]) -> Speech | None:
    """None where the voice can say nothing of it. Raises 503 where the models cannot say it now."""
    try:
        async for speech in spoken:
            if speech.samples:
                return speech
        return None
    except ModelsError as error:
        raise try_again(str(error), 5) from None


async def _stream(
    request: web.Request, text: Text, first: Speech, rest: AsyncGenerator[Speech, None]
) -> web.StreamResponse:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if text.instructions:
        headers[IGNORED] = "instructions"
    response = web.StreamResponse(headers=headers | {"Content-Type": TYPES[text.response_format]})
    await response.prepare(request)
    try:
        await while_there(request, _pour(response, text.response_format, first, rest))
        await response.write_eof()
    except (Left, ConnectionError):
        pass  # nobody listens any more, and the voice is stopped
    except ModelsError:
        if request.transport is not None:
            request.transport.abort()  # the only way left to say that this is not the end
    return response


async def _pour(response: web.StreamResponse, form: str, first: Speech, rest: AsyncGenerator[Speech, None]) -> None:
    made = encoder(form)
    await _write(response, made.feed(unpack(first.samples)))
    async for speech in rest:
        if speech.samples:
            await _write(response, made.feed(unpack(speech.samples)))
    await _write(response, made.finish())


async def _write(response: web.StreamResponse, data: bytes) -> None:
    if data:
        await response.write(data)


_SOUND: dict[str, Any] = {"type": "string", "format": "binary"}
OPENAPI = {
    ("POST", "/v1/audio/speech"): Operation(
        "Speak a text, in the shape of OpenAI's endpoint",
        replies={
            200: Reply(
                "The sound, 24 kHz mono, as it is made", dict.fromkeys(TYPES.values(), _SOUND), headers=(IGNORED,)
            )
        },
        errors=(400, 408, 413, 415, 422, 503),
        body=Text,
    )
}
