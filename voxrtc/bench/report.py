"""What a bench of calls adds up to: percentiles, ratios, and the one JSON object that is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxrtc.bench.turn import STAGES
from voxrtc.bench.wer import Errors

Row = dict[str, Any]
Spread = dict[str, float | None]


@dataclass(slots=True)
class CallRow:
    """One conversation of a bench. ``planned``: clips to play. ``failed``: why it was not placed, or broke off."""

    call: int
    planned: int
    failed: str | None = None
    retry_after: int | None = None
    offer_ms: float | None = None
    connect_ms: float | None = None
    first_packet_ms: float | None = None
    packets: int = 0
    lost: int = 0
    profile: dict[str, Any] = field(default_factory=dict)
    turns: list[Row] = field(default_factory=list)


def spread(values: Iterable[float | None]) -> Spread:
    """Median, 95th percentile (linear between ranks) and maximum; None for each where there are no values."""
    known = [v for v in values if v is not None]
    if not known:
        return {"p50": None, "p95": None, "max": None}
    p50, p95 = np.percentile(known, (50, 95))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "max": round(max(known), 1)}


def profile_of(started: dict[str, Any]) -> dict[str, Any]:
    """What hears, thinks and speaks, out of the call_started event."""
    return {k: started.get(k) for k in ("hears", "thinks", "speaks", "language", "voice")} if started else {}


def summary(calls: Sequence[CallRow]) -> dict[str, Any]:
    """Everything that follows from the conversations alone."""
    rows = [row for call in calls for row in call.turns]
    planned = sum(call.planned for call in calls)
    answered = sum(row["answered"] for row in rows)
    return {
        "turns": planned,
        "answered": answered,
        "failed": planned - answered,
        "false_cutoffs": sum(row["false_cutoff"] for row in rows),
        "released_early": sum(row["released_early"] for row in rows),
        "wer": _wer(rows),
        "offer_ms": spread(call.offer_ms for call in calls),
        "connect_ms": spread(call.connect_ms for call in calls),
        "first_packet_ms": spread(call.first_packet_ms for call in calls),
        "voice_to_voice_ms": spread(row["voice_to_voice_ms"] for row in rows),
        "server_voice_to_voice_ms": spread(row["server_voice_to_voice_ms"] for row in rows),
        **{stage: spread(row[stage] for row in rows) for stage in STAGES},
        "turns_ended": sum(row["turns_ended"] for row in rows),
        "replies": sum(row["replies"] for row in rows),
        "speculation_kept": sum(row["speculation_kept"] for row in rows),
        "pauses_resumed": sum(row["pauses_resumed"] for row in rows),
        "packets_lost": sum(call.lost for call in calls),
        "caller_late_ms": max((row["caller_late_ms"] for row in rows), default=None),
        "profile": next((call.profile for call in calls if call.profile), {}),
        "call_errors": [_error(call) for call in calls if call.failed is not None],
        "rows": [{"call": call.call, "turn": n} | row for call in calls for n, row in enumerate(call.turns, 1)],
    }


def _wer(rows: Sequence[Row]) -> float | None:
    counted = [Errors(row["word_errors"], row["words"]) for row in rows if row["words"] is not None]
    rate = sum(counted, Errors(0, 0)).rate
    return None if rate is None else round(rate, 4)


def _error(call: CallRow) -> dict[str, Any]:
    return {"call": call.call, "reason": call.failed, "retry_after": call.retry_after}
