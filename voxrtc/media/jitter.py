"""The reorder buffer: RTP packets as they arrive in, packets in order and holes out.

Pure: no I/O, no clock of its own; times are seconds of any one monotonic clock, passed in. A packet that is next in
order leaves at once, so a clean network costs no delay. A hole is waited for only as long as its packet may still be on
the way. Two things are measured for that:

- how late packets come at all (``Arrivals.spread``): the missing one is given up when 99 of 100 would be there;
- how long after a packet its predecessor still came, at the most and of late. Most networks do not reorder at all:
  there, what is missing when its follower arrives is lost, and the hole is closed in the same moment.

Both go up at once and come down over some ten seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

from voxrtc.media.arrival import Arrivals
from voxrtc.media.opus import RTP_RATE

CAPACITY = 128
"""Packets held behind a hole; one more gives the hole up."""

MAX_DROPOUT = 1_500
"""A sequence number this far ahead or behind is a new start, not a loss (RFC 3550, A.1)."""

JUMP_AFTER = 2
"""Packets in sequence that show such a new start (RFC 3550, A.1)."""

RESTART_AFTER = 4
"""Packets in sequence that show that a sender started anew behind what has left, or is back at an earlier SSRC."""

REMEMBERED = 1_024
"""Packets back to which a duplicate is known as one, and one given up as late; a power of two."""

FORMER = 8
"""Earlier SSRCs that are remembered."""

KNOWN_AFTER = 250
"""Packets (5 s) after which a network that has not reordered counts as one that does not."""

MEASURED_AFTER = 25
"""Packets after which the measured spread stands alone."""

GRACE_S = 0.02
"""Longest time that a hole waits after its follower only because packets were lately out of order."""

REORDERING_DECAY_S = 10.0

LEAST_SPREAD_S = 0.003
"""A packet is not overdue before this: event loops are not more punctual."""

_MASK = REMEMBERED - 1
_NEVER = -(1 << 62)
_MAX_STEP = RTP_RATE * 120 // 1000


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

    ``start_ms`` is how long a hole is waited for while nothing is known of the network, ``max_ms`` the longest ever.
    """

    def __init__(self, start_ms: int, max_ms: int) -> None:
        self.received = 0
        """Packets that came, duplicates not counted."""
        self.lost = 0
        """Packets given up that never came."""
        self.late = 0
        """Packets that came, but only after their place had gone by."""
        self.duplicates = 0
        self._max_wait = max_ms / 1000
        self._start = min(start_ms / 1000, self._max_wait)
        self._arrivals = Arrivals(self._max_wait)
        self._reordering = 0.0  # seconds, as it was at _reordered_at
        self._reordered_at = 0.0
        self._now = 0.0
        self._came_at = 0.0
        self._ready: list[Packet | Hole] = []
        self._held: dict[int, tuple[Packet, float]] = {}
        self._next = 0
        self._highest = 0
        self._ssrc: int | None = None
        self._former: deque[int] = deque(maxlen=FORMER)
        self._strays: tuple[int, int, int] = (0, 0, 0)
        self._seen = [_NEVER] * REMEMBERED
        self._given_up: OrderedDict[int, float] = OrderedDict()
        self._step = RTP_RATE // 50  # ticks from one packet to the next, once that is known
        self._in_step = False
        self._timestamp = 0  # of the packet that is highest

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550, 6.4.1), in ms."""
        return self._arrivals.jitter * 1000

    @property
    def drift_ppm(self) -> float | None:
        """Millionths by which the caller's clock is faster than ours; None while that is not known."""
        return self._arrivals.drift_ppm

    @property
    def wait_ms(self) -> float:
        """How long a hole is waited for now, in ms after its packet would have come undelayed."""
        step = self._step / RTP_RATE  # the follower comes so much later
        return 1000 * max(0.0, min(self._max_wait, max(step + self._grace, min(step + self._patience, self._spread))))

    @property
    def deadline(self) -> float | None:
        """When ``take()`` must be called even if no packet arrives; None while nothing is held."""
        if not self._held:
            return None
        noticed = min([arrival for _, arrival in self._held.values()])
        follower = self._arrivals.due(self._held[min(self._held)][0].timestamp) + self._spread
        latest = min(noticed + self._patience, follower - self._step / RTP_RATE)
        grace = min(noticed + self._grace, follower)
        return min(noticed + self._max_wait, max(noticed, grace, latest))

    @property
    def missed_at(self) -> float:
        """When the next packet is missed, though none has come that shows it lost; never while it is not known when
        the next one comes.

        Its follower, which may hold a copy of it, is then overdue as well; and none has come for some time, as what
        was held up on the way comes all at once.
        """
        if not self._in_step:
            return math.inf
        follower = self._arrivals.due((self._timestamp + 2 * self._step) & 0xFFFFFFFF)
        quiet = self._came_at + self._step / RTP_RATE
        return max(follower + max(self._spread, LEAST_SPREAD_S), quiet + LEAST_SPREAD_S)

    def put(self, packet: Packet, now: float) -> None:
        """Take in one packet that arrived at ``now``."""
        self._now = self._came_at = now
        if packet.ssrc != self._ssrc and not self._follows_source(packet):
            return
        position = self._highest + _signed16(packet.sequence - self._highest)
        if self._seen[position & _MASK] == position:
            self.duplicates += 1
            return
        if abs(position - self._highest) > MAX_DROPOUT or self._is_behind(position):
            if not self._is_new_start(packet, position):
                self.received += 1
                self.late += 1
                return
            self._restart(packet)
            position = self._highest
        self._seen[position & _MASK] = position
        self.received += 1
        if position < self._next:
            self._came_late(packet, position, now)
        else:
            self._accept(packet, position, now)

    def take(self, now: float) -> list[Packet | Hole]:
        """Everything that is due at ``now``, in order."""
        self._now = now
        if self._held:
            self._release(now)
        ready, self._ready = self._ready, []
        return ready

    # -- in order, and not -------------------------------------------------------------------------------

    def _accept(self, packet: Packet, position: int, now: float) -> None:
        self._arrivals.measure(packet.timestamp, now)
        if position > self._highest:
            self._note_step(packet, position)
            self._highest = position
        elif position < self._highest:
            self._note_reordering(position, now)
        if position == self._next and not self._held:
            self._ready.append(packet)
            self._next += 1
            return
        self._held[position] = (packet, now)
        self._release(now)

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
        noticed = min([arrival for _, arrival in self._held.values()])
        count = first - self._next
        for position in range(max(self._next, first - REMEMBERED), first):
            self._given_up[position] = noticed
        while len(self._given_up) > REMEMBERED:
            self._given_up.popitem(last=False)
        self.lost += count
        self._ready.append(Hole(count, self._held[first][0]))
        self._next = first

    def _came_late(self, packet: Packet, position: int, now: float) -> None:
        self.late += 1
        noticed = self._given_up.pop(position, None)
        if noticed is None:
            return
        self.lost -= 1
        self._arrivals.measure(packet.timestamp, now)
        self._raise_reordering(now - noticed)

    # -- a new start -------------------------------------------------------------------------------------

    def _follows_source(self, packet: Packet) -> bool:
        """Whether ``packet``, of another SSRC, is to be followed: stragglers of an earlier one are not."""
        if packet.ssrc in self._former and not self._persists(packet, RESTART_AFTER):
            self.received += 1
            self.late += 1
            return False
        if self._ssrc is not None:
            self._former.append(self._ssrc)
        self._restart(packet)
        return True

    def _is_behind(self, position: int) -> bool:
        """Whether nothing is known of a packet that lies before what has left."""
        return position < self._next and position not in self._given_up

    def _is_new_start(self, packet: Packet, position: int) -> bool:
        if abs(position - self._highest) > MAX_DROPOUT:
            return self._persists(packet, JUMP_AFTER)
        self._seen[position & _MASK] = position
        return self._persists(packet, RESTART_AFTER)

    def _persists(self, packet: Packet, needed: int) -> bool:
        """Whether ``packet`` is the one with which ``needed`` have come in sequence that fit nowhere."""
        ssrc, expected, run = self._strays
        run = run + 1 if (packet.ssrc, packet.sequence) == (ssrc, expected) else 1
        self._strays = (packet.ssrc, (packet.sequence + 1) & 0xFFFF, run)
        return run >= needed

    def _restart(self, packet: Packet) -> None:
        """Let go of all that is held and count from ``packet`` on."""
        while self._held:
            self._give_up()
            self._ready.append(self._held.pop(self._next)[0])
            self._next += 1
        self._seen = [_NEVER] * REMEMBERED
        self._given_up.clear()
        self._strays = (0, 0, 0)
        self._ssrc = packet.ssrc
        self._next = self._highest = packet.sequence
        self._timestamp = packet.timestamp
        self._arrivals.restart()

    # -- what is measured --------------------------------------------------------------------------------

    @property
    def _spread(self) -> float:
        unknown = 1 - self._arrivals.count / MEASURED_AFTER
        return max(self._arrivals.spread, unknown * self._start)

    @property
    def _patience(self) -> float:
        """Longest wait after the first packet that came behind a hole."""
        unknown = 1 - self._arrivals.count / KNOWN_AFTER
        return min(self._max_wait, max(self._recent_reordering, unknown * self._start))

    @property
    def _grace(self) -> float:
        """Shortest wait after the first packet that came behind a hole."""
        return min(GRACE_S, self._recent_reordering)

    @property
    def _recent_reordering(self) -> float:
        if not self._reordering:
            return 0.0
        recent = self._reordering * math.exp((self._reordered_at - self._now) / REORDERING_DECAY_S)
        return recent if recent > 0.001 else 0.0

    def _note_step(self, packet: Packet, position: int) -> None:
        if position == self._highest + 1:
            step = (packet.timestamp - self._timestamp) & 0xFFFFFFFF
            if 0 < step <= _MAX_STEP:
                self._step, self._in_step = step, True
        self._timestamp = packet.timestamp

    def _note_reordering(self, position: int, now: float) -> None:
        behind = [arrival for held, (_, arrival) in self._held.items() if held > position]
        if behind:
            self._raise_reordering(now - min(behind))

    def _raise_reordering(self, lag: float) -> None:
        self._reordering = min(self._max_wait, max(self._recent_reordering, 1.25 * lag + 0.002))
        self._reordered_at = self._now


def _signed16(difference: int) -> int:
    """``difference`` of two 16-bit sequence numbers as the shorter way round, -32768 to 32767."""
    return ((difference + 0x8000) & 0xFFFF) - 0x8000
