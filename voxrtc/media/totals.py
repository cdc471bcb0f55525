"""What a call's links counted, over all the peers that have carried it."""

from __future__ import annotations

from typing import Any

COUNTS = ("received", "lost", "recovered", "concealed", "late", "duplicates", "dropped")
"""Those of the fields of events.MediaStats that count from the beginning of the call."""


class LinkTotals:
    """For one call: makes of what its peer of the moment counts what the call has counted."""

    def __init__(self) -> None:
        self._before = dict.fromkeys(COUNTS, 0)
        self._latest = dict.fromkeys(COUNTS, 0)

    def join(self) -> None:
        """Another peer carries the call from now on, and counts from 0."""
        self._before = {name: self._before[name] + self._latest[name] for name in COUNTS}
        self._latest = dict.fromkeys(COUNTS, 0)

    def of(self, stats: dict[str, Any]) -> dict[str, Any]:
        """``stats`` of the peer (Peer.stats), with the counts of those before it added."""
        self._latest = {name: stats[name] for name in COUNTS}
        return stats | {name: self._before[name] + self._latest[name] for name in COUNTS}
