"""One of many callers on one core: WebRTC by aiortc until it is connected, RTP by hand from then on.

It shares the machine with the server that is measured and must be cheaper than it, so nothing is encoded or decoded
while it runs: packets are ready, what comes back is only stamped and kept. There is no buffer either: a packet counts
from the moment its datagram is read.

It is a generator of load and makes its connections itself: ``voxrtc.Client`` encodes, decodes, watches its line and
replaces it, which is what a caller needs, and what a load must not cost or do.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import aiohttp
import pylibsrtp
from aioice import Connection
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket, is_rtcp

from voxrtc.bench.detour import Detour, anonymous
from voxrtc.bench.media.hearing import Recording
from voxrtc.bench.media.tones import LOOP, SENT_STRETCH, signal
from voxrtc.client.failed import CallFailed
from voxrtc.client.line import LABEL

CONNECT_TIMEOUT_S = 20.0
HEAR_TIMEOUT_S = 5.0
PACKET_S = 0.02
REPORT_EVERY = 50
"""Packets sent between two receiver reports, about a second (RFC 3550, 6.2)."""

MOST_LATENESS = 100_000

_HEADER = struct.Struct("!BBHLL")
_VERSION = 0x80


class _Nothing(MediaStreamTrack):
    """A track that never gives anything: the packets are sent beside aiortc."""

    kind = "audio"

    async def recv(self) -> Any:
        return await asyncio.get_running_loop().create_future()


class Caller:
    """Call ``url``: ``connect``, which begins to speak; ``close`` or ``kill``.

    ``detour``: the bad network to go through; ``relay``: a TURN server through which all goes. What was sent and heard
    is kept in ``recording`` while ``keeps`` is set. ``late_s``: how late each packet left; what was later than its
    successor's turn was not sent at all, ``skipped`` counts it.
    """

    def __init__(
        self, url: str, http: aiohttp.ClientSession, *, detour: Detour | None = None, relay: RTCIceServer | None = None
    ) -> None:
        self._url = url
        self._http = http
        self._detour = detour
        policy = RTCIceTransportPolicy.ALL if relay is None else RTCIceTransportPolicy.RELAY
        servers = [] if relay is None else [relay]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers, iceTransportPolicy=policy))
        self._loop = asyncio.get_running_loop()
        self._random = random.Random()
        self._up = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._lost_by: str | None = None
        self._wire: _Wire | None = None
        self._packets: Sequence[bytes] = signal().packets
        self._began = 0.0
        self._count = 0
        self._heard = self._wanted = 0
        self._enough = asyncio.Event()
        self.keeps = False
        self.recording = Recording()
        self.session = ""
        self.answer_ms: float | None = None
        self.connect_ms: float | None = None
        self.skipped = 0
        self.late_s: deque[float] = deque(maxlen=MOST_LATENESS)

    async def connect(self) -> None:
        """Offer, wait until both may speak, and begin to. Raises CallFailed.

        ``answer_ms``: POST /offer sent until its answer is read. ``connect_ms``: POST /offer sent until the data
        channel is open (ICE, DTLS and SCTP are done).
        """
        transceiver = self._pc.addTransceiver(_Nothing(), direction="sendrecv")
        able = RTCRtpReceiver.getCapabilities("audio")
        transceiver.setCodecPreferences([c for c in able.codecs if c.mimeType.lower() == "audio/opus"] if able else [])
        channel = self._pc.createDataChannel(LABEL)
        channel.on("open", self._up.set)
        self._pc.on("connectionstatechange", self._changed)
        await self._pc.setLocalDescription(await self._pc.createOffer())
        began = self._loop.time()
        await self._accept(await self._offer())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._up.wait()
        except TimeoutError:
            raise CallFailed(
                f"not connected after {CONNECT_TIMEOUT_S:g} s (ICE {self._pc.iceConnectionState})"
            ) from None
        if self._lost_by is not None:
            raise CallFailed(f"the connection {self._lost_by} before the call was up")
        self.connect_ms = (self._loop.time() - began) * 1e3
        codec = transceiver.receiver  # its transport is the one that all share (BUNDLE)
        self._wire = _Wire(self._pc, codec, transceiver.sender._ssrc, self._hear)
        self._speak()

    async def _offer(self) -> dict[str, Any]:
        sdp = self._pc.localDescription.sdp
        body = {"sdp": sdp if self._detour is None else anonymous(sdp), "type": "offer"}
        began = self._loop.time()
        try:
            async with self._http.post(f"{self._url}/offer", json=body) as response:
                text = await response.text()
                if response.status != 200:
                    raise CallFailed(f"refused ({response.status}): {text[:200]}", response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallFailed(f"no answer: {error or type(error).__name__}") from None
        self.answer_ms = (self._loop.time() - began) * 1e3
        answer: dict[str, Any] = json.loads(text)
        self.session = answer["session"]
        return answer

    async def _accept(self, answer: dict[str, Any]) -> None:
        sdp = answer["sdp"] if self._detour is None else self._detour.reroute(answer["sdp"])
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        except (ValueError, KeyError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise CallFailed(f"the answer cannot be used: {error or type(error).__name__}") from error

    def _changed(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self._lost_by = "failed" if self._pc.connectionState == "failed" else "was closed"
            self._up.set()

    @property
    def alive(self) -> bool:
        """Connected, and not lost since."""
        return self._wire is not None and self._lost_by is None

    # -- speaking and hearing -------------------------------------------------------------------------------

    def keep(self) -> None:
        """Begin the recording, with the next packet."""
        self.recording = Recording(first=self._count % LOOP)
        self.keeps = True

    def _speak(self) -> None:
        self._count = self._random.randrange(LOOP)
        self._began = monotonic() - self._count * PACKET_S + self._random.random() * PACKET_S
        self._arm()

    def _arm(self) -> None:
        wait = self._began + self._count * PACKET_S - monotonic()
        self._timer = self._loop.call_later(max(0.0, wait), self._send)

    def _send(self) -> None:
        assert self._wire is not None
        now = monotonic()
        late = now - self._began - self._count * PACKET_S
        self.late_s.append(late)
        if late >= PACKET_S:
            self._skip(int(late / PACKET_S))
        self._wire.send(self._packets[self._count % LOOP], self._count)
        if self.keeps:
            self.recording.sent.append(now)
        self._count += 1
        if self._count % REPORT_EVERY == 0:
            self._wire.report()
        self._arm()

    def _skip(self, packets: int) -> None:
        """Leave out what should have been sent long ago: a microphone gives no burst, and an echo would keep it."""
        self.skipped += packets
        self._count += packets
        if self.keeps:
            self.recording.sent += [None] * packets

    def _hear(self, sequence: int, payload: bytes) -> None:
        self._heard += 1
        if self._heard == self._wanted:
            self._enough.set()
        if self.keeps:
            self.recording.heard.append((monotonic(), sequence, payload))

    async def hears(self, packets: int) -> None:
        """Return once so many more packets have come. Raises CallFailed where they do not."""
        self._enough.clear()
        self._wanted = self._heard + packets
        try:
            async with asyncio.timeout(HEAR_TIMEOUT_S):
                await self._enough.wait()
        except TimeoutError:
            raise CallFailed(f"nothing came back for {HEAR_TIMEOUT_S:g} s") from None

    # -- the end --------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Say goodbye (DELETE /offer/{session}, DTLS close_notify) and free everything, whatever is in the way."""
        self._hush()
        if self.session and self._lost_by is None:
            try:
                async with self._http.delete(f"{self._url}/offer/{self.session}") as response:
                    await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._lost_by = str(error)
        await self._free()

    async def kill(self) -> None:
        """Be gone without a word, as a phone whose battery is taken out."""
        self._hush()
        self._lost_by = "was killed"
        if self._wire is not None:
            self._wire.cut()
        await self._free()

    def _hush(self) -> None:
        self.keeps = False
        if self._timer is not None:
            self._timer.cancel()

    async def _free(self) -> None:
        await self._pc.close()
        if self._detour is not None:
            self._detour.close()


class _Wire:
    """A connected call's RTP, past aiortc: SRTP to the datagram and back. Reaches into aiortc, which is pinned."""

    def __init__(self, pc: RTCPeerConnection, receiver: RTCRtpReceiver, ssrc: int, hear: Any) -> None:
        self._dtls: Any = receiver.transport
        self._connection: Connection = self._dtls.transport._connection
        self._others = self._connection.data_received
        self._ssrc = ssrc
        self._payload_type = _opus(pc.remoteDescription.sdp)
        self._hear = hear
        self._sequence = random.randrange(0x8000)
        self._far: int | None = None
        self._highest = self._received = self._base = 0
        self._reported = (0, 0)
        self._connection.data_received = self._take  # type: ignore[method-assign, assignment]

    def send(self, payload: bytes, count: int) -> None:
        """One packet, of the ``count``-th 20 ms. Where some were left out, nothing is missing: time just went on."""
        stamp = count * SENT_STRETCH & 0xFFFFFFFF
        header = _HEADER.pack(_VERSION, self._payload_type, self._sequence, stamp, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._out(self._dtls._tx_srtp.protect(header + payload))

    def report(self) -> None:
        """A receiver report on what the server sends (RFC 3550, 6.4.2)."""
        if self._far is None:
            return
        expected = self._highest - self._base + 1
        lost = expected - self._received
        before = self._reported
        self._reported = (expected, lost)
        fraction = 256 * max(0, lost - before[1]) // max(1, expected - before[0])
        info = RtcpReceiverInfo(
            ssrc=self._far, fraction_lost=min(255, fraction), packets_lost=max(0, lost),
            highest_sequence=self._highest & 0xFFFFFFFF, jitter=0, lsr=0, dlsr=0,
        )  # fmt: skip
        self._out(self._dtls._tx_srtp.protect_rtcp(bytes(RtcpRrPacket(ssrc=self._ssrc, reports=[info]))))

    def cut(self) -> None:
        """Let nothing out any more, and close the sockets."""
        for protocol in self._connection._protocols:
            protocol.send_data = _swallow  # type: ignore[method-assign]
            protocol.send_stun = lambda message, addr: None  # type: ignore[method-assign]
            protocol.transport.abort()

    def _out(self, data: bytes) -> None:
        pair = self._connection._nominated.get(1)
        if pair is not None:
            pair.protocol.transport.sendto(data, pair.remote_addr)

    def _take(self, datagram: bytes, component: int) -> None:
        if not 127 < datagram[0] < 192 or is_rtcp(datagram):
            self._others(datagram, component)
            return
        try:
            data = self._dtls._rx_srtp.unprotect(datagram)
        except pylibsrtp.Error:
            return
        first, second, sequence, _, ssrc = _HEADER.unpack_from(data)
        if second & 0x7F != self._payload_type:
            return
        start = _HEADER.size + 4 * (first & 0x0F)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        self._count(ssrc, sequence)
        self._hear(sequence, data[start:])

    def _count(self, ssrc: int, sequence: int) -> None:
        if self._far != ssrc:
            self._far, self._base, self._highest, self._received = ssrc, sequence, sequence, 0
        ahead = (sequence - self._highest) & 0xFFFF
        self._highest += ahead if ahead < 0x8000 else 0
        self._received += 1


async def _swallow(data: bytes, addr: tuple[str, int]) -> None:
    """What is sent on a line that was cut."""


def _opus(sdp: str) -> int:
    """The payload type of Opus in ``sdp``. Raises CallFailed where there is none."""
    for line in sdp.splitlines():
        if line.startswith("a=rtpmap:") and " opus/48000" in line.lower():
            return int(line[len("a=rtpmap:") :].split()[0])
    raise CallFailed("the answer takes no Opus")
