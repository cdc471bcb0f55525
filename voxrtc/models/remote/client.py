"""The HTTP side: requests to an OpenAI-compatible server, their time-outs, their second tries, and their end.

A request is tried again only while nothing of its answer has come, after a connection that was refused or broke, or a
status that says so (429, 502, 503, 504). Leaving a stream closes its connection, which is how a server of models learns
that nobody waits any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
import msgspec

from voxrtc.errors import ModelsError
from voxrtc.models.remote.complaints import (
    AGAIN,
    ANSWER,
    LIST,
    TRANSCRIBE,
    Passing,
    Refused,
    Said,
    complaint,
    retry_after,
)
from voxrtc.models.remote.replies import Reply
from voxrtc.models.remote.sse import Events
from voxrtc.models.wire import Said as Piece
from voxrtc.models.wire import ToolCall
from voxrtc.settings import Remote

PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Before the second try, doubled for each that follows; and the longest that a server may ask us to wait."""
LINGER_S = 0.05
"""How long the end of a stream may come after its last event."""
MOST_BODY = 1 << 22
"""Bytes of an answer that does not stream."""


class _Model(msgspec.Struct):
    id: str
    owned_by: str = ""


class _Listing(msgspec.Struct):
    data: list[_Model]


class Client:
    """One server. Use from one event loop, between ``open`` and ``close``."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._session: aiohttp.ClientSession | None = None
        self.vllm = False
        """It says that it is vLLM."""

    async def open(self) -> None:
        remote = self._remote
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # bound.Bound bounds them
            headers={"Authorization": f"Bearer {remote.api_key}"} if remote.api_key else {},
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=remote.connect_timeout_s, sock_read=remote.timeout_s
            ),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def models(self) -> list[str]:
        """What GET /models lists. One try. Raises ModelsError."""
        async with self._opened("GET", "/models", LIST) as response:
            body = await _body(response)
        try:
            listing = msgspec.json.decode(body, type=_Listing).data
        except (msgspec.DecodeError, RecursionError):
            raise ModelsError(f"what answers at {self._remote.url} is no server of models: see remote.url") from None
        self.vllm = any(model.owned_by == "vllm" for model in listing)
        return [model.id for model in listing]

    async def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece | ToolCall, None]:
        """The answer to a chat completion, as it streams in. Closing it closes the connection. Raises ModelsError."""
        body = msgspec.json.encode({**request, "model": self._remote.model, "stream": True})
        tries, waiting = _Tries(self._remote.retries), _Patience(self._remote.timeout_s)
        while True:
            reply = Reply(request["max_tokens"])
            try:
                async with contextlib.aclosing(self._stream(body, reply, waiting)) as pieces:
                    async for piece in pieces:
                        yield piece
            except Passing as error:
                if reply.begun:
                    raise
                await tries.pause(error)
            else:
                return

    async def transcription(self, wav: bytes, fields: Mapping[str, str]) -> bytes:
        """The JSON that POST /audio/transcriptions gives for a WAV file. Raises ModelsError."""
        remote = self._remote
        tries = _Tries(remote.retries)
        while True:
            form = aiohttp.FormData({**fields, "model": remote.hearing_model or remote.model})
            form.add_field("file", wav, filename="turn.wav", content_type="audio/wav")
            try:
                async with self._opened("POST", "/audio/transcriptions", TRANSCRIBE, data=form) as response:
                    async with asyncio.timeout(remote.timeout_s):
                        return await _body(response)
            except Passing as error:
                await tries.pause(error)

    async def _stream(self, body: bytes, reply: Reply, waiting: _Patience) -> AsyncGenerator[Piece | ToolCall, None]:
        """One try. ``reply`` takes what comes; for each of its pieces there is the time of ``waiting``."""
        head = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        async with self._opened("POST", "/chat/completions", ANSWER, data=body, headers=head) as response:
            if response.content_type != "text/event-stream":
                raise ModelsError(f"the server of models at {self._remote.url} does not stream its answers")
            events = Events()
            while received := await waiting.read(response):
                before = reply.signs
                for event in events.feed(received):
                    if reply.ended:
                        break
                    for piece in reply.take(event):
                        yield piece
                if reply.ended:
                    await _drain(response)
                    return
                if reply.signs > before:
                    waiting.begin_anew()
            for event in events.finish():
                for piece in reply.take(event):
                    yield piece
            if not reply.begun and not reply.ended:
                raise Passing("the server of models closed the connection before it answered")
            for piece in reply.finish():
                yield piece

    @contextlib.asynccontextmanager
    async def _opened(
        self, method: str, path: str, what: str, **more: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """A response of status 200; what goes wrong, also within, is a ModelsError (Passing where it may pass)."""
        if self._session is None:
            raise ModelsError("the models are not loaded yet")
        try:
            url = f"{self._remote.url}{path}"
            async with self._session.request(method, url, allow_redirects=False, **more) as response:
                if response.status != 200:
                    raise await self._refusal(response, what)
                yield response
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self._broken(error) from None

    async def _refusal(self, response: aiohttp.ClientResponse, what: str) -> ModelsError:
        said = Said.of((await _body(response))[: 1 << 16])
        listed: list[str] = []
        if response.status == 404 and what != LIST:
            with contextlib.suppress(ModelsError):  # it is only to be more helpful
                listed = await self.models()
        sentence = complaint(self._remote, what, response.status, said, listed)
        if response.status in AGAIN:
            return Passing(sentence, retry_after(response.headers.get("Retry-After")))
        return Refused(sentence, response.status, said.words)

    def _broken(self, error: Exception) -> ModelsError:
        """What the network did, as a sentence."""
        remote = self._remote
        server = f"the server of models at {remote.url}"
        match error:
            case aiohttp.ClientSSLError():
                return ModelsError(f"{server} cannot be trusted ({type(error).__name__}): see its certificate")
            case aiohttp.ConnectionTimeoutError():
                return ModelsError(
                    f"{server} took no connection within {remote.connect_timeout_s:g} s: see remote.url, or raise "
                    "remote.connect_timeout_s"
                )
            case aiohttp.ClientConnectorDNSError():
                return Unreachable(f"the host of remote.url ({remote.url}) is not known")
            case aiohttp.ClientConnectorError():
                reason = error.os_error.strerror or str(error.os_error)
                return Unreachable(f"{server} cannot be reached ({reason}): start it, or correct remote.url")
            case TimeoutError():
                return ModelsError(
                    f"{server} gave no sign for {remote.timeout_s:g} s: raise remote.timeout_s if it needs longer"
                )
            case aiohttp.ClientOSError() | aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | OSError():
                return Passing(f"{server} broke the connection")
            case _:
                return ModelsError(f"{server} cannot be asked ({type(error).__name__}): see remote.url")


class _Patience:
    """How long the next piece of an answer may be waited for, over all tries: what brings nothing of it (comments,
    empty deltas) does not make it longer, as it would with a time-out of the socket alone."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begin_anew()

    def begin_anew(self) -> None:
        self._left = self._seconds

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """What has come; empty at the end. Raises TimeoutError."""
        began = time.monotonic()  # only here, since whoever reads the answer may take his time with each piece
        try:
            async with asyncio.timeout(max(0.0, self._left)):
                return await response.content.readany()
        finally:
            self._left -= time.monotonic() - began


class Unreachable(Passing):
    """Nothing listens there."""


class _Tries:
    """Counts tries, and waits between them: longer each time, and not in step with others."""

    def __init__(self, more: int) -> None:
        self._left = more
        self._pause_s = PAUSE_S

    async def pause(self, error: Passing) -> None:
        """Return when it is to be tried again; raises ``error`` where it is not."""
        wait = error.after if error.after is not None else self._pause_s * random.uniform(0.5, 1.0)
        if not self._left or wait > LONGEST_PAUSE_S:
            raise error
        self._left -= 1
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        await asyncio.sleep(wait)


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Let the response come to its end after its last event, so that its connection can be used again."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(LINGER_S):
            await response.content.readany()


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, of which there may be MOST_BODY. Raises ModelsError."""
    body = bytearray()
    async for received in response.content.iter_any():
        body += received
        if len(body) > MOST_BODY:
            raise ModelsError("the server of models answered with more than is to be read")
    return bytes(body)
