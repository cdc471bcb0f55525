"""A stand-in for the voxrtc server, for tests of the page only: no models, no conversation, what it says is scripted.

It serves web/ under the server's own headers (Content-Security-Policy), answers the offer with a real aiortc peer that
sends a tone, keeps what the page sends, and sends down whatever events a test hands to ``say``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from voxrtc.server.app import HEADERS

WEB = Path(__file__).parents[2] / "web"
RATE = 48_000
READY = {
    "status": "ready",
    "hears": "whisper-base",
    "thinks": "qwen2.5-1.5b",
    "speaks": "hibari",
    "languages": ["en", "de", "hi"],
    "voices": {"hibari": ["en"], "espeak": ["en", "de", "hi"]},
}


class Tone(MediaStreamTrack):  # type: ignore[misc]
    """440 Hz at -12 dBFS, in frames of 20 ms, paced on absolute deadlines."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._sent = 0
        self._begun: float | None = None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._begun = self._begun or loop.time()
        await asyncio.sleep(max(0.0, self._begun + self._sent / RATE - loop.time()))
        n = np.arange(self._sent, self._sent + RATE // 50)
        wave = (0.25 * 32767 * np.sin(2 * np.pi * 440 * n / RATE)).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._sent, Fraction(1, RATE)
        self._sent += RATE // 50
        return frame


@dataclass
class Line:
    """One connected page: its peer, its data channel once open, and how many frames of sound have come in."""

    session: str
    peer: RTCPeerConnection
    resumed: bool
    frames: int = 0
    channel: Any = None
    up: asyncio.Event = field(default_factory=asyncio.Event)
    listener: asyncio.Task[None] | None = None


@dataclass
class FakeServer:
    """What a test sets, and what it may look at afterwards."""

    readiness: dict[str, Any] = field(default_factory=lambda: dict(READY))
    refusals: list[web.Response] = field(default_factory=list)
    """Answers to the next offers, in place of a call."""
    interruptions: str = "on"
    keeps_sessions: bool = True
    """False: a resume token is not known any more."""
    offers: list[dict[str, Any]] = field(default_factory=list)
    patches: list[list[dict[str, Any]]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    """Every message of the page."""
    lines: list[Line] = field(default_factory=list)
    port: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def line(self) -> Line:
        return self.lines[-1]

    async def until(self, happened: Any, limit: float = 10.0) -> Any:
        """Wait for ``happened()`` to be true; returns what it gave."""
        async with asyncio.timeout(limit), self._news:
            await self._news.wait_for(happened)
            return happened()

    def say(self, *events: dict[str, Any]) -> None:
        """Send events down the newest line, completed with call, at and time."""
        for event in events:
            whole = {"call": self.line.session, "at": 0, "time": time.time()} | event
            self.line.channel.send(json.dumps(whole))

    def ended(self, reason: str, detail: str = "") -> None:
        self.say({"type": "call_ended", "reason": reason, "detail": detail})

    async def cut(self) -> None:
        """The newest line dies, as when the network takes it."""
        await self.line.peer.close()

    def mute(self, silent: bool = True) -> None:
        """Nothing goes out on the newest line any more, not even a goodbye, as when the process hangs or is killed."""
        for transport in {one.receiver.transport.transport for one in self.line.peer.getTransceivers()}:
            for protocol in transport._connection._protocols:  # aioice's sockets
                if silent:
                    protocol.transport.sendto = lambda *_: None
                else:
                    del protocol.transport.sendto

    async def _notify(self) -> None:
        async with self._news:
            self._news.notify_all()

    # -- HTTP --

    async def ready(self, _: web.Request) -> web.Response:
        return web.json_response(self.readiness, status=200 if self.readiness["status"] == "ready" else 503)

    async def ice(self, _: web.Request) -> web.Response:
        return web.json_response({"ice_servers": []})

    async def offer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.offers.append(body)
        await self._notify()
        if self.refusals:
            return self.refusals.pop(0)
        resumed = bool(body.get("resume")) and self.keeps_sessions
        session = body["resume"].removeprefix("token-") if resumed else f"s{len(self.offers)}"
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        line = Line(session, peer, resumed)
        peer.on("datachannel", lambda channel: self._opened(line, channel))
        peer.on("track", lambda track: self._hear(line, track))
        peer.addTrack(Tone())
        await peer.setRemoteDescription(RTCSessionDescription(body["sdp"], "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        self.lines.append(line)
        answer = {"sdp": peer.localDescription.sdp, "type": "answer", "session": session}
        return web.json_response(answer | {"resume": f"token-{session}", "ice_servers": []})

    async def trickle(self, request: web.Request) -> web.Response:
        candidates = (await request.json())["candidates"]
        self.patches.append(candidates)
        peer = self.line.peer
        for found in candidates:
            text = found["candidate"].removeprefix("candidate:")
            if text and ".local" not in text and peer.connectionState != "closed":
                candidate = candidate_from_sdp(text)
                candidate.sdpMid, candidate.sdpMLineIndex = found["sdp_mid"], found["sdp_mline_index"]
                await peer.addIceCandidate(candidate)
        await self._notify()
        return web.Response(status=204)

    async def delete(self, request: web.Request) -> web.Response:
        self.deleted.append(request.match_info["session"])
        await self.line.peer.close()
        await self._notify()
        return web.Response(status=204)

    # -- the peer --

    def _hear(self, line: Line, track: MediaStreamTrack) -> None:
        async def listen() -> None:
            while True:
                await track.recv()
                line.frames += 1
                if line.frames % 10 == 1:
                    await self._notify()

        line.listener = asyncio.create_task(listen())

    def _opened(self, line: Line, channel: Any) -> None:
        line.channel = channel
        channel.on("message", lambda text: asyncio.ensure_future(self._said(json.loads(text))))
        started = {"hears": "whisper-base", "thinks": "qwen2.5-1.5b", "speaks": "hibari", "language": "en"}
        settings = {"voice": "hibari", "interruptions": self.interruptions, "resumed": line.resumed}
        self.say({"type": "call_started"} | started | settings, {"type": "state_changed", "state": "listening"})
        line.up.set()
        asyncio.ensure_future(self._notify())  # noqa: RUF006

    async def _said(self, message: dict[str, Any]) -> None:
        self.said.append(message)
        await self._notify()

    async def close(self) -> None:
        for line in self.lines:
            await line.peer.close()
            if line.listener:
                line.listener.cancel()
                await asyncio.gather(line.listener, return_exceptions=True)


def refusal(status: int, code: str, message: str, retry_after: int | None = None) -> web.Response:
    """An error as the server words it."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


@web.middleware
async def _policy(request: web.Request, handler: Any) -> web.StreamResponse:
    response: web.StreamResponse = await handler(request)
    response.headers.update(HEADERS)
    return response


@contextlib.asynccontextmanager
async def serving(server: FakeServer) -> AsyncIterator[FakeServer]:
    """Serve ``server`` on a free port of 127.0.0.1 until the block is left."""
    app = web.Application(middlewares=[_policy])
    app.router.add_get("/", _page)
    app.router.add_get("/ready", server.ready)
    app.router.add_get("/ice", server.ice)
    app.router.add_post("/offer", server.offer)
    app.router.add_patch("/offer/{session}", server.trickle)
    app.router.add_delete("/offer/{session}", server.delete)
    app.router.add_static("/", WEB)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await server.close()
        await runner.cleanup()


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(WEB / "index.html")
