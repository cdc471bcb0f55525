"""Guards what voxrtc/media/seam.py takes from inside aiortc and aioice: when one of these fails, look there first."""

import asyncio
import inspect
import threading
from importlib.metadata import version

from aioice.ice import CandidatePair, Connection, StunProtocol
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtpPacket

from tests.media.callers import clip
from tests.media.conftest import Call
from voxrtc.audio import HEARD_RATE
from voxrtc.media import ice, seam
from voxrtc.media.jitter import Packet


def test_the_versions_are_the_ones_this_was_written_for() -> None:
    assert version("aiortc") == "1.16.0", "aiortc has changed: check voxrtc/media/seam.py against it, then this"
    assert version("aioice") == "0.13.0", "aioice has changed: check voxrtc/media/seam.py against it, then this"


def test_the_receiver_still_has_what_is_wrapped() -> None:
    assert list(inspect.signature(RTCRtpReceiver._handle_rtp_packet).parameters) == [
        "self",
        "packet",
        "arrival_time_ms",
    ]
    assert list(inspect.signature(RTCRtpReceiver.receive).parameters) == ["self", "parameters"]
    assert "__stop_decoder" in inspect.getsource(RTCRtpReceiver._handle_disconnect)
    assert "if encoded_frame is not None and self.__decoder_thread" in inspect.getsource(RTCRtpReceiver)


def test_the_sender_still_takes_ready_packets() -> None:
    assert "self.__encoder.pack(data)" in inspect.getsource(RTCRtpSender._next_encoded_frame)


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


async def test_no_decoder_thread_is_left_and_the_sender_still_gets_reports(call: Call) -> None:
    caller, peer = await call(clip("jfk")[: 4 * HEARD_RATE])
    ours = peer._receiver
    sender, reported = caller.pc.getSenders()[0], asyncio.Event()
    handle = sender._handle_rtcp_packet

    async def notice(packet: AnyRtcpPacket) -> None:
        await handle(packet)
        if isinstance(packet, RtcpRrPacket):
            reported.set()

    sender._handle_rtcp_packet = notice
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


async def test_a_caller_with_ever_new_sources_is_refused() -> None:
    pc = RTCPeerConnection(ice.configuration())
    pc.addTransceiver("audio")
    receiver = pc.getReceivers()[0]
    taken: list[Packet] = []
    refused: list[str] = []
    seam.divert(receiver, taken.append, refused.append)
    for ssrc in range(seam.MAX_SOURCES + 5):
        await receiver._handle_rtp_packet(RtpPacket(payload_type=96, ssrc=ssrc), arrival_time_ms=0)
    assert [packet.ssrc for packet in taken] == list(range(seam.MAX_SOURCES))
    assert len(refused) == 5
    await pc.close()
