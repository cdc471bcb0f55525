"""ICE between a Peer and stock callers over real sockets, and over a real coturn."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from aioice import Connection as StockConnection
from aioice import stun
from aioice.ice import CandidatePair
from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection
from aiortc.sdp import candidate_from_sdp

from tests.calling import idle
from tests.coturn import INSTALLED, Coturn, coturn, free
from tests.media import callers
from tests.media.callers import Caller
from tests.media.conftest import Call
from voxrtc.media import connection as connection_module
from voxrtc.media import seam, turn
from voxrtc.media.addresses import Addresses, Interface
from voxrtc.media.connection import MAX_PAIRS, MAX_WAITING, Connection
from voxrtc.media.peer import Peer
from voxrtc.media.site import Site
from voxrtc.settings import Settings

pytestmark = pytest.mark.timeout(60)
needs_coturn = pytest.mark.skipif(not INSTALLED, reason="there is no turnserver (tests/packages.sh installs it)")


@pytest.fixture
async def relay_server() -> AsyncIterator[Coturn]:
    async with coturn() as server:
        yield server


def relayed(server: Coturn, **more: Any) -> Settings:
    """Settings of a voxrtc that lets itself be reached over ``server``."""
    urls = [server.udp]
    return Settings.model_validate({"turn": {"urls": urls, "secret": server.secret, "relay": True} | more})


def only_v6(settings: Settings) -> Site:
    """A site that no IPv4 caller can reach but over a relay."""
    site = Site(settings)
    site.addresses = Addresses("6", True, lambda: [Interface("lo", True, ("::1",))])
    return site


def without(sdp: str, what: str) -> str:
    """``sdp`` without the candidates that ``what`` is found in."""
    lines = sdp.splitlines()
    return "\r\n".join(one for one in lines if not (one.startswith("a=candidate") and re.search(what, one))) + "\r\n"


def inside(peer: Peer) -> Connection:
    found = seam.connection(peer._receiver)
    assert isinstance(found, Connection)
    return found


async def places(server: Coturn, count: int) -> None:
    """Wait until coturn has ``count`` relayed addresses: UDP sockets beyond its listeners."""
    listeners = (server.port, server.tls_port)
    process = psutil.Process(server.pid)
    async with asyncio.timeout(10):
        # A look from outside: coturn tells nobody.
        while sum(one.laddr.port not in listeners for one in process.net_connections("udp")) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# -- without a TURN server of ours ---------------------------------------------------------------------------


async def test_a_check_that_was_lost_is_made_again_when_the_caller_checks(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over the caller's TURN server, which drops what comes before the caller has sent something (RFC 8656, 9)."""
    monkeypatch.setattr(stun, "RETRY_RTO", 30.0)
    send = connection_module.Protocol.send_stun
    lost: set[tuple[str, int]] = set()

    def lossy(self: Any, message: stun.Message, addr: tuple[str, int]) -> None:
        if message.message_class is stun.Class.REQUEST and addr not in lost:
            lost.add(addr)
        else:
            send(self, message, addr)

    monkeypatch.setattr(connection_module.Protocol, "send_stun", lossy)
    async with asyncio.timeout(10):
        _, peer = await call()
    assert lost
    assert peer.stats()["route"] == "direct"


@needs_coturn
@pytest.mark.parametrize("kind", ["udp", "tcp"])
async def test_a_relayed_caller_waits_for_no_retransmission(
    relay_server: Coturn, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    username, credential = relay_server.credentials()
    ice_server = RTCIceServer(getattr(relay_server, kind), username=username, credential=credential)
    monkeypatch.setattr(
        callers, "RTCPeerConnection", lambda _: RTCPeerConnection(
            RTCConfiguration([ice_server], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
        )
    )  # fmt: skip
    caller = Caller()
    offer = await caller.offer()
    assert " typ relay" in offer
    monkeypatch.setattr(stun, "RETRY_RTO", 30.0)
    peer = await Peer.answer(offer, Settings())
    async with asyncio.timeout(10):
        await caller.take(peer.sdp)
        await peer.connected()
    assert peer.stats()["route"] == "relay"
    await caller.close()
    await peer.close()


async def test_ours_is_what_aiortc_uses(call: Call) -> None:
    _, peer = await call()
    connection = inside(peer)
    assert all(isinstance(one, connection_module.Protocol) for one in connection._protocols)
    assert connection.local_candidates
    assert connection._relaying is None


async def test_a_caller_may_change_to_another_pair(call: Call) -> None:
    """libwebrtc does, when a better way turns up or the one in use dies."""
    caller, peer = await call()
    ours = inside(peer)
    theirs: StockConnection = caller.pc.getSenders()[0].transport.transport._connection
    used = ours._nominated[1]
    others = (
        CandidatePair(from_there, to_here)
        for from_there in theirs._protocols
        for to_here in ours.local_candidates
        if from_there.local_candidate.can_pair_with(to_here)
    )
    other = next(pair for pair in others if pair.remote_addr != used.local_addr)
    for pair in ours._check_list:
        assert pair.task is None
        assert pair.state is not CandidatePair.State.IN_PROGRESS
    request = theirs.build_request(other, nominate=True)
    assert theirs.remote_password is not None
    async with asyncio.timeout(10):
        await other.protocol.request(request, other.remote_addr, integrity_key=theirs.remote_password.encode())
        while ours._nominated[1].local_addr != other.remote_addr:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
    assert ours._nominated[1].remote_addr == other.local_addr


async def test_no_queue_and_no_list_grows_without_bound() -> None:
    connection = Connection(Site(Settings()), "user", "p" * 22)
    await connection.gather_candidates()
    protocol = connection._protocols[0]
    for _ in range(MAX_WAITING + 5):
        protocol.datagram_received(b"\x80" + bytes(40), ("192.0.2.9", 9))
    protocol.datagram_received(b"", ("192.0.2.9", 9))
    assert connection._queue.qsize() == MAX_WAITING
    assert connection.dropped == 5
    connection.remote_username, connection.remote_password = "them", "q" * 22
    for port in range(1_000, 1_000 + 2 * MAX_PAIRS):
        check = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"PRIORITY": 1})
        connection.check_incoming(check, ("127.0.0.1", port), protocol)
    assert len(connection._check_list) == MAX_PAIRS
    await connection.close()


ALERT = b"\x15\xfe\xfd" + bytes(8) + b"\x00\x02\x02\x28"
"""handshake_failure, as anybody can send it before there are keys (RFC 6347)."""
HELLO = b"\x16\xfe\xfd" + bytes(8) + b"\x00\x28\x02" + bytes(39)
SHORT = b"\x01\x01\x00\x08\x21\x12\xa4\x42" + bytes(12) + b"\x00\x24\x00\x02\x00\x00\x00\x00"
"""A STUN answer whose PRIORITY has two bytes."""


async def test_strangers_cannot_disturb_a_handshake(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), settings)
    ours = inside(peer)
    stranger, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    at = next((one.host, one.port) for one in ours.local_candidates if one.host == "127.0.0.1")

    async def disturb() -> None:
        while True:
            for datagram in (ALERT, HELLO, SHORT):
                stranger.sendto(datagram, at)
            await asyncio.sleep(0.001)

    disturbing = asyncio.create_task(disturb())
    try:
        await caller.take(peer.sdp)
        await peer.connected()
    finally:
        disturbing.cancel()
        stranger.close()
        await caller.close()
        await peer.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_consent_outlasts_slow_answers_and_ends_without_any(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CONSENT_EVERY_S", 0.05)
    monkeypatch.setattr(connection_module, "CONSENT_S", 0.6)
    monkeypatch.setattr(stun, "RETRY_RTO", 0.05)
    caller, peer = await call()
    theirs: StockConnection = caller.pc.getSenders()[0].transport.transport._connection
    respond = theirs.request_received
    loop = asyncio.get_running_loop()
    delayed = 0

    def slow(*args: Any) -> None:
        nonlocal delayed
        delayed += 1
        loop.call_later(0.12, respond, *args)

    monkeypatch.setattr(theirs, "request_received", slow)
    async with asyncio.timeout(20):
        while delayed < 20:  # noqa: ASYNC110 - seconds of it
            await asyncio.sleep(0.05)
        assert not peer.gone
        monkeypatch.setattr(theirs, "request_received", lambda *args: None)
        assert await peer.closed() == "lost"


async def test_sockets_are_closed_at_once(call: Call) -> None:
    caller, peer = await call()
    sockets = [one.transport.get_extra_info("socket") for one in inside(peer)._protocols]
    assert all(one.fileno() >= 0 for one in sockets)
    await peer.close()
    assert all(one.fileno() < 0 for one in sockets)
    await caller.close()


# -- with one ------------------------------------------------------------------------------------------------


@needs_coturn
async def test_a_caller_who_can_reach_only_our_place_on_the_relay(relay_server: Coturn) -> None:
    settings = relayed(relay_server)
    caller = Caller()
    peer = await Peer.answer(without(await caller.offer(), ":.*:.* typ"), settings, only_v6(settings))
    assert " typ relay" not in peer.sdp, "the answer did not wait"
    await caller.take(without(peer.sdp, "."))
    (found,) = await peer.late_candidates(wait=True)
    assert (found.sdp_mid, found.sdp_mline_index) == ("0", 0)
    assert await peer.late_candidates(wait=True) == [], "told once"
    candidate = candidate_from_sdp(found.candidate.removeprefix("candidate:"))
    candidate.sdpMid = found.sdp_mid
    assert candidate.type == "relay"
    await caller.pc.addIceCandidate(candidate)
    async with asyncio.timeout(20):
        await peer.connected()
        await caller.opened.wait()
    assert peer.stats()["route"] == "relay"
    await places(relay_server, 1)
    await peer.close()
    await places(relay_server, 0)
    await caller.close()


@needs_coturn
async def test_a_caller_who_is_not_told_is_found(relay_server: Coturn) -> None:
    """Our checks reach it from the relay, which it learns of as peer-reflexive."""
    settings = relayed(relay_server)
    caller = Caller()
    peer = await Peer.answer(without(await caller.offer(), ":.*:.* typ"), settings, only_v6(settings))
    await caller.take(without(peer.sdp, "."))
    async with asyncio.timeout(20):
        await peer.connected()
    assert peer.stats()["route"] == "relay"
    await caller.close()
    await peer.close()


@needs_coturn
async def test_a_place_that_is_not_needed_is_given_back(relay_server: Coturn) -> None:
    before = asyncio.all_tasks()
    settings = relayed(relay_server)
    caller = Caller()
    # Only its IPv6 addresses are known, which the relay cannot send to: it could be the first to get through else.
    peer = await Peer.answer(without(await caller.offer(), r"\d\.\d"), settings, Site(settings))
    await peer.late_candidates(wait=True)
    await places(relay_server, 1)
    await caller.take(peer.sdp)
    await peer.connected()
    dropping = inside(peer)._dropping
    assert dropping is not None
    await dropping
    assert peer.stats()["route"] == "direct"
    await places(relay_server, 0)
    assert await peer.late_candidates(wait=True) == []
    await caller.close()
    await peer.close()
    assert not await idle(before)


@pytest.mark.parametrize("url", ["turn:127.0.0.1:{}?transport=udp", "turn:127.0.0.1:{}?transport=tcp", "silent"])
async def test_a_dead_turn_server_is_in_nobodys_way(url: str) -> None:
    before = asyncio.all_tasks()
    silent, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    port = silent.get_extra_info("sockname")[1] if url == "silent" else free("127.0.0.1")
    url = "turn:127.0.0.1:{}" if url == "silent" else url
    turn_section = {"urls": [url.format(port)], "secret": "x", "relay": True}
    settings = Settings.model_validate({"turn": turn_section})
    caller, left = Caller(), Caller()
    loop = asyncio.get_running_loop()
    offers = [await caller.offer(), await left.offer()]
    began = loop.time()
    peer = await Peer.answer(offers[0], settings, Site(settings))
    given_up = await Peer.answer(offers[1], settings, Site(settings))
    await caller.take(peer.sdp)
    await peer.connected()
    assert loop.time() - began < turn.TRY_S
    assert peer.stats()["route"] == "direct"
    assert await peer.late_candidates(wait=True) == []
    await given_up.close()
    for each in (peer, caller, left):
        await each.close()
    silent.close()
    assert not await idle(before)
