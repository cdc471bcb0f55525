"""A bad network in one process: a UDP proxy that loses, delays, reorders, doubles and squeezes what passes through it.

A ``Proxy`` stands between callers and one server address. Each source address of a caller gets an upstream socket of
its own, so to the server it looks like a NAT. ``detour.Detour`` leads a whole call through proxies.

Losses are those of Gilbert's model (E. N. Gilbert, 1960): a good state and one that loses everything; delays are
uniform in ``delay_ms`` +- ``jitter_ms`` and independent of each other, as those of Linux' netem.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

Address: TypeAlias = tuple[str, int]

HELD_BACK_S = 0.03
"""How much later than its turn a reordered packet comes: after its successor, where one comes every 20 ms."""

MAX_WAITING = 4_096
"""Packets on their way in one direction; what comes on top is dropped and counted."""

MAX_FLOWS = 256
"""Source addresses of callers that have an upstream socket; one more takes the place of the longest idle."""

MAX_BYTES = 65_535
AT_ONCE = 64
"""Datagrams read from a socket before the loop gets its turn again."""

EARLY_S = 0.0005
"""Timers of the event loop are in whole milliseconds: what is due within half of one is sent."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What one direction does to packets. The default does nothing. Raises ValueError on what cannot be."""

    loss: float = 0.0
    """Fraction of the packets that is lost."""
    burst: float = 0.0
    """Packets lost in a row, in the mean; 0: each is lost for itself, which makes 1 / (1 - loss)."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Half the width of the delays' spread; packets may overtake each other. No delay is less than 0."""
    reorder: float = 0.0
    """Fraction of the packets that comes HELD_BACK_S later than its turn."""
    duplicate: float = 0.0
    """Fraction of the packets that comes twice; the second delay is drawn anew."""
    rate_kbps: float = 0.0
    """Kilobits of UDP payload a second; 0: no limit."""
    queue_ms: float = 200.0
    """With ``rate_kbps``: what would have to wait longer than this for its turn is dropped."""
    down: bool = False
    """Nothing passes, what is on its way included."""

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a fraction, from 0 to 1")
        for name in ("burst", "delay_ms", "jitter_ms", "rate_kbps", "queue_ms"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is a number from 0 on")
        if self.burst and self.loss < 1.0 and self.burst < max(1.0, self.loss / (1.0 - self.loss)):
            raise ValueError(f"bursts of {self.burst:g} packets cannot make a loss of {self.loss:g}: make them longer")


CLEAR = Impairment()


@dataclass(slots=True)
class Counts:
    """Packets of one direction."""

    taken: int = 0
    sent: int = 0
    lost: int = 0
    """By ``loss``."""
    down: int = 0
    """While the way was down."""
    overflowed: int = 0
    """For want of room: the queue of ``rate_kbps``, MAX_WAITING, or a full socket."""
    reordered: int = 0
    duplicated: int = 0
    refused: int = 0
    """The host said that nobody listens there (ICMP), which shows at the packet after."""


@dataclass(slots=True, eq=False)
class _Flow:
    """One source address of a caller, and the socket that stands for it."""

    caller: Address
    upstream: socket.socket


class Way:
    """One direction. ``impairment`` may be replaced at any time: it holds for what comes from then on."""

    def __init__(self, impairment: Impairment, seed: str, deliver: Callable[[bytes, _Flow], None]) -> None:
        self.impairment = impairment
        self.counts = Counts()
        self._loop = asyncio.get_running_loop()
        self._random = random.Random(seed)
        self._deliver = deliver
        self._bad = False
        self._free_at = 0.0
        self._waiting: list[tuple[float, int, bytes, _Flow]] = []
        self._number = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Packets that are on their way."""
        return len(self._waiting)

    def take(self, data: bytes, flow: _Flow) -> None:
        """A packet arrives at this end, now."""
        how, now = self.impairment, monotonic()
        self.counts.taken += 1
        if how.down:
            self.counts.down += 1
            return
        if self._loses(how):
            self.counts.lost += 1
            return
        begun = self._squeeze(how, len(data), now)
        if begun is None:
            self.counts.overflowed += 1
            return
        self._schedule(how, data, flow, begun, now)
        if how.duplicate and self._random.random() < how.duplicate:
            self.counts.duplicated += 1
            self._schedule(how, data, flow, begun, now)

    def close(self) -> None:
        """Forget what is on its way."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _loses(self, how: Impairment) -> bool:
        if not how.loss or how.loss >= 1.0:
            return how.loss >= 1.0
        if not how.burst:
            return self._random.random() < how.loss
        if self._bad:
            self._bad = self._random.random() >= 1.0 / how.burst
        else:
            self._bad = self._random.random() < how.loss / (how.burst * (1.0 - how.loss))
        return self._bad

    def _squeeze(self, how: Impairment, size: int, now: float) -> float | None:
        """When a packet of ``size`` bytes is through the bottleneck; None where its queue is full."""
        if not how.rate_kbps:
            return now
        begins = max(now, self._free_at)
        if begins - now > how.queue_ms / 1e3:
            return None
        self._free_at = begins + size * 8 / (how.rate_kbps * 1e3)
        return self._free_at

    def _schedule(self, how: Impairment, data: bytes, flow: _Flow, begun: float, now: float) -> None:
        delay = how.delay_ms
        if how.jitter_ms:
            delay = max(0.0, delay + how.jitter_ms * (2.0 * self._random.random() - 1.0))
        due = begun + delay / 1e3
        if how.reorder and self._random.random() < how.reorder:
            self.counts.reordered += 1
            due += HELD_BACK_S
        if due <= now and not self._waiting:
            self._send(data, flow)
        elif len(self._waiting) >= MAX_WAITING:
            self.counts.overflowed += 1
        else:
            self._number += 1
            heapq.heappush(self._waiting, (due, self._number, data, flow))
            if self._waiting[0][1] == self._number:
                self._arm(now)

    def _arm(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, self._waiting[0][0] - EARLY_S - now), self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = monotonic()
        while self._waiting and self._waiting[0][0] <= now + EARLY_S:
            _, _, data, flow = heapq.heappop(self._waiting)
            self._send(data, flow)
        if self._waiting:
            self._arm(monotonic())

    def _send(self, data: bytes, flow: _Flow) -> None:
        if self.impairment.down:
            self.counts.down += 1
            return
        try:
            self._deliver(data, flow)
        except ConnectionRefusedError:
            self.counts.refused += 1
        except BlockingIOError:
            self.counts.overflowed += 1
        else:
            self.counts.sent += 1


class Proxy:
    """Between callers, who send to ``address``, and ``server``; made inside a running loop, closed by ``close()``.

    ``up`` is the way to the server, ``down`` the way back. ``host``: where callers reach it (default: the server's
    own host). Raises OSError where that is no address of this machine.
    """

    def __init__(
        self,
        server: Address,
        *,
        up: Impairment = CLEAR,
        down: Impairment = CLEAR,
        seed: int | str = 0,
        host: str | None = None,
        port: int = 0,
    ) -> None:
        self.server = server
        self._loop = asyncio.get_running_loop()
        self._flows: dict[Address, _Flow] = {}
        self._family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._socket = _udp(self._family)
        try:
            self._socket.bind((host or server[0], port))
        except OSError:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()[:2]
        self.up = Way(up, f"{seed}/up", lambda data, flow: self._count(flow.upstream.send(data)))
        self.down = Way(down, f"{seed}/down", lambda data, flow: self._count(self._socket.sendto(data, flow.caller)))
        self._loop.add_reader(self._socket, self._from_callers)

    @property
    def flows(self) -> int:
        """Source addresses of callers that are known."""
        return len(self._flows)

    def rebind(self) -> None:
        """Forget every caller, as a NAT that was restarted: the server sees the next packets come from elsewhere."""
        for caller in list(self._flows):
            self._forget(caller)

    def close(self) -> None:
        """Close all sockets; what is on its way is dropped. May be called again."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self.rebind()
        self.up.close()
        self.down.close()

    @staticmethod
    def _count(sent: int) -> None:
        """UDP sends all or nothing: there is nothing to be done with the number."""

    def _from_callers(self) -> None:
        for _ in range(AT_ONCE):
            try:
                data, caller = self._socket.recvfrom(MAX_BYTES)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self.up.take(data, self._flow(caller))

    def _flow(self, caller: Address) -> _Flow:
        flow = self._flows.pop(caller, None)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._forget(next(iter(self._flows)))
            upstream = _udp(self._family)
            upstream.connect(self.server)
            flow = _Flow(caller, upstream)
            self._loop.add_reader(upstream, self._from_server, flow)
        self._flows[caller] = flow  # the last is the one heard last
        return flow

    def _from_server(self, flow: _Flow) -> None:
        for _ in range(AT_ONCE):
            try:
                data = flow.upstream.recv(MAX_BYTES)
            except ConnectionRefusedError:
                self.up.counts.refused += 1
            except BlockingIOError:
                return
            else:
                self.down.take(data, flow)

    def _forget(self, caller: Address) -> None:
        upstream = self._flows.pop(caller).upstream
        self._loop.remove_reader(upstream)
        upstream.close()


def _udp(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
