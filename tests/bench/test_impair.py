"""The bad network does what it says: to sockets, from a seed, on both loops, and under a real call."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from time import monotonic

import pytest
import uvloop
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from voxrtc.bench import impair
from voxrtc.bench.detour import Detour, anonymous, reroute
from voxrtc.bench.impair import Impairment, Proxy

WAIT_S = 10.0


class End:
    """A UDP socket that keeps what it gets, with the time and the sender."""

    def __init__(self, echo: bool = False) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.got: list[bytes] = []
        self.at: list[float] = []
        self.senders: list[tuple[str, int]] = []
        self._echo = echo
        self._came = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def _read(self) -> None:
        data, sender = self.socket.recvfrom(2_048)
        self.got.append(data)
        self.at.append(monotonic())
        self.senders.append(sender)
        if self._echo:
            self.socket.sendto(data, sender)
        self._came.set()

    def send(self, number: int, to: tuple[str, int], size: int = 4) -> None:
        self.socket.sendto(number.to_bytes(4, "big").ljust(size, b"."), to)

    @property
    def numbers(self) -> list[int]:
        return [int.from_bytes(data[:4], "big") for data in self.got]

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self.got) < count:
                self._came.clear()
                await self._came.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


@contextmanager
def between(**how) -> Iterator[tuple[End, Proxy, End]]:
    caller, server = End(), End(echo=True)
    proxy = Proxy(server.address, **how)
    try:
        yield caller, proxy, server
    finally:
        proxy.close()
        caller.close()
        server.close()


async def push(caller: End, proxy: Proxy, count: int, size: int = 4) -> None:
    """Send ``count`` packets in lots small enough for every socket's buffer, until all were taken."""
    for number in range(count):
        caller.send(number, proxy.address, size)
        if number % 50 == 49 or number == count - 1:
            await until(lambda sent=number: proxy.up.counts.taken > sent)


async def until(condition: Callable[[], bool]) -> None:
    """Return once ``condition`` holds: counts change without an event to wait for."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def quiet(proxy: Proxy) -> None:
    """Return once nothing is on its way any more."""
    await until(lambda: not proxy.up.waiting and not proxy.down.waiting)


async def test_clear_way_passes_everything_both_ways_in_order():
    with between() as (caller, proxy, server):
        await push(caller, proxy, 200)
        await caller.until(200)
        assert server.numbers == caller.numbers == list(range(200))
        assert set(caller.senders) == {proxy.address}
        assert proxy.up.counts.sent == proxy.down.counts.sent == 200


async def test_each_caller_has_a_socket_of_its_own_and_gets_its_own_answers():
    other = End()
    with between() as (caller, proxy, server):
        for number in range(10):
            caller.send(number, proxy.address)
            other.send(100 + number, proxy.address)
        await caller.until(10)
        await other.until(10)
        assert proxy.flows == 2
        assert len(set(server.senders)) == 2
        assert sorted(caller.numbers) == list(range(10))
        assert sorted(other.numbers) == list(range(100, 110))
    other.close()


async def test_rebinding_shows_the_server_another_address():
    with between() as (caller, proxy, server):
        caller.send(1, proxy.address)
        await caller.until(1)
        proxy.rebind()
        caller.send(2, proxy.address)
        await caller.until(2)
        assert len(set(server.senders)) == 2
        assert proxy.flows == 1


@pytest.mark.parametrize(("burst", "mean"), [(0.0, 1.25), (1.0, 1.0), (4.0, 4.0)])
async def test_loss_and_its_bursts(burst: float, mean: float):
    with between(up=Impairment(loss=0.2, burst=burst)) as (caller, proxy, server):
        await push(caller, proxy, 10_000)
        await server.until(proxy.up.counts.sent)
        arrived = set(server.numbers)
        gone = [number not in arrived for number in range(10_000)]
        runs = [len(list(run)) for lost, run in groupby(gone) if lost]
        assert sum(gone) / 10_000 == pytest.approx(0.2, abs=0.03)
        assert sum(runs) / len(runs) == pytest.approx(mean, rel=0.12)
        assert proxy.up.counts.lost == sum(gone)


async def test_same_seed_same_losses_and_another_seed_others():
    async def lost(seed: int) -> list[int]:
        with between(up=Impairment(loss=0.3), seed=seed) as (caller, proxy, server):
            await push(caller, proxy, 100)
            await server.until(proxy.up.counts.sent)
            return server.numbers

    assert await lost(1) == await lost(1) != await lost(2)


async def test_delay_is_kept_and_jitter_spreads_it():
    how = Impairment(delay_ms=60, jitter_ms=30)
    with between(up=how) as (caller, proxy, server):
        sent = []
        for number in range(100):
            sent.append(monotonic())
            caller.send(number, proxy.address)
            await asyncio.sleep(0.005)
        await server.until(100)
        took = [at - sent[number] for at, number in zip(server.at, server.numbers, strict=True)]
        assert min(took) >= 0.029
        assert 0.03 < sorted(took)[5] < 0.05  # the rest may be late on a busy machine
        assert 0.05 < sorted(took)[50] < 0.08
        assert server.numbers != sorted(server.numbers)


async def test_constant_delay_keeps_the_order():
    with between(up=Impairment(delay_ms=20), down=Impairment(delay_ms=10)) as (caller, proxy, server):
        began = monotonic()
        await push(caller, proxy, 300)
        await caller.until(300)
        assert server.numbers == caller.numbers == list(range(300))
        assert caller.at[0] - began >= 0.029


async def test_reorder_holds_some_back_behind_their_successors():
    with between(up=Impairment(reorder=0.2)) as (caller, proxy, server):
        for number in range(60):
            caller.send(number, proxy.address)
            await asyncio.sleep(0.005)
        await server.until(60)
        late = sum(b < a for a, b in zip(server.numbers, server.numbers[1:], strict=False))
        assert sorted(server.numbers) == list(range(60))
        assert 0 < late <= proxy.up.counts.reordered < 30


async def test_duplicates():
    with between(up=Impairment(duplicate=0.5)) as (caller, proxy, server):
        await push(caller, proxy, 200)
        await server.until(proxy.up.counts.sent)
        assert len(server.got) == 200 + proxy.up.counts.duplicated
        assert 60 < proxy.up.counts.duplicated < 140
        assert set(server.numbers) == set(range(200))


async def test_rate_squeezes_and_drops_what_finds_its_queue_full():
    how = Impairment(rate_kbps=80, queue_ms=100)  # 1 000 bytes take 100 ms
    with between(up=how) as (caller, proxy, server):
        await push(caller, proxy, 10, size=1_000)
        await quiet(proxy)
        await server.until(proxy.up.counts.sent)
        assert proxy.up.counts.overflowed == 10 - len(server.got) > 5
        assert server.at[1] - server.at[0] == pytest.approx(0.1, abs=0.05)


async def test_down_lets_nothing_through_not_even_what_is_on_its_way():
    with between(up=Impairment(delay_ms=50)) as (caller, proxy, server):
        await push(caller, proxy, 5)
        proxy.up.impairment = Impairment(down=True)
        caller.send(99, proxy.address)
        await until(lambda: proxy.up.counts.taken == 6)
        await quiet(proxy)
        assert server.got == []
        assert proxy.up.counts.down == 6
        proxy.up.impairment = Impairment()
        caller.send(7, proxy.address)
        await server.until(1)
        assert server.numbers == [7]


async def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(impair, "MAX_WAITING", 20)
    monkeypatch.setattr(impair, "MAX_FLOWS", 3)
    others = [End() for _ in range(5)]
    with between(up=Impairment(delay_ms=5_000)) as (caller, proxy, _):
        await push(caller, proxy, 50)
        assert proxy.up.waiting == 20
        assert proxy.up.counts.overflowed == 30
        for other in others:
            other.send(1, proxy.address)
        await until(lambda: proxy.up.counts.taken == 55)
        assert proxy.flows == 3
    for other in others:
        other.close()


@pytest.mark.parametrize(
    "tested",
    [
        test_clear_way_passes_everything_both_ways_in_order,
        test_constant_delay_keeps_the_order,
        test_delay_is_kept_and_jitter_spreads_it,
        test_rate_squeezes_and_drops_what_finds_its_queue_full,
        test_down_lets_nothing_through_not_even_what_is_on_its_way,
    ],
)
def test_on_uvloop_too(tested):
    """The assertions are those of ``tested``."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(tested())
        assert isinstance(runner.get_loop(), uvloop.Loop)


async def test_nobody_behind_it_is_counted_and_survived():
    gone = End()
    address = gone.address
    gone.close()
    caller, proxy = End(), Proxy(address)
    async with asyncio.timeout(WAIT_S):
        while not proxy.up.counts.refused:
            caller.send(1, proxy.address)
            await asyncio.sleep(0.01)
    refused = proxy.up.counts.refused
    caller.send(1, proxy.address)
    await until(lambda: proxy.up.counts.taken > refused)
    assert proxy.flows == 1, "it is still there, and so is the caller's way"
    proxy.close()
    proxy.close()
    assert proxy.flows == 0
    caller.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.5},
        {"loss": -0.1},
        {"delay_ms": -1},
        {"rate_kbps": float("nan")},
        {"loss": 0.9, "burst": 2},
        {"burst": 0.5},
    ],
)
def test_impairments_that_cannot_be_are_refused(wrong: dict):
    with pytest.raises(ValueError):
        Impairment(**wrong)


def test_rewriting_of_descriptions():
    sdp = (
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\na=candidate:1 1 udp 2130706431 10.0.0.5 4000 typ host\r\n"
        "a=candidate:2 1 UDP 100 1.2.3.4 4001 typ srflx raddr 10.0.0.5 rport 4000\r\n"
        "a=candidate:3 1 tcp 99 10.0.0.5 9 typ host tcptype active\r\na=candidate:4 1 udp 9 abc.local 5 typ host\r\n"
        "a=end-of-candidates\r\n"
    )
    asked = []

    def via(address):
        asked.append(address)
        return ("127.0.0.9", 7000 + len(asked))

    rewritten = reroute(sdp, via)
    assert asked == [("10.0.0.5", 4000), ("1.2.3.4", 4001)]
    assert "a=candidate:1 1 udp 2130706431 127.0.0.9 7001 typ host\r\n" in rewritten
    assert "a=candidate:2 1 udp 100 127.0.0.9 7002 typ host\r\n" in rewritten
    assert "tcp" not in rewritten
    assert "local" not in rewritten
    assert anonymous(sdp) == "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n"


@pytest.fixture
async def pair() -> AsyncIterator[tuple[RTCPeerConnection, RTCPeerConnection]]:
    ends = RTCPeerConnection(RTCConfiguration(iceServers=[])), RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield ends
    for end in ends:
        await end.close()


async def test_a_real_call_goes_through_a_detour_and_only_there(pair):
    caller, server = pair
    got: asyncio.Queue[str] = asyncio.Queue()
    server.on("datachannel", lambda channel: channel.on("message", lambda text: channel.send(text + "!")))
    channel = caller.createDataChannel("x")
    channel.on("open", lambda: channel.send("hello"))
    channel.on("message", got.put_nowait)
    with Detour(up=Impairment(delay_ms=20), seed=1) as detour:
        await caller.setLocalDescription(await caller.createOffer())
        await server.setRemoteDescription(RTCSessionDescription(anonymous(caller.localDescription.sdp), "offer"))
        await server.setLocalDescription(await server.createAnswer())
        answer = detour.reroute(server.localDescription.sdp)
        await caller.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        assert await asyncio.wait_for(got.get(), WAIT_S) == "hello!"
        passed = sum(proxy.up.counts.sent for proxy in detour.proxies.values())
        assert passed > 5
        began = monotonic()
        channel.send("again")
        assert await asyncio.wait_for(got.get(), WAIT_S) == "again!"
        assert monotonic() - began >= 0.019
        assert sum(proxy.up.counts.sent for proxy in detour.proxies.values()) > passed
        detour.impair(up=Impairment(down=True))
        channel.send("nobody hears this")
        await until(lambda: any(proxy.up.counts.down for proxy in detour.proxies.values()))
        assert got.empty()
