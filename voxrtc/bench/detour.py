"""One call through a bad network: proxies (``impair.Proxy``) in front of every address in an SDP answer.

The caller's packets go that way, as long as the server was not told the caller's own addresses (``anonymous``): else
it would reach the caller past them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import TracebackType

from voxrtc.bench.impair import CLEAR, Address, Impairment, Proxy

_CANDIDATE = re.compile(r"a=candidate:(\S+) (\d+) (\S+) (\d+) (\S+) (\d+) typ (\S+)(.*)")


class Detour:
    """One call's way through proxies, ``with``: ``anonymous(offer)`` is sent, ``reroute(answer)`` is what comes back.

    ``host`` as in Proxy. The proxies are there once ``reroute`` has made them.
    """

    def __init__(
        self, *, up: Impairment = CLEAR, down: Impairment = CLEAR, seed: int | str = 0, host: str | None = None
    ) -> None:
        self._up, self._down, self._seed, self._host = up, down, seed, host
        self.proxies: dict[Address, Proxy] = {}
        """By the server address behind each."""

    def __enter__(self) -> Detour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reroute(self, answer: str) -> str:
        """``answer`` with the address of a proxy in place of each of the server's. Raises OSError as Proxy does."""
        return reroute(answer, self.through)

    def through(self, server: Address) -> Address:
        """Where packets for ``server`` are to be sent instead."""
        if server not in self.proxies:
            seed = f"{self._seed}/{len(self.proxies)}"
            self.proxies[server] = Proxy(server, up=self._up, down=self._down, seed=seed, host=self._host)
        return self.proxies[server].address

    def impair(self, *, up: Impairment | None = None, down: Impairment | None = None) -> None:
        """Change one direction or both, from now on."""
        self._up, self._down = up or self._up, down or self._down
        for proxy in self.proxies.values():
            proxy.up.impairment, proxy.down.impairment = self._up, self._down

    def rebind(self) -> None:
        """Let the server see the caller come from other ports from now on."""
        for proxy in self.proxies.values():
            proxy.rebind()

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()


def anonymous(offer: str) -> str:
    """``offer`` without candidates: the server learns where the caller is from what comes through the proxy."""
    hidden = ("a=candidate:", "a=end-of-candidates")
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith(hidden))


def reroute(answer: str, via: Callable[[Address], Address]) -> str:
    """``answer`` with ``via(address)`` in each UDP candidate's place; candidates of any other kind are left out."""
    lines = []
    for line in answer.splitlines():
        if not line.startswith("a=candidate:"):
            lines.append(line)
            continue
        match = _CANDIDATE.fullmatch(line)
        if match is None or match[3].lower() != "udp" or match[5].endswith(".local"):
            continue
        host, port = via((match[5], int(match[6])))
        lines.append(f"a=candidate:{match[1]} {match[2]} udp {match[4]} {host} {port} typ host")
    return "\r\n".join(lines) + "\r\n"
