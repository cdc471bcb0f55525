"""A caller on stock aiortc: offers, sends its microphone, hears through its ear, takes the events, hangs up.

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

import aiohttp
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError

from voxrtc.bench.clip import room
from voxrtc.bench.ear import Ear
from voxrtc.bench.microphone import Microphone
from voxrtc.errors import VoxrtcError

logger = logging.getLogger(__name__)

LABEL = "voxrtc"
OFFER_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 3.0
SILENT_S = 5.0
"""With neither a packet nor an event for this long, the server is asked whether it still lives."""

Heard = Callable[[dict[str, Any], float], None]


class CallFailed(VoxrtcError):
    """The call could not be placed. ``status``: what HTTP answered, ``retry_after``: seconds; each if there was one."""

    def __init__(self, message: str, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Caller:
    """One WebRTC call to ``url``. ``connect`` first, ``close`` at the end, whatever happened.

    ``on_event`` gets each event (its JSON object and the ``loop.time()`` of its arrival). ``ended`` says why the call
    is over, once it is. ``offer_ms``: POST /offer sent to answer read. ``connect_ms``: POST /offer sent to the data
    channel open (ICE, DTLS and SCTP done: both may speak), or to the first packet of the server's where it takes no
    data channel. ``first_packet_ms``: POST /offer sent to the server's first packet. ``ice_servers``: STUN and TURN
    servers to ask; aiortc uses the first of each. ``resume``: the ``token`` of a caller before, whose call this one
    takes over; the other then only has to ``leave``.
    """

    def __init__(
        self,
        url: str,
        *,
        keep_audio: bool = False,
        silent_s: float = SILENT_S,
        ice_servers: Sequence[RTCIceServer] = (),
        resume: str | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._loop = asyncio.get_running_loop()
        self._silent_s = silent_s
        self._http: aiohttp.ClientSession | None = None
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))
        self._channel: RTCDataChannel | None = None
        self._session: str | None = None
        self._resume = resume
        self.token: str | None = None
        self._payload_type: int | None = None
        self._opened = asyncio.Event()
        self._changed = asyncio.Event()
        self._offered_at = 0.0
        self._last_event_at = 0.0
        self._probed_at = 0.0
        self.microphone = Microphone(room())
        self.ear = Ear(self._loop.time, keep=keep_audio)
        self.on_event: Heard = lambda event, now: None
        self.started: dict[str, Any] = {}
        self.ended: str | None = None
        self.offer_ms: float | None = None
        self.connect_ms: float | None = None

    @property
    def first_packet_ms(self) -> float | None:
        at = self.ear.first_packet_at
        return None if at is None else (at - self._offered_at) * 1e3

    # -- placing --------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Offer, and wait until the call is up. Raises CallFailed."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=OFFER_TIMEOUT_S), trust_env=False)
        offer = await self._make_offer()
        self._offered_at = self._loop.time()
        answer = await self._post(offer)
        self.offer_ms = (self._loop.time() - self._offered_at) * 1e3
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
        self._last_event_at = self._loop.time()

    async def _make_offer(self) -> RTCSessionDescription:
        transceiver = self._pc.addTransceiver(self.microphone, direction="sendrecv")
        able = RTCRtpReceiver.getCapabilities("audio")
        transceiver.setCodecPreferences([c for c in able.codecs if c.mimeType.lower() == "audio/opus"] if able else [])
        self.ear.attach(transceiver.receiver, lambda: self._payload_type)
        channel = self._pc.createDataChannel(LABEL)
        channel.on("open", self._on_open)
        channel.on("message", self._on_message)
        channel.on("close", lambda: self._end("the server closed the data channel"))
        self._channel = channel
        self._pc.on("connectionstatechange", self._on_state)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        return self._pc.localDescription

    async def _post(self, offer: RTCSessionDescription) -> dict[str, Any]:
        assert self._http is not None
        try:
            body = {"sdp": offer.sdp, "type": offer.type} | ({"resume": self._resume} if self._resume else {})
            async with self._http.post(f"{self._url}/offer", json=body) as response:
                text = await response.text()
                if response.status != 200:
                    raise _refusal(response, text)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallFailed(f"{self._url}/offer: no answer: {error or type(error).__name__}") from None
        try:
            answer = json.loads(text)
            if not isinstance(answer["sdp"], str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            raise CallFailed(f"{self._url}/offer: answered without an SDP answer: {text[:200]!r}") from None
        return dict(answer)

    async def _accept(self, answer: dict[str, Any]) -> None:
        self._session, self.token = answer.get("session"), answer.get("resume")
        found = re.search(r"^a=rtpmap:(\d+) opus/48000", answer["sdp"], re.MULTILINE | re.IGNORECASE)
        if found is None:
            raise CallFailed("the answer takes no Opus")
        self._payload_type = int(found[1])
        takes_channel = re.search(r"^m=application [1-9]", answer["sdp"], re.MULTILINE) is not None
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        except (ValueError, KeyError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise CallFailed(f"the answer cannot be used: {error or type(error).__name__}") from error
        if not takes_channel:
            self.ear.on_first = self._on_open

    # -- while it lasts -------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        """One command to the server (voxrtc/commands.py). Raises CallFailed where the data channel is not open."""
        if self._channel is None or self._channel.readyState != "open":
            raise CallFailed(f"nothing can be sent: {self.ended or 'the data channel is not open'}")
        self._channel.send(json.dumps(message))

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``condition`` holds (True), or the call is over or ``timeout_s`` has passed (False).

        Looked at after each event, and every 50 ms besides: quiet is a condition that no event announces.
        """
        deadline = self._loop.time() + timeout_s
        while not condition():
            now = self._loop.time()
            if self.ended is not None or now >= deadline:
                return False
            await self._probe(now)
            self._changed.clear()
            try:
                async with asyncio.timeout(min(0.05, deadline - now)):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return True

    async def _probe(self, now: float) -> None:
        """End the call if nothing comes from the server any more and its port is shut: it died without a word."""
        alive_at = max(self._last_event_at, self.ear.last_packet_at or 0.0, self._probed_at)
        if now - alive_at < self._silent_s:
            return
        assert self._http is not None
        try:
            async with self._http.get(
                f"{self._url}/health", timeout=aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
            ) as answer:
                logger.debug("nothing heard for %.1f s; /health says %s", now - alive_at, answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._end(f"the server is gone: {error or type(error).__name__}")
        self._probed_at = self._loop.time()

    def _on_open(self) -> None:
        if self.connect_ms is None:
            self.connect_ms = (self._loop.time() - self._offered_at) * 1e3
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
        self._last_event_at = now
        if event.get("type") == "call_started":
            self.started = event
        self.on_event(event, now)
        if event.get("type") == "call_ended":
            self._end(": ".join(filter(None, [str(event.get("reason")), str(event.get("detail") or "")])))
        self._changed.set()

    def _on_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._end(f"the connection {'failed' if self._pc.connectionState == 'failed' else 'was closed'}")

    def _end(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
        self._opened.set()
        self._changed.set()

    async def close(self) -> None:
        """Hang up (DELETE /offer/{session}) and free everything."""
        try:
            if self._http is not None and self._session is not None and self.ended is None:
                await self._hang_up(self._http)
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Free everything without a word: the session waits for whoever comes with its ``token``."""
        self._end("hung up")
        await self._pc.close()
        if self._http is not None:
            await self._http.close()

    async def _hang_up(self, http: aiohttp.ClientSession) -> None:
        try:
            async with http.delete(f"{self._url}/offer/{self._session}") as response:
                if response.status >= 400 and response.status != 404:
                    logger.warning("hanging up: the server answered %s", response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("hanging up: %s", error or type(error).__name__)


def _refusal(response: aiohttp.ClientResponse, body: str) -> CallFailed:
    """What the server said, as a sentence."""
    try:
        told = json.loads(body)
        error = told.get("error", told) if isinstance(told, dict) else told
        message = error.get("message", body) if isinstance(error, dict) else str(error)
    except ValueError:
        message = body
    after = response.headers.get("Retry-After", "")
    wait = int(after) if after.isdigit() else None
    hint = f"; try again in {wait} s" if wait is not None else ""
    return CallFailed(f"refused ({response.status}): {str(message).strip()[:300]}{hint}", response.status, wait)
