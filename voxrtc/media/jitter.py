"""The reorder buffer: RTP packets as they arrive in, packets in order and holes out.

Pure: no I/O, no clock of its own; times are seconds of any one monotonic clock, passed in. A packet that is next in
order leaves at once, so a clean network costs no delay. A hole is waited for only as long as packets have lately been
seen to come out of order, then given up: the wait follows what is measured up at once and down slowly.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from voxrtc.media.opus import RTP_RATE

CAPACITY = 128
"""Packets held behind a hole; one more gives the hole up."""

MAX_DROPOUT = 1_500
"""A sequence number this far ahead or behind is a new start, not a loss (RFC 3550, A.1)."""

RESTART_AFTER = 4
"""Packets in sequence, behind what has left and never seen before, that show a sender which started anew."""

REMEMBERED = 1_024
MIN_WAIT = 0.010
DECAY_S = 10.0


class Packet(NamedTuple):
    """What the buffer needs of an RTP packet (RFC 3550, 5.1): ``sequence`` 16 bits, ``timestamp`` 32 bits at 48 kHz."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @property
    def sequence_number(self) -> int:
        """``sequence``, by the name that aiortc's statistics know it by."""
        return self.sequence


@dataclass(frozen=True, slots=True)
class Hole:
    """``count`` packets that did not come in time, right before ``follower`` (which leaves next)."""

    count: int
    follower: Packet


class JitterBuffer:
    """Orders the packets of one caller. ``put()`` each as it arrives, then ``take()`` what is due.

    ``start_ms`` is how long a hole is waited for at first, ``max_ms`` the longest it ever is.
    """

    def __init__(self, start_ms: int, max_ms: int) -> None:
        self.received = 0
        """Packets that came, duplicates not counted."""
        self.lost = 0
        """Packets given up that never came."""
        self.late = 0
        """Packets that came, but only after they had been given up."""
        self.duplicates = 0
        self._max_wait = max_ms / 1000
        self._wait = min(start_ms / 1000, self._max_wait)
        self._ready: list[Packet | Hole] = []
        self._held: dict[int, tuple[Packet, float]] = {}
        self._next = 0
        self._highest = 0
        self._ssrc: int | None = None
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._given_up: OrderedDict[int, float] = OrderedDict()
        self._strays = (0, 0)
        self._transit: float | None = None
        self._jitter = 0.0
        self._measured: float | None = None

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550, 6.4.1), in ms."""
        return self._jitter * 1000

    @property
    def wait_ms(self) -> float:
        """How long a hole is waited for now, in ms."""
        return self._wait * 1000

    @property
    def deadline(self) -> float | None:
        """When ``take()`` must be called even if no packet arrives; None while nothing is held."""
        if not self._held:
            return None
        return min(arrival for _, arrival in self._held.values()) + self._wait

    def put(self, packet: Packet, now: float) -> None:
        """Take in one packet that arrived at ``now``."""
        if packet.ssrc != self._ssrc:
            self._restart(packet)
        position = self._highest + _signed16(packet.sequence - self._highest)
        if abs(position - self._highest) > MAX_DROPOUT or self._is_restart(position):
            self._restart(packet)
            position = self._highest
        if position in self._seen:
            self.duplicates += 1
            return
        self._remember(position)
        self.received += 1
        if position < self._next:
            self._came_late(position, now)
            return
        self._strays = (0, 0)
        self._measure(packet, position, now)
        self._held[position] = (packet, now)
        self._highest = max(self._highest, position)
        self._release(now)

    def take(self, now: float) -> list[Packet | Hole]:
        """Everything that is due at ``now``, in order."""
        self._release(now)
        ready, self._ready = self._ready, []
        return ready

    def _release(self, now: float) -> None:
        while self._held:
            if self._next in self._held:
                self._ready.append(self._held.pop(self._next)[0])
                self._next += 1
                continue
            deadline = self.deadline
            if len(self._held) <= CAPACITY and deadline is not None and now < deadline:
                return
            self._give_up()

    def _give_up(self) -> None:
        """Close the hole at the head: all that is missing before the first packet held."""
        first = min(self._held)
        noticed = min(arrival for _, arrival in self._held.values())
        count = first - self._next
        for position in range(self._next, first):
            self._given_up[position] = noticed
        while len(self._given_up) > REMEMBERED:
            self._given_up.popitem(last=False)
        self.lost += count
        self._ready.append(Hole(count, self._held[first][0]))
        self._next = first

    def _came_late(self, position: int, now: float) -> None:
        noticed = self._given_up.pop(position, None)
        if noticed is None:
            return
        self.lost -= 1
        self.late += 1
        self._raise_wait(now - noticed)

    def _is_restart(self, position: int) -> bool:
        """Whether packets have come in sequence that lie before everything known: a sender that began anew."""
        if position >= self._next or position in self._seen or position in self._given_up:
            return False
        expected, run = self._strays
        run = run + 1 if position == expected else 1
        self._strays = (position + 1, run)
        return run >= RESTART_AFTER

    def _restart(self, packet: Packet) -> None:
        """Let go of all that is held and count from ``packet`` on."""
        for position in sorted(self._held):
            self._ready.append(self._held[position][0])
        self._held.clear()
        self._seen.clear()
        self._given_up.clear()
        self._strays = (0, 0)
        self._ssrc = packet.ssrc
        self._next = self._highest = packet.sequence
        self._transit = None

    def _remember(self, position: int) -> None:
        self._seen[position] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)

    def _measure(self, packet: Packet, position: int, now: float) -> None:
        """Jitter from packets in order, the wait from those that are not."""
        if position < self._highest:
            behind = [arrival for held, (_, arrival) in self._held.items() if held > position]
            if behind:
                self._raise_wait(now - min(behind))
            return
        transit = now - packet.timestamp / RTP_RATE
        if self._transit is not None:
            moved = abs(transit - self._transit)
            if moved < 10.0:  # more is a wrap of the timestamp or a new origin
                self._jitter += (moved - self._jitter) / 16
        self._transit = transit
        base = min(self._max_wait, max(MIN_WAIT, 3 * self._jitter))
        elapsed = 0.0 if self._measured is None else now - self._measured
        self._measured = now
        if base > self._wait:
            self._wait = base
        else:
            self._wait -= (self._wait - base) * min(1.0, elapsed / DECAY_S)

    def _raise_wait(self, lateness: float) -> None:
        self._wait = min(self._max_wait, max(self._wait, 1.25 * lateness + 0.005))


def _signed16(difference: int) -> int:
    """``difference`` of two 16-bit sequence numbers as the shorter way round, -32768 to 32767."""
    return ((difference + 0x8000) & 0xFFFF) - 0x8000
