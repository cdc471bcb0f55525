"""Guards what voxrtc/media/seam.py takes from inside aiortc and aioice: when one of these fails, look there first."""

import asyncio
import inspect
import re
import threading
from contextlib import suppress
from functools import partial
from importlib.metadata import version

from aioice import turn
from aioice.ice import CandidatePair, Connection, StunProtocol, relayed_candidate
from aiortc import RTCDtlsTransport, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import AnyRtcpPacket, HeaderExtensionsMap, RtcpRrPacket, RtcpSrPacket, RtpPacket
from hypothesis import given
from hypothesis import strategies as st

from tests.media.callers import clip
from tests.media.conftest import Call
from voxrtc.audio import HEARD_RATE
from voxrtc.media import connection, ice, seam
from voxrtc.media.jitter import Packet
from voxrtc.media.opus import SILENCE
from voxrtc.media.sending import Report
from voxrtc.media.site import Site
from voxrtc.settings import Settings


def test_the_versions_are_the_ones_this_was_written_for() -> None:
    assert version("aiortc") == "1.16.0", "aiortc has changed: check voxrtc/media/seam.py against it, then this"
    assert version("aioice") == "0.13.0", "aioice has changed: check voxrtc/media/seam.py against it, then this"


def test_the_receiver_still_has_what_is_used() -> None:
    assert list(inspect.signature(RTCRtpReceiver.receive).parameters) == ["self", "parameters"]
    assert "__stop_decoder" in inspect.getsource(RTCRtpReceiver._handle_disconnect)
    source = inspect.getsource(RTCRtpReceiver)
    assert "self.__remote_streams[packet.ssrc] = StreamStatistics(codec.clockRate)" in source
    assert "in self.__remote_streams.items()" in inspect.getsource(RTCRtpReceiver._run_rtcp)


def test_the_sender_still_has_what_is_used() -> None:
    assert "self._run_rtp(parameters.codecs[0])" in inspect.getsource(RTCRtpSender.send)
    ours = set(re.findall(r"_RTCRtpSender(__\w+)", inspect.getsource(seam)))
    assert len(ours) >= 9
    for name in ours:
        assert f"self.{name}" in inspect.getsource(RTCRtpSender), name
    assert "await asyncio.gather(self.__rtp_exited.wait()" in inspect.getsource(RTCRtpSender.stop)


def test_rtp_still_comes_and_goes_where_it_is_taken() -> None:
    assert "self.receiver.data_received(data, self.local_candidate.component)" in inspect.getsource(StunProtocol)
    transport = inspect.getsource(RTCDtlsTransport)
    assert "self._rx_srtp.unprotect(data)" in transport
    assert "self._tx_srtp.protect(data)" in inspect.getsource(RTCDtlsTransport._send_rtp)


async def test_the_ice_connection_still_has_what_is_read() -> None:
    pc = RTCPeerConnection(ice.configuration())
    pc.addTransceiver("audio")
    connection = pc.getReceivers()[0].transport.transport._connection
    assert isinstance(connection, Connection)
    assert connection._nominated == {}
    assert connection.remote_password is None
    assert list(inspect.signature(connection.build_request).parameters) == ["pair", "nominate"]
    assert {"request", "addr", "integrity_key"} <= set(inspect.signature(StunProtocol.request).parameters)
    assert {"remote_addr", "local_candidate"} <= set(dir(CandidatePair))
    assert seam.route(pc.getReceivers()[0]) == "unknown"
    assert not await seam.answers(pc.getReceivers()[0], 0.1)
    await pc.close()


async def test_ours_takes_the_place_of_aioices_connection() -> None:
    site = Site(Settings())
    pc = seam.PeerConnection(ice.configuration(), partial(connection.Connection, site))
    pc.addTransceiver("audio")
    dtls = pc.getReceivers()[0].transport
    ours = seam.connection(pc.getReceivers()[0])
    assert type(ours) is connection.Connection
    assert dtls.transport._connection is dtls.transport.iceGatherer._connection is ours
    assert (dtls.transport._recv, dtls.transport._send) == (ours.recv, ours.send)
    await pc.setLocalDescription()
    assert ours.local_username in pc.localDescription.sdp
    await pc.close()
    assert ours._protocols == []


def test_aioice_still_has_what_our_connection_changes() -> None:
    """When one of these has moved, read media/connection.py and media/turn.py against it."""
    for name, used in {
        "connect": ("_unfreeze_initial", "_early_checks_done", "_check_periodic", "_check_list_state", "query_consent"),
        "gather_candidates": ("_local_candidates_start", "_local_candidates_end", "_local_candidates"),
        "check_start": ("State.IN_PROGRESS", "build_request(pair, nominate=nominate)"),
        "check_incoming": ("State.FAILED", "check_start_task", "_remote_candidates"),
        "check_complete": ("self._nominated[pair.component] = pair",),
        "close": ("_query_consent_task", "self._protocols", "p.task"),
        "data_received": ("self._queue.put_nowait((data, component))",),
        "_pair_remote_candidate": ("for protocol in self._protocols", "self._find_pair(protocol, remote_candidate)"),
    }.items():
        source = inspect.getsource(getattr(Connection, name))
        assert [part for part in used if part not in source] == [], name
    transport = turn.TurnTransport.__init__.__code__.co_names
    assert {"_TurnTransport__close_task", "_TurnTransport__send_tasks"} <= set(transport)
    assert "self.transport.close()" in inspect.getsource(turn.TurnClientMixin.delete)
    assert {"turn_ssl", "turn_transport", "protocol_factory"} <= set(inspect.signature(relayed_candidate).parameters)


def first(end: RTCRtpSender | RTCRtpReceiver, kind: type[AnyRtcpPacket]) -> asyncio.Event:
    """Set once ``end``, of stock aiortc, has taken in an RTCP packet of this kind."""
    came, handle = asyncio.Event(), end._handle_rtcp_packet

    async def notice(packet: AnyRtcpPacket) -> None:
        await handle(packet)
        if isinstance(packet, kind):
            came.set()

    end._handle_rtcp_packet = notice
    return came


async def test_no_decoder_thread_is_left_and_the_sender_still_gets_reports(call: Call) -> None:
    caller, peer = await call(clip("jfk")[: 4 * HEARD_RATE])
    ours = peer._receiver
    sender = caller.pc.getSenders()[0]
    reported = first(sender, RtcpRrPacket)
    async with asyncio.timeout(20):
        await reported.wait()
    (report,) = [r for r in (await sender.getStats()).values() if r.type == "remote-inbound-rtp"]
    assert report.packetsLost == 0
    assert report.packetsReceived > 0
    assert report.ssrc == peer._pc.getSenders()[0]._ssrc
    decoders = [thread for thread in threading.enumerate() if "audio-decoder" in thread.name]
    assert len(decoders) == 1, "only the stock caller has a decoder thread"
    assert ours._RTCRtpReceiver__decoder_thread is None
    assert seam.route(ours) == "direct"
    assert await seam.answers(ours, 2.0)


async def test_a_caller_with_ever_new_sources_is_refused(call: Call) -> None:
    caller, peer = await call()
    srtp = caller.pc.getSenders()[0].transport._tx_srtp
    connection = peer._receiver.transport.transport._connection
    for ssrc in range(1, seam.MAX_SOURCES + 2):
        packet = RtpPacket(payload_type=96, ssrc=ssrc, payload=SILENCE).serialize()
        connection.data_received(srtp.protect(packet), 1)
    assert await peer.closed() == "error"
    assert f"more than {seam.MAX_SOURCES} sources" in peer.detail


async def test_what_is_no_packet_of_ours_is_not_taken(call: Call) -> None:
    caller, peer = await call()
    srtp = caller.pc.getSenders()[0].transport._tx_srtp
    connection = peer._receiver.transport.transport._connection
    sources = dict(peer._receiver._RTCRtpReceiver__remote_streams)
    for packet in (
        b"\x80" * 40,  # no SRTP
        srtp.protect(RtpPacket(payload_type=42, ssrc=7, payload=SILENCE).serialize()),  # another codec
        srtp.protect(b"\xa0\x60" + bytes(10) + b"ab\x63"),  # more padding than packet
    ):
        connection.data_received(packet, 1)
    assert set(peer._receiver._RTCRtpReceiver__remote_streams) - set(sources) <= {caller.pc.getSenders()[0]._ssrc}
    connection.data_received(srtp.protect(RtpPacket(96, 0, 1, ssrc=7, payload=SILENCE).serialize()), 1)
    assert 7 in peer._receiver._RTCRtpReceiver__remote_streams


@given(
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    csrc=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    mid=st.one_of(st.none(), st.text("0123456789", min_size=1, max_size=8)),
    padding=st.integers(0, 200),
    payload=st.binary(max_size=200),
)
def test_packets_are_read_as_aiortc_writes_them(
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    csrc: list[int],
    mid: str | None,
    padding: int,
    payload: bytes,
) -> None:
    packet = RtpPacket(payload_type, 1, sequence, timestamp, ssrc, payload)
    packet.csrc, packet.extensions.mid, packet.padding_size = csrc, mid, padding
    extensions = HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(1, "urn:ietf:params:rtp-hdrext:sdes:mid")])
    )
    assert seam.parse(packet.serialize(extensions)) == (payload_type, Packet(sequence, timestamp, ssrc, payload))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    with suppress(seam.Malformed):
        payload_type, packet = seam.parse(data)
        assert 0 <= payload_type < 128
        assert len(packet.payload) <= len(data) - 12


async def test_the_caller_hears_what_is_sent_and_reports_of_it(call: Call) -> None:
    caller, peer = await call()
    told: asyncio.Queue[Report] = asyncio.Queue()
    seam.reports(peer._pc.getSenders()[0], told.put_nowait)
    reported = first(caller.pc.getReceivers()[0], RtcpSrPacket)
    async with asyncio.timeout(20):
        await caller.heard_some.wait()
        report = await told.get()
        await reported.wait()
    assert report.fraction_lost == 0.0
    # The caller's own report of us names the source that its offer was answered with, and counts what came.
    stats = await caller.pc.getReceivers()[0].getStats()
    (inbound,) = [s for s in stats.values() if s.type == "inbound-rtp"]
    assert inbound.packetsReceived > 0
    assert inbound.packetsLost == 0
    (remote,) = [s for s in stats.values() if s.type == "remote-outbound-rtp"]
    assert remote.packetsSent > 0
