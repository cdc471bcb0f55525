"""A stand-in for vLLM serving Voxtral: its JSON, its errors, as strict as it is or stricter, and no model behind it.

What it says was taken from vLLM 0.32 (test_vllm.py runs the same conversation with the real one).
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import re
import wave
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "tiny-voxtral"
KEY = "sesame"
MOST_SOUNDS = 5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Wrong(Exception):
    """The request is none that vLLM takes."""

    def __init__(self, message: str, status: int = 400, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.more = more


@dataclass
class Fake:
    """``words``: what it answers. ``heard``: what it transcribes. ``faults``: done, once each, in place of answers."""

    words: list[str] = field(default_factory=lambda: ["Hello", " there,", " caller."])
    calls: list[dict[str, Any]] | None = None
    heard: str = "And so my fellow Americans."
    verbose: bool = False
    transcribes: bool = True
    lists: bool = True
    chat_hears: bool = True
    key: str = ""
    languages: tuple[str, ...] = ("en", "fr", "de")
    room: int = 4_000
    """Characters of a conversation."""
    faults: deque[Handler] = field(default_factory=deque)
    chat_gate: asyncio.Event | None = None
    """Waited for after the first word."""
    hearing_gate: asyncio.Event | None = None
    chats: list[dict[str, Any]] = field(default_factory=list)
    transcriptions: list[dict[str, str]] = field(default_factory=list)
    sounds: list[int] = field(default_factory=list)
    """Samples of each sound, as they came."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client went away in the middle of an answer."""
    peers: set[object] = field(default_factory=set)
    """The connections that were made."""
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[Fake]:
        """Answers on loopback within."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._guarded(self._models))
        app.router.add_post("/v1/chat/completions", self._guarded(self._chat))
        app.router.add_post("/v1/audio/transcriptions", self._guarded(self._transcribe))
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            assert request.transport is not None
            self.peers.add(request.transport.get_extra_info("peername"))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
                    return web.json_response({"error": "Unauthorized"}, status=401)
                if request.method == "POST" and self.faults:
                    return await self.faults.popleft()(request)
                return await handler(request)
            except Wrong as wrong:
                return _error(str(wrong), wrong.status, **wrong.more)
            except (asyncio.CancelledError, ConnectionResetError):
                self.left.set()
                raise
            finally:
                self.at_once -= 1

        return guarded

    async def _models(self, request: web.Request) -> web.Response:
        if not self.lists:
            raise web.HTTPNotFound
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "vllm"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.chats.append(asked)
        self._check(asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await send(response, {"role": "assistant", "content": ""})
        if self.calls is not None and asked.get("tool_choice") == "auto":
            for delta in self.calls:
                await send(response, {"tool_calls": [delta]})
            await send(response, {}, "tool_calls")
        else:
            words = self.words[: asked["max_tokens"]]
            for number, word in enumerate(words):
                await send(response, {"content": word})
                if number == 0 and self.chat_gate is not None and not self._tries(asked):
                    await self.chat_gate.wait()
            await send(response, {}, "stop" if words == self.words else "length")
        await response.write(b"data: [DONE]\n\n")
        return response

    @staticmethod
    def _tries(asked: dict[str, Any]) -> bool:
        """Whether it is the trial of a host that starts."""
        return bool(asked["max_tokens"] == 1)

    def _check(self, asked: dict[str, Any]) -> None:
        if unknown := asked.keys() - {
            *("model", "messages", "stream", "max_tokens", "temperature", "seed", "tools", "tool_choice")
        }:
            raise Wrong(f"Extra inputs are not permitted: {unknown}")
        if asked["model"] != MODEL:
            raise Wrong(f"The model `{asked['model']}` does not exist.", 404, type="NotFoundError", param="model")
        assert asked["stream"] is True
        if ("tools" in asked) != ("tool_choice" in asked):
            raise Wrong("When using `tool_choice`, `tools` must be set.")
        for tool in asked.get("tools", ()):
            assert tool["type"] == "function"
            assert tool["function"].keys() == {"name", "description", "parameters"}
        messages = asked["messages"]
        self._check_order(messages)
        sounds = [part for m in messages for part in _parts(m) if part["type"] == "input_audio"]
        if sounds and not self.chat_hears:
            raise Wrong("At most 0 audio(s) may be provided in one prompt. (parameter=audio)")
        if len(sounds) > MOST_SOUNDS:
            raise Wrong(f"At most {MOST_SOUNDS} audio(s) may be provided in one prompt. (parameter=audio)")
        if sounds and messages[0]["role"] == "system":
            raise Wrong("Found system messages at indexes [0] and audio chunks in messages at indexes [1].")
        for sound in sounds:
            assert sound["input_audio"]["format"] == "wav"
            self.sounds.append(_samples(base64.b64decode(sound["input_audio"]["data"], validate=True)))
        words = sum(len(part["text"]) for m in messages for part in _parts(m) if part["type"] == "text")
        if words > self.room:
            told = "This model's maximum context length is 8192 tokens. However, your prompt contains more: "
            raise Wrong(told + str(messages[-1]["content"])[:100], param="input_tokens")

    @staticmethod
    def _check_order(messages: list[dict[str, Any]]) -> None:
        """As templates check it that are stricter than Mistral's own."""
        roles = [m["role"] for m in messages]
        if roles[0] == "system":
            roles = roles[1:]
        if "system" in roles or not roles or roles[0] != "user" or roles[-1] not in ("user", "tool"):
            raise Wrong(f"Conversation roles must alternate user/assistant/user/assistant/... {roles}")
        after = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"assistant"}}
        for one, next_one in itertools.pairwise(roles):
            if next_one not in after[one]:
                raise Wrong(f"Unexpected role '{next_one}' after role '{one}'")
        open_calls: list[str] = []
        for m in messages:
            if m["role"] == "tool":
                assert m["tool_call_id"] == open_calls.pop()
            assert not open_calls
            for call in m.get("tool_calls", ()):
                assert re.fullmatch(r"[A-Za-z0-9]{9}", call["id"])
                assert isinstance(json.loads(call["function"]["arguments"]), dict)
                open_calls.append(call["id"])
        assert not open_calls

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        if not self.transcribes:
            raise Wrong("The model does not support Transcriptions API", 404, type="NotFoundError")
        fields: dict[str, str] = {}
        async for part in await request.multipart():
            if part.name == "file":
                assert part.filename == "turn.wav"
                self.sounds.append(_samples(bytes(await part.read())))
            else:
                fields[part.name] = await part.text()
        self.transcriptions.append(fields)
        if fields["model"] != MODEL:
            raise Wrong(f"The model `{fields['model']}` does not exist.", 404, type="NotFoundError", param="model")
        if "language" in fields and fields["language"] not in self.languages:
            raise Wrong(f"Unsupported language: '{fields['language']}'. Must be one of {self.languages}.")
        if fields["response_format"] == "verbose_json" and not self.verbose:
            raise Wrong(f"Currently do not support verbose_json for {MODEL}")
        if self.hearing_gate is not None and self.heard:
            await self.hearing_gate.wait()
        if not self.verbose:
            return web.json_response({"text": f" {self.heard}", "usage": {"type": "duration", "seconds": 1}})
        segment = {"id": 0, "start": 0.0, "end": 2.0, "avg_logprob": -0.1, "no_speech_prob": 0.01}
        segments = [{**segment, "text": f" {self.heard}"}] if self.heard else []
        return web.json_response({"text": self.heard, "language": "french", "duration": 2.0, "segments": segments})


async def send(response: web.StreamResponse, delta: dict[str, Any], reason: str | None = None) -> None:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]}
    await response.write(f"data: {json.dumps(chunk)}\n\n".encode())


# -- faults ---------------------------------------------------------------------------------------------------


def status(number: int, message: str = "no", **headers: str) -> Handler:
    async def fault(request: web.Request) -> web.StreamResponse:
        return _error(message, number, headers=headers)

    return fault


async def reset(request: web.Request) -> web.StreamResponse:
    """Breaks the connection before it answers."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def stream(*pieces: bytes, then_reset: bool = False) -> Handler:
    """Streams these bytes."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then_reset:
            assert request.transport is not None
            request.transport.abort()
        return response

    return fault


async def silence(request: web.Request) -> web.StreamResponse:
    """Takes the request, and says nothing for as long as somebody waits."""
    await request.read()
    await asyncio.Event().wait()
    raise AssertionError


# -- what is in a request -------------------------------------------------------------------------------------


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message["role"] != "user":
        assert isinstance(content, str)
    return parts


def _samples(data: bytes) -> int:
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert len(file.readframes(file.getnframes())) == 2 * file.getnframes()
        return file.getnframes()


def _error(message: str, number: int, headers: dict[str, str] | None = None, **more: object) -> web.Response:
    error = {"message": message, "type": "BadRequestError", "param": None, "code": number, **more}
    return web.json_response({"error": error}, status=number, headers=headers)
