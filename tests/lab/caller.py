"""A caller of the lab: stock aiortc in a process of its own, told what to do on stdin, which tells what came of it.

Each line in is one JSON object, {"do": NAME, ...}, and is answered by one line, {"done": ...} or {"failed": SENTENCE}.
Instants are of CLOCK_MONOTONIC, which is one for all processes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import numpy as np
from aiortc import RTCIceServer

from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.clip import load_clip
from voxrtc.bench.turn import Turn
from voxrtc.bench.wer import count_errors
from voxrtc.client.client import Client
from voxrtc.client.failed import CallFailed

WAIT_S = 30.0
HEAR_S = 1.0
SILENT_S = 5.0
TURN_URLS = {
    "stun": ("turn:", "transport=udp"),
    "udp": ("turn:", "transport=udp"),
    "tcp": ("turn:", "transport=tcp"),
    "tls": ("turns:", ""),
}
"""Beginning and end of the URL of each way to a TURN server; aiortc knows one at a time, so a caller has to choose.
stun: it is only asked for the caller's public address."""


class Agent:
    """One call, step by step: the public methods are what can be asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._caller: Client | None = None
        self._turn: Turn | None = None
        self._newest: dict[str, dict[str, Any]] = {}

    @property
    def _call(self) -> Client:
        if self._caller is None:
            raise CallFailed("there is no call")
        return self._caller

    async def connect(self, turn: str | None = None, resume: str | None = None) -> dict[str, Any]:
        """Call the server anew, with the TURN server as of TURN_URLS where ``turn`` says so. Times in ms.

        ``dial_ms``: from nothing, the asking for TURN servers and the allocation included, to the open data channel.
        """
        if self._caller is not None:
            await self._caller.close()  # of a test that failed
        dialled = monotonic()
        servers = [await self._turn_server(turn)] if turn is not None else []
        self._caller = Client(self._url, reconnect_s=0.0, silent_s=SILENT_S, ice_servers=servers, resume=resume)
        self._caller.on_event = self._note
        await self._caller.connect()
        return {
            "dial_ms": (monotonic() - dialled) * 1e3,
            "offer_ms": self._caller.offer_ms,
            "connect_ms": self._caller.connect_ms,
        }

    async def speak(self, clip: str, loss_percent: int = 0, seconds: float = WAIT_S) -> dict[str, Any]:
        """Say a clip, hear the answer for HEAR_S and cut it short.

        ``loss_percent``: that the caller's encoder was told of, as a browser is by RTCP. ``wer``: of the clip as the
        server heard it; ``heard_s``, ``level_dbfs``: of the answer; ``late_ms``: the worst delay of a packet sent;
        ``stats``: what the server said last of this caller's link.
        """
        call, spoken = self._call, load_clip(Path(clip), loss_percent)
        await self._until(lambda: call.microphone.running, seconds, "the microphone was not sent")
        turn = Turn(spoken, call.microphone.play(spoken.packets))
        self._turn = turn

        def answered() -> bool:
            heard = monotonic() >= turn.speech_ended and turn.responded(call.ear)
            return heard and bool(turn.transcripts and turn.replies)  # sound overtakes events that were lost once

        def heard_enough() -> bool:
            begun = call.ear.onset_after(turn.speech_ended) or turn.speech_ended
            return not turn.replying or (call.ear.last_audible_at or 0.0) >= begun + HEAR_S

        await self._until(answered, spoken.seconds + seconds, "no answer")
        await self._until(heard_enough, seconds, "the answer broke off")
        call.send({"type": "interrupt"})
        await self._until(lambda: not turn.replying, seconds, "the answer did not stop")
        self._turn = None
        heard = call.ear.recording(turn.speech_ended).astype(np.float64) / 32_768
        return {
            "transcript": turn.transcript,
            "wer": count_errors(spoken.words or "", turn.transcript).rate,
            "heard_s": heard.size / SPOKEN_RATE,
            "level_dbfs": float(10 * np.log10(np.mean(heard**2) + 1e-12)) if heard.size else -120.0,
            "late_ms": call.microphone.late_s * 1e3,
            "stats": await self.next("media_stats"),
            "packets": call.ear.packets,
            "lost": call.ear.lost,
        }

    async def say(self, text: str, event: str, seconds: float = WAIT_S) -> dict[str, Any]:
        """Type ``text``; the ``event`` that comes of it."""
        self._newest.pop(event, None)
        self._call.send({"type": "text", "text": text})
        return await self.next(event, seconds)

    async def next(self, event: str, seconds: float = WAIT_S) -> dict[str, Any]:
        """The newest ``event`` that nobody asked for yet; waited for where there is none."""
        await self._until(lambda: event in self._newest, seconds, f"no {event}")
        return self._newest.pop(event)

    async def move(self, turn: str | None = None) -> dict[str, Any]:
        """Go on with the call on a line of its own, as after a change of networks; the old one is given up."""
        old, self._caller = self._call, None
        try:
            return await self.connect(turn, old.token)
        finally:
            await old.leave()

    async def sound(self, since: float, seconds: float = WAIT_S) -> float:
        """When the first sound began on this line that began after the instant ``since``."""
        ear = self._call.ear
        await self._until(lambda: ear.onset_after(since) is not None, seconds, "nothing was heard")
        onset = ear.onset_after(since)
        assert onset is not None
        return onset

    async def stats(self) -> dict[str, Any]:
        """What the server says next of this caller's link."""
        self._newest.pop("media_stats", None)
        return await self.next("media_stats")

    async def hang_up(self) -> str | None:
        """End the call; what ended it before, if something did."""
        ended = self._call.ended
        await self._call.close()
        return ended

    # -- below -----------------------------------------------------------------------------------------------

    async def _turn_server(self, way: str) -> RTCIceServer:
        timeout = aiohttp.ClientTimeout(total=10)
        http = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        async with http, http.get(f"{self._url}/ice") as answer:
            servers = (await answer.json())["ice_servers"]
        begin, end = TURN_URLS[way]
        for server in servers:
            for url in server["urls"]:
                if url.startswith(begin) and url.endswith(end):
                    if way == "stun":
                        return RTCIceServer(url.replace("turn:", "stun:", 1).partition("?")[0])
                    return RTCIceServer(url, server["username"], server["credential"])
        raise CallFailed(f"GET /ice names no TURN server by {way}: {[server['urls'] for server in servers]}")

    async def _until(self, condition: Any, seconds: float, otherwise: str) -> None:
        if not await self._call.until(condition, seconds):
            raise CallFailed(f"{otherwise} within {seconds:g} s ({self._call.ended or 'the call is up'})")

    def _note(self, event: dict[str, Any], now: float) -> None:
        if self._turn is not None:
            self._turn.note(event, now)
        self._newest[event["type"]] = event


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    agent = Agent(sys.argv[1])
    try:
        while line := await reader.readline():
            asked = json.loads(line)
            try:
                told = {"done": await getattr(agent, asked.pop("do"))(**asked)}
            except (CallFailed, aiohttp.ClientError, TimeoutError, OSError) as error:
                told = {"failed": f"{type(error).__name__}: {error}"}
            print(json.dumps(told), flush=True)
    finally:
        if agent._caller is not None:
            await agent._caller.close()


if __name__ == "__main__":
    asyncio.run(main())
