"""The one place that reaches behind aiortc's public face; tests/media/test_seam.py fails when what it needs has moved.

aiortc is pinned (pyproject.toml). What is used of its inside, and why:

- ``RTCRtpReceiver._handle_rtp_packet`` is wrapped on the instance: every packet passes aiortc's own bookkeeping, so its
  RTCP reports stay right, and then comes to us, before aiortc's jitter buffer could spoil it.
- ``RTCRtpReceiver._handle_disconnect`` ends the decoder thread; called right after ``receive()`` started it, on an
  empty queue, it leaves no thread and no track queue behind.
- ``RTCIceTransport._connection``: aioice's Connection, its ``_nominated`` pairs and ``build_request()``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

from aioice import Candidate, stun
from aioice.ice import CandidatePair
from aiortc import RTCRtpReceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import RtpPacket

from voxrtc.media.jitter import Packet

MAX_SOURCES = 24
"""SSRCs one caller may send from in a call: aiortc reports on each for ever, and an RTCP report holds 31."""


def divert(receiver: RTCRtpReceiver, deliver: Callable[[Packet], None], refuse: Callable[[str], None]) -> None:
    """Give every RTP packet of ``receiver`` to ``deliver`` instead of to aiortc's jitter buffer and decoder thread.

    ``refuse`` is told why when the caller's packets cannot be taken any longer.
    """
    handle, receive = receiver._handle_rtp_packet, receiver.receive
    sources: set[int] = set()

    async def handle_and_deliver(packet: RtpPacket, arrival_time_ms: int) -> None:
        if packet.ssrc not in sources:
            if len(sources) >= MAX_SOURCES:
                refuse(f"The caller sent audio from more than {MAX_SOURCES} sources (SSRC).")
                return
            sources.add(packet.ssrc)
        deliver(Packet(packet.sequence_number, packet.timestamp, packet.ssrc, packet.payload))
        await handle(packet, arrival_time_ms)

    async def receive_without_thread(parameters: RTCRtpReceiveParameters) -> None:
        await receive(parameters)
        receiver._handle_disconnect()

    receiver._handle_rtp_packet = handle_and_deliver  # type: ignore[method-assign]
    receiver.receive = receive_without_thread  # type: ignore[method-assign]


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
