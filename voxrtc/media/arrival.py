"""What the arrival times of a caller's packets say: their jitter, how late they come, how fast the caller's clock runs.

Pure: times are seconds of any one monotonic clock, passed in. The transit of a packet is its arrival less its RTP
timestamp, known but for a constant. The shortest transit of late is the floor: a packet without delay in a queue. How
far a packet lies above it is its delay, and how the floor itself moves is the drift between both clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import pairwise

from voxrtc.media.opus import RTP_RATE

QUANTILE = 0.99
"""Of the packets of late, so many came within ``spread``."""

WINDOW = 512
"""Packets that ``spread`` is taken of: some 10 s, after which it has come down again."""

FLOOR_S = 10.0
"""The floor is the shortest transit of the last one to two times so many seconds: at 200 ppm it is 4 ms behind."""

DRIFT_WINDOW = 120
"""Seconds, and as many minima, that the drift is taken of."""

DRIFT_LEAST = 20
"""Seconds until the drift is known."""

STEP_S = 0.01
"""A floor that moves by more than this from one FLOOR_S to the next is another path, and no drift (1 000 ppm)."""

NEW_ORIGIN_S = 10.0
"""A transit that moves by more than this is a new origin of the timestamps."""

_BIN_S = 0.002


class Arrivals:
    """Measures the packets of one caller; ``max_s`` is the longest delay that is told apart."""

    def __init__(self, max_s: float) -> None:
        self.jitter = 0.0
        """Interarrival jitter (RFC 3550, 6.4.1), in seconds."""
        self.count = 0
        """Packets measured since the start."""
        self._ticks = 0  # the last timestamp, without the wraps
        self._transit = 0.0
        self._floors = (0.0, 0.0)  # of this stretch of FLOOR_S, and of the one before
        self._floor = 0.0
        self._turns_at = 0.0
        self._known = False
        self._bins: deque[int] = deque()
        self._counts = [0] * (int(max_s / _BIN_S) + 2)
        self._at = 0  # the bin of the quantile
        self._above = 0  # packets in the bins above it
        self._minima: deque[tuple[float, float]] = deque(maxlen=DRIFT_WINDOW)
        self._second = (-1, 0.0, 0.0)  # number, and arrival and transit of its minimum

    @property
    def spread(self) -> float:
        """Seconds over the floor within which QUANTILE of the packets came."""
        return (self._at + 1) * _BIN_S

    @property
    def drift_ppm(self) -> float | None:
        """Millionths by which the caller's clock is faster than ours; None while that is not known.

        The line under all transits that lies closest to them: delay only ever adds (Moon, Skelly and Towsley,
        "Estimation and removal of clock skew from network delay measurements", INFOCOM 1999).
        """
        if len(self._minima) < DRIFT_LEAST:
            return None
        return -1e6 * _slope_below(self._minima)

    def due(self, timestamp: int) -> float:
        """When the packet of ``timestamp`` comes if nothing delays it."""
        return self._floor + self._unwrapped(timestamp) / RTP_RATE

    def measure(self, timestamp: int, now: float) -> None:
        """Take in a packet, in the order of arrival."""
        self.count += 1
        ticks = self._unwrapped(timestamp)
        transit = now - ticks / RTP_RATE
        moved = abs(transit - self._transit)
        if not self._known or moved > NEW_ORIGIN_S:
            self._begin(timestamp, now)
            return
        self._ticks = ticks
        self._transit = transit
        self.jitter += (moved - self.jitter) / 16
        self._lower(transit, now)
        self._note_second(transit, now)
        self._note_delay(transit - self._floor)

    def restart(self) -> None:
        """The next packet is another source's: its timestamps begin anywhere."""
        self._known = False

    def _begin(self, timestamp: int, now: float) -> None:
        self._known = True
        self._ticks = timestamp
        self._transit = self._floor = transit = now - timestamp / RTP_RATE
        self._floors = (transit, transit)
        self._turns_at = now + FLOOR_S
        self._minima.clear()
        self._second = (int(now), now, transit)

    def _unwrapped(self, timestamp: int) -> int:
        """``timestamp`` (32 bits) on a count that does not wrap, next to the packet measured last."""
        return self._ticks + ((timestamp - self._ticks + 0x80000000) & 0xFFFFFFFF) - 0x80000000

    def _lower(self, transit: float, now: float) -> None:
        latest, before = self._floors
        if now >= self._turns_at:
            if abs(latest - before) > STEP_S:
                self._minima.clear()
            latest, before = transit, latest
            self._turns_at = now + FLOOR_S
        elif transit < latest:
            latest = transit
        else:
            return
        self._floors = (latest, before)
        self._floor = min(latest, before)

    def _note_second(self, transit: float, now: float) -> None:
        second, _, lowest = self._second
        if int(now) != second:
            self._minima.append(self._second[1:])
            self._second = (int(now), now, transit)
        elif transit < lowest:
            self._second = (second, now, transit)

    def _note_delay(self, delay: float) -> None:
        """Move the quantile along: a bin in, the oldest out."""
        counts, at = self._counts, self._at
        entered = min(int(delay / _BIN_S), len(counts) - 1)
        self._bins.append(entered)
        counts[entered] += 1
        self._above += entered > at
        if len(self._bins) > WINDOW:
            left = self._bins.popleft()
            counts[left] -= 1
            self._above -= left > at
        allowed = int(len(self._bins) * (1 - QUANTILE))
        while self._above > allowed:
            at += 1
            self._above -= counts[at]
        while at and self._above + counts[at] <= allowed:
            self._above += counts[at]
            at -= 1
        self._at = at


def _slope_below(points: Iterable[tuple[float, float]]) -> float:
    """The slope of the line under all ``points`` (x, y), x rising, of which they lie above by the least sum."""
    hull: list[tuple[float, float]] = []
    total, count = 0.0, 0
    for x, y in points:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
        total, count = total + x, count + 1
    mean = total / count
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x1 >= mean:
            return (y1 - y0) / (x1 - x0)
    return 0.0


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether ``b`` lies on or above the line from ``a`` to ``c``."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
