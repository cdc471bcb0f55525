"""How to send: protection and bitrate by what the caller reports, the encoder's effort by what the machine spares."""

from __future__ import annotations

import time
from typing import NamedTuple

from voxrtc.media.opus import Encoder
from voxrtc.settings import Media

LEAST_BITRATE = 12_000
"""Bits per second below which Opus no longer gives speech its full width."""

CONGESTED, CLEAR = 0.10, 0.02
"""Loss above which the bitrate goes down, and below which it goes up again (draft-ietf-rmcat-gcc-02, 6)."""

GROWTH = 1.08
DECAY = 0.8
"""The part of the loss expected so far that is still expected after a report of less."""

NEGLIGIBLE = 0.005
"""Loss that is not worth protecting against: FEC takes bits, and time to encode, from every packet."""

LOOK_S = 0.5
EASY, FULL = 0.5, 0.85
"""Share of a core that the event loop's thread uses: below the one there is effort to spare, above the other none."""


class Report(NamedTuple):
    """What the caller tells of our packets (RFC 3550, 6.4.1; REMB where it sends that)."""

    fraction_lost: float | None
    """Of the packets since its last report, 0 to 1."""
    rtt_s: float | None
    bitrate: int | None
    """Bits per second that its estimate allows us (draft-alvestrand-rmcat-remb-03)."""
    behind: int = 0
    """Packets that had left when it came, newer than the newest that it knows of."""


class Effort:
    """How hard the encoders of one thread may try. Measured when asked, at most every LOOK_S: it needs no task."""

    def __init__(self) -> None:
        self.busy = 0.0
        """Share of a core that this thread used lately, 0 to 1."""
        self._looked = time.monotonic()
        self._used = time.thread_time()

    def complexity(self, wanted: int) -> int:
        """Opus complexity, 0 to ``wanted``."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            used = time.thread_time()
            busy = (used - self._used) / (now - self._looked)
            self.busy += (min(1.0, busy) - self.busy) / 2
            self._looked, self._used = now, used
        spare = (FULL - self.busy) / (FULL - EASY)
        return round(wanted * min(1.0, max(0.0, spare)))


EFFORT = Effort()
"""Of the thread that all calls of this process share."""


class Sending:
    """Keeps the encoder of one peer suited to its line and to this machine."""

    def __init__(self, settings: Media, effort: Effort = EFFORT) -> None:
        self.loss: float | None = None
        """Part of our packets that does not arrive, as last reported, 0 to 1; None before the first report."""
        self.rtt_s: float | None = None
        self.bitrate = float(settings.opus_bitrate)
        self._most = self._allowed = settings.opus_bitrate
        self._complexity = settings.opus_complexity
        self._effort = effort
        self._expected = 0.0
        self._set: tuple[int, int, int] | None = None

    def reported(self, report: Report) -> None:
        """The caller has told how our packets arrive."""
        if report.rtt_s is not None:
            self.rtt_s = report.rtt_s
        if report.bitrate is not None:
            self._allowed = max(LEAST_BITRATE, min(self._most, report.bitrate))
        if report.fraction_lost is not None:
            self.loss = report.fraction_lost
            self._expected = max(report.fraction_lost, self._expected * DECAY)
            if report.fraction_lost > CONGESTED:
                self.bitrate *= 1 - 0.5 * report.fraction_lost
            elif report.fraction_lost < CLEAR:
                self.bitrate *= GROWTH
        self.bitrate = min(max(self.bitrate, float(min(LEAST_BITRATE, self._most))), float(self._allowed))

    @property
    def protection(self) -> int:
        """Lost packets of a hundred that the encoder is to expect."""
        return 0 if self._expected < NEGLIGIBLE else max(1, round(100 * self._expected))

    @property
    def usual(self) -> bool:
        """Whether nothing asks for more or less than what is configured."""
        return not self.protection and self.bitrate == self._most

    def tune(self, encoder: Encoder) -> None:
        """Set ``encoder`` to what is right now; cheap where nothing has changed."""
        wanted = (self._effort.complexity(self._complexity), round(self.bitrate / 1000), self.protection)
        if wanted != self._set:
            self._set = wanted
            encoder.complexity, encoder.bitrate = wanted[0], wanted[1] * 1000
            encoder.expect_loss(wanted[2])
