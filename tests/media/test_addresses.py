import pytest

from voxrtc.media.addresses import FRESH_S, INNER, MAX_ADDRESSES, Addresses, Interface, Version, choose, interfaces

LO = Interface("lo", True, ("127.0.0.1", "127.0.0.2", "::1"))
ETH = Interface("eth0", True, ("10.0.0.5", "2001:db8::5", "fe80::1", "02:fc:00:00:00:01"))
WIFI = Interface("wlan0", True, ("192.168.1.7",))
DOWN = Interface("eth1", False, ("10.9.9.9",))
LOST = Interface("eth2", True, ("169.254.7.7", "0.0.0.0", "224.0.0.1"))
INSIDE = [Interface(f"{name}0", True, (f"172.17.0.{n}",)) for n, name in enumerate(INNER)]


def test_addresses_that_callers_can_reach() -> None:
    assert choose([LO, *INSIDE, DOWN, LOST, ETH, WIFI], "any", False) == ["10.0.0.5", "192.168.1.7", "2001:db8::5"]


@pytest.mark.parametrize(("version", "chosen"), [("4", ["10.0.0.5"]), ("6", ["2001:db8::5"])])
def test_of_one_version(version: Version, chosen: list[str]) -> None:
    assert choose([LO, ETH], version, False) == chosen


def test_loopback_comes_last_or_alone() -> None:
    assert choose([LO, WIFI], "any", True) == ["192.168.1.7", "127.0.0.1", "127.0.0.2", "::1"]
    assert choose([LO, DOWN, *INSIDE], "any", False) == ["127.0.0.1", "127.0.0.2", "::1"]
    assert choose([LO, DOWN], "6", False) == ["::1"]
    assert choose([DOWN], "any", True) == []


def test_not_too_many() -> None:
    many = Interface("eth0", True, tuple(f"10.0.0.{n}" for n in range(100)))
    assert len(choose([LO, many], "any", True)) == MAX_ADDRESSES


def test_a_look_is_good_for_a_while() -> None:
    now, present, looks = 0.0, [LO, ETH], 0

    def look() -> list[Interface]:
        nonlocal looks
        looks += 1
        return present

    addresses = Addresses("4", False, look, lambda: now)
    assert addresses.now() == addresses.now() == ["10.0.0.5"]
    present = [LO, WIFI]
    now = FRESH_S / 2
    assert (addresses.now(), looks) == (["10.0.0.5"], 1)
    addresses.forget()
    assert (addresses.now(), looks) == (["192.168.1.7"], 2)
    now = 2 * FRESH_S
    assert (addresses.now(), looks) == (["192.168.1.7"], 3)


def test_this_machine_has_loopback() -> None:
    found = {interface.name: interface for interface in interfaces()}
    assert any("127.0.0.1" in interface.addresses for interface in found.values())
    assert choose(found.values(), "any", True)
