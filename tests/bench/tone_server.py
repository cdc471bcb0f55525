"""A server that answers with a tone at a known instant: what a measuring caller must prove itself against.

It finds out by itself when a clip began (the first loud frame, on the clock that the packets' own timestamps and the
earliest arrivals give), and answers ``delay_s`` after the end of speech that it was told. Runs inside a test, or alone:
``python tone_server.py`` takes its port and behaviour from the environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from time import time

import av
import numpy as np
import opuslib_next
from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

FRAME_S = 0.02


def packets(level: float, seconds: float) -> list[bytes]:
    """A 450 Hz tone as 20 ms Opus packets, coded after silence and before some more of it."""
    encoder = opuslib_next.Encoder(48_000, 1, opuslib_next.APPLICATION_AUDIO)
    tone = level * np.sin(2 * np.pi * 450 * np.arange(round(48_000 * seconds)) / 48_000)
    quiet = np.zeros(9_600)
    pcm = (np.concatenate([quiet, tone, quiet]) * 32_767).astype("<i2").tobytes()
    return [encoder.encode(pcm[i : i + 1_920], 960) for i in range(0, len(pcm), 1_920)][10:]


def speech(seconds: float = 0.8, after: float = 0.2) -> np.ndarray:
    """A clip (n,) at 16 kHz: loud from its first sample on for ``seconds``, and then quiet."""
    t = np.arange(round(16_000 * seconds)) / 16_000
    loud = 0.2 * np.sin(2 * np.pi * 300 * t) * (0.7 + 0.3 * np.sin(2 * np.pi * 3 * t))
    quiet = 0.0003 * np.random.default_rng(1).standard_normal(round(16_000 * after))
    return np.concatenate([loud, quiet]).astype(np.float32)


@dataclass
class Behaviour:
    """``ends``: the end of speech of each clip to come, in seconds from its first sample, over and over."""

    ends: tuple[float, ...] = (1.0,)
    delay_s: float = 0.5
    tone_s: float = 0.3
    words: tuple[str, ...] = ("one two three",)
    answers: bool = True
    events: bool = True
    ended: str = "finished"
    early_s: float | None = None
    """Answer this long after the clip's beginning as well: a false cut-off."""
    refuse: int | None = None
    hang_up_s: float | None = None
    """End the call this long after the clip's beginning."""


@dataclass(eq=False)
class Mouth(MediaStreamTrack):
    """Silence, and tones at the instants asked for, whose real beginnings are in ``sent``."""

    kind = "audio"
    tone: list[bytes]
    silence: list[bytes] = field(default_factory=lambda: packets(0.0, 0.02))
    wanted: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._due: float | None = None
        self._stamp = 0
        self._playing: list[bytes] = []

    async def recv(self) -> av.Packet:
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        due = loop.time() if self._due is None else self._due
        if self.wanted and self.wanted[0] < due + FRAME_S:
            due, self._playing = self.wanted.pop(0), list(self.tone)
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.sent.append(loop.time())
        else:
            await asyncio.sleep(max(0.0, due - loop.time()))
        self._due = due + FRAME_S
        packet = av.Packet(self._playing.pop(0) if self._playing else self.silence[0])
        packet.pts, packet.time_base = self._stamp, Fraction(1, 48_000)
        self._stamp += 960
        return packet


class Line:
    """One call: hears when a clip begins, and answers it."""

    def __init__(self, server: ToneServer, pc: RTCPeerConnection) -> None:
        self.server, self.pc = server, pc
        self.mouth = Mouth(tone=packets(0.3, server.behaviour.tone_s))
        self.channel = None
        self.turn = 0
        self.speech_ended: list[float] = []
        self._decoder = opuslib_next.Decoder(16_000, 1)
        self._first_stamp: int | None = None
        self._origin = float("inf")
        self._deaf_until = 0.0
        self._tasks: set[asyncio.Task] = set()
        pc.addTrack(self.mouth)
        pc.getReceivers()[0]._handle_rtp_packet = self.hear
        pc.on("datachannel", self.take)

    def take(self, channel) -> None:
        self.channel = channel
        self.tell("call_started", hears="nothing", thinks="nothing", speaks="a tone", language="en", voice="tone",
                  interruptions="off", resumed=False)  # fmt: skip

    def tell(self, kind: str, **what) -> None:
        if self.channel is not None and self.server.behaviour.events and self.channel.readyState == "open":
            self.channel.send(json.dumps({"type": kind, "call": "x", "at": 0, "time": time()} | what))

    async def hear(self, packet, arrival_time_ms: int) -> None:
        now = asyncio.get_running_loop().time()
        if self._first_stamp is None:
            self._first_stamp = packet.timestamp
        frame = ((packet.timestamp - self._first_stamp) & 0xFFFF_FFFF) // 960
        self._origin = min(self._origin, now - (frame + 1) * FRAME_S)
        pcm = np.frombuffer(self._decoder.decode(packet.payload, 320), np.int16).astype(np.float64)
        if now >= self._deaf_until and np.sqrt(np.mean(pcm * pcm)) > 100.0:
            self.clip_began(self._origin + frame * FRAME_S)

    def clip_began(self, began: float) -> None:
        how = self.server.behaviour
        end = began + how.ends[self.turn % len(how.ends)]
        words = how.words[self.turn % len(how.words)]
        self.turn += 1
        self.speech_ended.append(end)
        self._deaf_until = end + how.delay_s
        if how.early_s is not None:
            self.mouth.wanted.append(began + how.early_s)
        if how.answers:
            self.mouth.wanted.append(end + how.delay_s)
        task = asyncio.get_running_loop().create_task(self.say(began, end, words))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def say(self, began: float, end: float, words: str) -> None:
        how, turn, loop = self.server.behaviour, self.turn, asyncio.get_running_loop()
        if how.hang_up_s is not None:
            await asyncio.sleep(began + how.hang_up_s - loop.time())
            self.tell("call_ended", reason="shutdown", detail="the test says so")
            return
        await asyncio.sleep(end + how.delay_s - 0.02 - loop.time())
        self.tell("turn_ended", turn=turn, start=0, end=1)
        self.tell("transcript", turn=turn, text=words, final=True, confidence=0.9, language="en")
        if not how.answers:
            return
        self.tell("reply_started", reply=turn, turn=turn, speculated=turn % 2 == 1)
        self.tell("state_changed", state="speaking")
        self.tell("turn_metrics", turn=turn, reply=turn, endpoint_ms=300.0, asr_ms=50.0, first_token_ms=60.0,
                  first_audio_ms=how.delay_s * 1e3 - 30.0, voice_to_voice_ms=how.delay_s * 1e3,
                  speculated=turn % 2 == 1)  # fmt: skip
        await asyncio.sleep(how.tone_s + 0.02)
        self.tell("reply_ended", reply=turn, ended=how.ended, text="a tone")
        self.tell("state_changed", state="listening")

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pc.close()


class ToneServer:
    """The whole of it: POST /offer, DELETE /offer/{session}, /ready, /health."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.lines: dict[str, Line] = {}
        self.hung_up: list[str] = []
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        app = web.Application()
        app.router.add_post("/offer", self._offer)
        app.router.add_delete("/offer/{session}", self._hang_up)
        app.router.add_get("/ready", self._fine)
        app.router.add_get("/health", self._fine)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        for line in self.lines.values():
            await line.close()
        self.lines.clear()
        if self._runner is not None:
            await self._runner.cleanup()

    async def shut_port(self) -> None:
        """As a process that dies: nothing is sent any more, and nobody listens."""
        for line in self.lines.values():
            line.mouth.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _fine(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _offer(self, request: web.Request) -> web.Response:
        if self.behaviour.refuse is not None:
            headers = {"Retry-After": "7"} if self.behaviour.refuse == 503 else {}
            body = {"error": {"code": "full", "message": "All lines are busy."}}
            return web.json_response(body, status=self.behaviour.refuse, headers=headers)
        offer = await request.json()
        pc = RTCPeerConnection()
        session = f"s{len(self.lines) + 1}"
        await pc.setRemoteDescription(RTCSessionDescription(offer["sdp"], offer["type"]))
        self.lines[session] = Line(self, pc)
        await pc.setLocalDescription(await pc.createAnswer())
        answer = {"sdp": pc.localDescription.sdp, "type": "answer"}
        return web.json_response(answer | {"session": session, "resume": "r", "ice_servers": []})

    async def _hang_up(self, request: web.Request) -> web.Response:
        self.hung_up.append(request.match_info["session"])
        return web.Response(status=204)


async def main() -> None:
    port = int(os.environ["VOXRTC_SERVER__PORT"])
    server = ToneServer(Behaviour(ends=tuple(json.loads(os.environ.get("TONE_ENDS", "[1.0]")))))
    await server.start(port)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
