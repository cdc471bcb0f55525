"""The addresses of this machine that callers may reach it at."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import psutil

INNER = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "cali", "flannel", "lxc", "lxd", "podman")
"""Interfaces whose addresses lead to containers and virtual machines on this host, never to a caller."""

MAX_ADDRESSES = 8
"""Each costs a socket in every call, and each caller as many checks more."""

FRESH_S = 3.0
"""Seconds for which a look at the interfaces (0.2 ms, more on machines with many) is good for every offer."""

Version = Literal["any", "4", "6"]


class Interface(NamedTuple):
    """A network interface, and its addresses as psutil gives them, without the zone."""

    name: str
    up: bool
    addresses: tuple[str, ...]


def interfaces() -> list[Interface]:
    """Those of this machine, as they are now."""
    states = psutil.net_if_stats()
    return [
        Interface(name, name not in states or states[name].isup, tuple(e.address.partition("%")[0] for e in entries))
        for name, entries in psutil.net_if_addrs().items()
    ]


def choose(found: Iterable[Interface], version: Version, loopback: bool) -> list[str]:
    """The addresses for media, the best first.

    Not of use are those of interfaces that are down or lead inside this host, link-local ones (a caller would need our
    interface's zone) and loopback. Loopback comes last, with ``loopback`` or where there is nothing else: a caller on
    this machine, in a lab without network or a laptop in flight mode, can still be reached.
    """
    outer: list[str] = []
    own: list[str] = []
    for interface in found:
        if not interface.up or interface.name.startswith(INNER):
            continue
        for text in interface.addresses:
            address = _address(text)
            if address is None or version not in ("any", str(address.version)):
                continue
            if address.is_link_local or address.is_unspecified or address.is_multicast:
                continue
            (own if address.is_loopback else outer).append(str(address))
    outer.sort(key=lambda text: ":" in text)  # IPv4 first: it works for most callers
    return (outer + own if loopback or not outer else outer)[:MAX_ADDRESSES]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None  # a hardware address


class Addresses:
    """``choose`` of what there is now, looked at anew after FRESH_S. ``look`` and ``clock`` are for tests."""

    def __init__(
        self,
        version: Version,
        loopback: bool,
        look: Callable[[], Iterable[Interface]] = interfaces,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._version: Version = version
        self._loopback = loopback
        self._look = look
        self._clock = clock
        self._known: list[str] = []
        self._until = float("-inf")

    def now(self) -> list[str]:
        """At least one, but on a machine without any network."""
        if self._clock() >= self._until:
            self._known = choose(self._look(), self._version, self._loopback)
            self._until = self._clock() + FRESH_S
        return list(self._known)

    def forget(self) -> None:
        """One of them turned out to be gone: look again the next time."""
        self._until = float("-inf")
