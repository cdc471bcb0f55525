"""One WebRTC connection of a caller, on stock aiortc: opened once, ended once. A call may have several, in turn.

It shares the machine with the server that is being measured, so it is built to cost next to nothing: its packets are
encoded beforehand, and what arrives is decoded once, by libopus, on the spot.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import candidate_from_sdp

from voxrtc.client.desk import Desk
from voxrtc.client.ear import Ear
from voxrtc.client.failed import CallFailed
from voxrtc.client.microphone import Microphone

logger = logging.getLogger(__name__)

LABEL = "voxrtc"
CONNECT_TIMEOUT_S = 15.0

OnEvent = Callable[[dict[str, Any], float], None]


class Line:
    """``connect`` first, ``leave`` at the end, whatever happened.

    ``on_event`` gets each event (its JSON object and the ``loop.time()`` of its arrival), ``on_end`` is called once,
    when the line has ended. ``ended`` says why, then; ``last_word``: the server said that the call is over, or
    elsewhere.
    """

    def __init__(
        self,
        desk: Desk,
        microphone: Microphone,
        ear: Ear,
        ice_servers: Sequence[RTCIceServer],
        on_event: OnEvent,
        on_end: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._loop = asyncio.get_running_loop()
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._microphone, self._ear = microphone, ear
        self._on_event, self._on_end = on_event, on_end
        self._channel: RTCDataChannel | None = None
        self._payload_type: int | None = None
        self._takes_channel = True
        self._opened = asyncio.Event()
        self._late: asyncio.Task[None] | None = None
        self.session: str | None = None
        self.resume: str | None = None
        self.ended: str | None = None
        self.last_word = False
        self.last_event_at: float | None = None
        self.offered_at = 0.0
        self.offer_ms: float | None = None
        self.connect_ms: float | None = None

    async def connect(self, how: dict[str, Any]) -> None:
        """Offer, and wait until the line is up. ``how``: what the offer tells beside its SDP. Raises CallFailed."""
        offer = await self._make_offer()
        self.offered_at = self._loop.time()
        answer = await self._desk.offer({"sdp": offer.sdp, "type": offer.type} | how)
        self.offer_ms = (self._loop.time() - self.offered_at) * 1e3
        await self._accept(answer)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._opened.wait()
        except TimeoutError:
            raise CallFailed(
                f"no connection within {CONNECT_TIMEOUT_S:g} s of the answer (connection {self._pc.connectionState}, "
                f"ICE {self._pc.iceConnectionState})"
            ) from None
        if self.ended is not None:
            raise CallFailed(f"the call ended before it was up: {self.ended}")

    async def _make_offer(self) -> RTCSessionDescription:
        transceiver = self._pc.addTransceiver(self._microphone.track(), direction="sendrecv")
        able = RTCRtpReceiver.getCapabilities("audio")
        transceiver.setCodecPreferences([c for c in able.codecs if c.mimeType.lower() == "audio/opus"] if able else [])
        self._ear.attach(transceiver.receiver, lambda: self._payload_type, self._on_first)
        channel = self._pc.createDataChannel(LABEL)
        channel.on("open", self._on_open)
        channel.on("message", self._on_message)
        channel.on("close", lambda: self._end("the server closed the data channel"))
        self._channel = channel
        self._pc.on("connectionstatechange", self._on_state)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._pc.localDescription

    async def _accept(self, answer: dict[str, Any]) -> None:
        self.session, self.resume = answer.get("session"), answer.get("resume")
        found = re.search(r"^a=rtpmap:(\d+) opus/48000", answer["sdp"], re.MULTILINE | re.IGNORECASE)
        if found is None:
            raise CallFailed("the answer takes no Opus")
        self._payload_type = int(found[1])
        self._takes_channel = re.search(r"^m=application [1-9]", answer["sdp"], re.MULTILINE) is not None
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        except (ValueError, KeyError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise CallFailed(f"the answer cannot be used: {error or type(error).__name__}") from error
        if answer.get("ice_servers") and self.session is not None:
            # A server with a TURN server may have a place on it, which is found after its answer.
            self._late = asyncio.create_task(self._take_late_ones(self.session))

    async def _take_late_ones(self, session: str) -> None:
        try:
            for one in await self._desk.late_candidates(session):
                candidate = candidate_from_sdp(one["candidate"].removeprefix("candidate:"))
                candidate.sdpMid, candidate.sdpMLineIndex = one["sdp_mid"], one["sdp_mline_index"]
                await self._pc.addIceCandidate(candidate)
        except (CallFailed, KeyError, ValueError, AssertionError) as error:  # those of the answer may do
            logger.warning("candidates after the answer: %s", error)

    # -- while it lasts -------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        """One command to the server (voxrtc/commands.py). Raises CallFailed where the data channel is not open."""
        if self._channel is None or self._channel.readyState != "open":
            raise CallFailed(f"nothing can be sent: {self.ended or 'the data channel is not open'}")
        self._channel.send(json.dumps(message))

    async def leave(self) -> None:
        """Free everything without a word: the session waits for whoever comes with its token."""
        self._end("hung up")
        if self._late is not None:
            self._late.cancel()
            await asyncio.gather(self._late, return_exceptions=True)
        await self._pc.close()

    def _on_first(self) -> None:
        if not self._takes_channel:
            self._on_open()

    def _on_open(self) -> None:
        if self.connect_ms is None:
            self.connect_ms = (self._loop.time() - self.offered_at) * 1e3
        self._opened.set()

    def _on_message(self, message: str | bytes) -> None:
        now = self._loop.time()
        try:
            event = json.loads(message)
        except ValueError:
            logger.warning("a message on the data channel is not JSON: %.80r", message)
            return
        if not isinstance(event, dict):
            logger.warning("a message on the data channel is no object: %.80r", message)
            return
        self.last_event_at = now
        kind = event.get("type")
        if kind in ("call_ended", "call_moved"):
            self.last_word = True
        self._on_event(event, now)
        if kind == "call_ended":
            self._end(": ".join(filter(None, [str(event.get("reason")), str(event.get("detail") or "")])))
        elif kind == "call_moved":
            self._end("somebody else took the call up with its token")

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._end(f"the connection {'failed' if self._pc.connectionState == 'failed' else 'was closed'}")

    def _end(self, reason: str) -> None:
        if self.ended is not None:
            return
        self.ended = reason
        self._opened.set()
        self._on_end()
