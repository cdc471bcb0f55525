import socket
from contextlib import ExitStack
from typing import Any

import pytest

from tests.coturn import free
from tests.media.callers import Caller
from voxrtc.errors import CallsFull
from voxrtc.media import site as site_module
from voxrtc.media.addresses import Addresses, Interface
from voxrtc.media.peer import Peer
from voxrtc.media.site import Site
from voxrtc.settings import Settings


def site(server: dict[str, Any] | None = None, **media: Any) -> Site:
    return Site(Settings.model_validate({"server": {"max_calls": 2} | (server or {}), "media": media}))


def on(one: Site, *addresses: str) -> Site:
    one.addresses = Addresses("any", True, lambda: [Interface("eth0", True, addresses)])
    return one


@pytest.fixture
def ports() -> list[int]:
    first = free("127.0.0.1")
    return [first, first + 3] if first < 65_000 else [first - 3, first]


def test_each_socket_gets_a_port_of_the_range_and_the_next_one_another(ports: list[int]) -> None:
    one = site(port_range=ports)
    with one.bind("127.0.0.1") as first:
        assert ports[0] <= first.getsockname()[1] <= ports[1]
        assert not first.getblocking()
    with one.bind("127.0.0.1") as second:  # the first is free again, but rests
        assert first.fileno() == -1
        assert ports[0] < second.getsockname()[1] <= ports[1]


def test_a_port_that_another_program_has_is_passed_over_and_a_full_range_is_told(ports: list[int]) -> None:
    one = site(port_range=ports)
    with ExitStack() as open_until_here:
        other = open_until_here.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        other.bind(("127.0.0.1", ports[0] + 1))
        got = set()
        for _ in range(3):
            got.add(open_until_here.enter_context(one.bind("127.0.0.1")).getsockname()[1])
        assert got == set(range(ports[0], ports[1] + 1)) - {ports[0] + 1}
        with pytest.raises(CallsFull, match=r"media\.port_range"):
            one.bind("127.0.0.1")
        with one.bind("::1") as sixth:  # each address has all the ports
            assert sixth.family is socket.AF_INET6


def test_an_address_that_is_gone(ports: list[int]) -> None:
    with pytest.raises(OSError, match="assign"):
        site(port_range=ports).bind("198.51.100.77")


@pytest.mark.parametrize(
    ("server", "media", "loopback"),
    [
        ({}, {}, True),
        ({"host": "localhost"}, {}, True),
        ({"host": "0.0.0.0"}, {}, False),
        ({}, {"public_ip": "198.51.100.1"}, False),  # behind a proxy on this machine
    ],
)
def test_loopback_is_for_a_server_that_listens_there(
    server: dict[str, Any], media: dict[str, Any], loopback: bool
) -> None:
    one = site(server, **media)
    one.addresses._look = lambda: [Interface("lo", True, ("127.0.0.1",)), Interface("eth0", True, ("10.0.0.5",))]
    assert one.addresses.now() == (["10.0.0.5", "127.0.0.1"] if loopback else ["10.0.0.5"])


@pytest.mark.parametrize(
    ("public", "source", "addresses", "known"),
    [
        ("198.51.100.1", "10.0.0.5", ["10.0.0.5", "10.1.0.5", "::1"], {"10.0.0.5": "198.51.100.1"}),
        ("198.51.100.1", None, ["10.0.0.5", "127.0.0.1"], {"10.0.0.5": "198.51.100.1"}),
        ("198.51.100.1", "10.0.0.5", ["198.51.100.1", "10.0.0.5"], {}),
        ("2001:db8::1", "fd00::5", ["10.0.0.5", "fd00::5"], {"fd00::5": "2001:db8::1"}),
        ("", None, ["10.0.0.5"], {}),
    ],
)
def test_what_the_nat_makes_of_our_addresses(
    public: str, source: str | None, addresses: list[str], known: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "_source_towards", lambda address: source)
    assert site(public_ip=public).known_as(addresses) == known


def test_the_source_towards_an_address_is_what_the_routes_say() -> None:
    assert site_module._source_towards("127.0.0.2") == "127.0.0.1"


async def test_the_answer_tells_of_the_ports_and_of_the_public_address(ports: list[int]) -> None:
    one = on(site(port_range=ports, public_ip="198.51.100.1"), "127.0.0.1")
    one.known_as = lambda addresses: dict.fromkeys(addresses, "198.51.100.1")  # type: ignore[method-assign]
    caller = Caller()
    peer = await Peer.answer(await caller.offer(), Settings(), one)
    lines = [line.split() for line in peer.sdp.splitlines() if line.startswith("a=candidate")]
    host, srflx = lines[:2]
    assert ports[0] <= int(host[5]) <= ports[1]
    assert host[4] == "127.0.0.1"
    assert host[6:] == ["typ", "host"]
    assert srflx[4:] == ["198.51.100.1", host[5], "typ", "srflx", "raddr", "127.0.0.1", "rport", host[5]]
    assert int(host[3]) > int(srflx[3])
    await peer.close()
    with one.bind("127.0.0.1"):
        pass
    await caller.close()


async def test_offers_beyond_the_ports_are_refused_and_leave_nothing(ports: list[int]) -> None:
    one = on(site(port_range=[ports[0], ports[0] + 1]), "127.0.0.1")
    callers = [Caller() for _ in range(3)]
    peers = [await Peer.answer(await caller.offer(), Settings(), one) for caller in callers[:2]]
    with pytest.raises(CallsFull):
        await Peer.answer(await callers[2].offer(), Settings(), one)
    await peers[0].close()
    peers[0] = await Peer.answer(await callers[2].offer(), Settings(), one)
    for each in (*peers, *callers):
        await each.close()


async def test_a_machine_without_network_says_so() -> None:
    caller = Caller()
    with pytest.raises(CallsFull, match="no network address"):
        await Peer.answer(await caller.offer(), Settings(), on(site()))
    gone = on(site(), "198.51.100.77")
    with pytest.raises(CallsFull, match="no network address"):
        await Peer.answer(await caller.offer(), Settings(), gone)
    await caller.close()
