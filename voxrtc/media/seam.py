"""The one place that reaches behind aiortc's public face; tests/media/test_seam.py fails when what it needs has moved.

aiortc is pinned (pyproject.toml). Signalling, ICE, DTLS, RTCP and SCTP are left to it; RTP is taken out of its hands,
since its path is what a call costs (about 2.8 % of a core in all, 0.6 % this way). What is used of its inside, and why:

- ``Connection.data_received`` is where aioice hands on each datagram. RTP goes from there straight through SRTP to us,
  without a queue, a task, aiortc's jitter buffer and its decoder.
- ``RTCRtpReceiver.receive`` says when RTP can come. ``_handle_disconnect`` ends the decoder thread that it starts;
  right after, on an empty queue, that leaves no thread and no track queue behind.
- ``RTCRtpReceiver.__remote_streams`` is what its RTCP reports to the caller are made of, so it is kept up to date.
- ``RTCRtpSender._run_rtp`` is replaced by a loop over ready packets; what the sender's RTCP reports are made of
  (``__packet_count`` and the like) is kept up to date. ``_handle_rtcp_packet`` brings what the caller reports.
- ``RTCPeerConnection.__createDtlsTransport`` makes the ICE transport, too, with a Connection of aioice's inside, for
  which ours is put in (connection.py, which says what it uses of aioice).
- ``RTCIceTransport._connection``: its ``_nominated`` pairs and ``build_request()``.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import pylibsrtp
from aioice import Candidate, Connection, stun
from aioice.ice import CandidatePair
from aiortc import RTCConfiguration, RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpCodecParameters, RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import (
    RTCP_PSFB_APP,
    AnyRtcpPacket,
    HeaderExtensions,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpSrPacket,
    is_rtcp,
    unpack_remb_fci,
)

from voxrtc.media.dtls import insist
from voxrtc.media.jitter import Packet
from voxrtc.media.opus import RTP_RATE
from voxrtc.media.outbound import Outgoing
from voxrtc.media.sending import Report

MAX_SOURCES = 24
"""SSRCs one caller may send from in a call: aiortc reports on each for ever, and an RTCP report holds 31."""

NTP_EPOCH = 2_208_988_800
"""Seconds from 1900, where NTP's time begins, to 1970."""

_HEADER = struct.Struct("!BBHLL")
_EXTENSION = struct.Struct("!HH")


Following: TypeAlias = Callable[[], Awaitable[Outgoing | None]]
"""Gives the next packet when it is due, None at the end."""


class Malformed(ValueError):
    """What came is no RTP packet."""


class PeerConnection(RTCPeerConnection):
    """aiortc's, with ICE by what ``connect`` makes of a user name and password."""

    def __init__(self, configuration: RTCConfiguration, connect: Callable[[str, str], Connection]) -> None:
        self._connect = connect
        super().__init__(configuration)

    def _RTCPeerConnection__createDtlsTransport(self) -> RTCDtlsTransport:
        dtls: RTCDtlsTransport = super()._RTCPeerConnection__createDtlsTransport()  # type: ignore[misc]
        transport = dtls.transport
        stock = transport._connection
        ours = self._connect(stock.local_username, stock.local_password)
        transport._connection = transport.iceGatherer._connection = ours
        transport._recv, transport._send = ours.recv, ours.send
        insist(dtls)
        return dtls


def divert(receiver: RTCRtpReceiver, deliver: Callable[[Packet], None], refuse: Callable[[str], None]) -> None:
    """Give every RTP packet of Opus that ``receiver`` is meant for to ``deliver``, as its datagram arrives.

    ``refuse`` is told why when the caller's packets cannot be taken any longer.
    """
    receive = receiver.receive

    async def receive_without_thread(parameters: RTCRtpReceiveParameters) -> None:
        await receive(parameters)
        receiver._handle_disconnect()
        connection: Connection = receiver.transport.transport._connection
        entrance = _Entrance(receiver, parameters.codecs[0], connection.data_received, deliver, refuse)
        connection.data_received = entrance.take  # type: ignore[method-assign, assignment]

    receiver.receive = receive_without_thread  # type: ignore[method-assign]


class _Entrance:
    """Where a caller's datagrams come in."""

    def __init__(
        self,
        receiver: Any,
        codec: RTCRtpCodecParameters,
        others: Callable[[bytes, int], None],
        deliver: Callable[[Packet], None],
        refuse: Callable[[str], None],
    ) -> None:
        self._dtls = receiver.transport
        self._payload_type = codec.payloadType
        self._others = others
        self._deliver = deliver
        self._refuse = refuse
        self._statistics: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams

    def take(self, datagram: bytes, component: int) -> None:
        """One datagram. What fails here would be a line in the event loop's log, and a call that is up and deaf."""
        try:
            self._take(datagram, component)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call must not go on without hearing
            self._refuse(f"The caller's packets could not be taken in ({type(error).__name__}).")

    def _take(self, datagram: bytes, component: int) -> None:
        """RTP to ``deliver``; all else (DTLS, RTCP) and what aiortc must judge goes its usual way (RFC 7983, 7)."""
        srtp = self._dtls._rx_srtp
        if not 127 < datagram[0] < 192 or is_rtcp(datagram) or srtp is None:
            self._others(datagram, component)
            return
        try:
            payload_type, packet = parse(srtp.unprotect(datagram))
        except (pylibsrtp.Error, Malformed):
            return  # forged, or seen before (RFC 3711, 3.3.2)
        if payload_type != self._payload_type:
            return  # nothing else was agreed on
        statistics = self._statistics.get(packet.ssrc)
        if statistics is None:
            if len(self._statistics) >= MAX_SOURCES:
                self._refuse(f"The caller sent audio from more than {MAX_SOURCES} sources (SSRC).")
                return
            statistics = self._statistics[packet.ssrc] = StreamStatistics(RTP_RATE)
        statistics.add(packet)  # type: ignore[arg-type]
        self._deliver(packet)


def parse(data: bytes) -> tuple[int, Packet]:
    """The payload type and the packet in ``data`` (RFC 3550, 5.1). Raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed("shorter than its header")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    start, end = _HEADER.size + 4 * (first & 0x0F), len(data)
    if first & 0x10:
        if end < start + 4:
            raise Malformed("the header extension is cut off")
        start += 4 + 4 * int(_EXTENSION.unpack_from(data, start)[1])
    if first & 0x20:
        end -= data[-1]
    if first >> 6 != 2 or start > end or (first & 0x20 and not data[-1]):
        raise Malformed("no valid header or padding")
    return second & 0x7F, Packet(sequence, timestamp, ssrc, data[start:end])


def feed(sender: RTCRtpSender, following: Following, fail: Callable[[str], None]) -> None:
    """Let ``sender`` send what ``following`` gives, as it gives it, until that is None.

    ``fail`` is told why where it cannot go on: aiortc's own loop would log that, and leave a call that is up and dumb.
    """
    inside: Any = sender

    async def run(codec: RTCRtpCodecParameters) -> None:
        inside._RTCRtpSender__rtp_started.set()
        try:
            await _send_all(inside, codec, following)
        except (asyncio.CancelledError, ConnectionError):
            pass  # stopped, or the line is gone, which the ICE and DTLS transports tell
        except Exception as error:  # noqa: BLE001 - whatever it is, the call must not go on in silence
            fail(f"The assistant's audio stopped: {error}")
        finally:
            inside._RTCRtpSender__rtp_exited.set()

    sender._run_rtp = run  # type: ignore[method-assign]


async def _send_all(sender: Any, codec: RTCRtpCodecParameters, following: Following) -> None:
    extensions = sender._RTCRtpSender__rtp_header_extensions_map
    profile, value = extensions.set(HeaderExtensions(mid=sender._RTCRtpSender__mid))
    extension = _EXTENSION.pack(profile, len(value) >> 2) + value if value else b""
    first = 0x90 if extension else 0x80
    payload_type: int = codec.payloadType or 0
    sequence, origin, ssrc = secrets.randbits(15), secrets.randbits(32), sender._ssrc
    dtls = sender.transport
    while (packet := await following()) is not None:
        timestamp = (origin + packet.ticks) & 0xFFFFFFFF
        header = _HEADER.pack(first, packet.begins << 7 | payload_type, sequence, timestamp, ssrc)
        await dtls._send_rtp(header + extension + packet.payload)
        sender.newest_sequence = sequence  # our own note on it, for ``reports``
        sequence = (sequence + 1) & 0xFFFF
        sender._RTCRtpSender__ntp_timestamp = int((time.time() + NTP_EPOCH) * 2**32)
        sender._RTCRtpSender__rtp_timestamp = timestamp
        sender._RTCRtpSender__packet_count += 1
        sender._RTCRtpSender__octet_count += len(packet.payload)


def reports(sender: RTCRtpSender, tell: Callable[[Report], None]) -> None:
    """Let ``tell`` know what the caller reports of ``sender``'s packets."""
    inside: Any = sender
    handle = sender._handle_rtcp_packet

    async def handle_and_tell(packet: AnyRtcpPacket) -> None:
        await handle(packet)
        if isinstance(packet, (RtcpRrPacket, RtcpSrPacket)):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    rtt: float | None = inside._RTCRtpSender__rtt
                    behind = (inside.newest_sequence - report.highest_sequence) & 0xFFFF
                    tell(Report(report.fraction_lost / 256, rtt, None, behind if behind < 0x8000 else 0))
        elif isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, sources = unpack_remb_fci(packet.fci)
            except ValueError:
                return  # some other application's message
            if sender._ssrc in sources:
                tell(Report(None, None, bitrate))

    sender._handle_rtcp_packet = handle_and_tell  # type: ignore[method-assign]


def connection(receiver: RTCRtpReceiver) -> Connection:
    """What carries the media of ``receiver``."""
    return receiver.transport.transport._connection


def _pair(receiver: RTCRtpReceiver) -> CandidatePair | None:
    """The pair of candidates that carries the media, None while there is none."""
    return receiver.transport.transport._connection._nominated.get(1)


async def answers(receiver: RTCRtpReceiver, timeout: float) -> bool:
    """Whether the caller answers a connectivity check (RFC 8445, 7.2; RFC 7675) within ``timeout`` seconds."""
    connection = receiver.transport.transport._connection
    pair = _pair(receiver)
    if pair is None or connection.remote_password is None:
        return False
    request = connection.build_request(pair, nominate=False)
    key = connection.remote_password.encode()
    try:
        async with asyncio.timeout(timeout):
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key)
    except (TimeoutError, stun.TransactionError, OSError):
        return False
    return True


def route(receiver: RTCRtpReceiver) -> Literal["direct", "relay", "unknown"]:
    """How the media goes: over a TURN server of either side, or not."""
    pair = _pair(receiver)
    if pair is None:
        return "unknown"
    ends: tuple[Candidate, Candidate] = (pair.local_candidate, pair.remote_candidate)
    return "relay" if any(end.type == "relay" for end in ends) else "direct"
