"""Until when a caller heard what left for it, as far as that can be known.

On a line that breaks, packets leave for seconds before anybody notices. The caller was there when its last datagram
came; its receiver reports (RFC 3550, 6.4.1) tell whether our packets still reach it, which in one direction alone may
end; and a caller that comes back may say for how long nothing had come.
"""

from __future__ import annotations

FRESH_S = 0.15
"""A caller whose last packet is no older is there: they come every 20 ms."""

PLAYOUT_S = 0.12
"""What a caller's jitter buffer holds, more or less: it was received, and not heard."""

RTT_S = 0.1
"""Assumed where it is not known."""

BEHIND_S = 0.6
"""A report that knows of nothing newer, the way there and back not counted, comes from a caller that is not reached."""


class Presence:
    """What is known of one caller. Times are ``loop.time()``."""

    def __init__(self) -> None:
        self._came: float | None = None
        self._missing_since: float | None = None
        self._rtt_s = RTT_S

    def came(self, at: float) -> None:
        """Something came from the caller."""
        self._came = at if self._came is None else max(at, self._came)

    def reported(self, at: float, behind_s: float, rtt_s: float | None) -> None:
        """A report came: the newest packet it knows of had left ``behind_s`` seconds before the newest that had."""
        self.came(at)
        self._rtt_s = RTT_S if rtt_s is None else rtt_s
        self._missing_since = at - behind_s if behind_s > self._rtt_s + BEHIND_S else None

    def missed(self, since: float) -> None:
        """The caller itself says that nothing came from ``since`` on."""
        self._missing_since = since if self._missing_since is None else min(since, self._missing_since)

    def fresh(self, now: float) -> bool:
        """Whether the caller is known to be there, and to be reached."""
        return self._missing_since is None and self._came is not None and now - self._came <= FRESH_S

    def heard_until(self, now: float) -> float:
        """What left before that time was heard."""
        if self.fresh(now):
            return now
        until = now if self._came is None else self._came - self._rtt_s
        if self._missing_since is not None:
            until = min(until, self._missing_since)
        return until - PLAYOUT_S
