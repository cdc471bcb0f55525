"""False cut-offs against answer latency, rule by rule: how often a pause ends the turn, for how quick an answer.

As LiveKit's eot-bench has it: a rule's setting gives one point, the share of pauses within turns that it takes for the
end, and the mean time from a true end to its decision. All settings together give a curve, of which the best counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from statistics import fmean
from typing import Any

from voxrtc.bench.turns.places import places
from voxrtc.bench.turns.recordings import Recording
from voxrtc.bench.turns.traces import Models, Trace, trace
from voxrtc.endpointing.waits import STRATEGIES
from voxrtc.settings import Endpointing

TUNED_ON = frozenset({"austen-0870", "austen-0880", "austen-0890"})
"""The recordings that the rules' defaults were chosen on; all others are held out."""
PAUSES_MS = tuple(range(200, 1201, 100))
"""How long the pauses within turns last."""
ROOMS_DBFS = (-75.0, -50.0)
"""Noise in the caller's room."""
LATENCIES_MS = (300, 500, 800)
BUDGET = 0.05
NEVER_MS = 2_600.0
"""The latency of an end that is not found while the trace lasts."""

_SURE = (0.3, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.97)
_MIN, _MAX = (100, 150, 200, 250, 300, 400), (1000, 1250, 1500, 2000)
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "vad": [{"end_silence_ms": ms} for ms in range(100, 2501, 25)],
    "smart_turn": [
        {"threshold": threshold, "min_silence_ms": least, "max_silence_ms": most}
        for threshold, least, most in product(_SURE, _MIN, _MAX)
    ],
    "fused": [
        {"sure": sure, "doubt": sure * part, "min_silence_ms": least, "max_silence_ms": most, "evidence_ms": wait}
        for sure, part, least, most, wait in product(_SURE, (0.3, 0.6, 0.9), _MIN, _MAX, (0, 350))
    ],
}
"""What each rule may be set to, over its defaults: the same freedom for every one."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a rule: mean latency and share of false cut-offs."""

    latency_ms: float
    ratio: float
    setting: int
    """Its place in SETTINGS; -1 for the configuration."""


@dataclass(slots=True)
class Curve:
    """All settings of one rule, on the recordings it was tuned on, on those held out, and on all."""

    rule: str
    tuned: list[Point] = field(default_factory=list)
    held_out: list[Point] = field(default_factory=list)
    everything: list[Point] = field(default_factory=list)
    configured: dict[str, Point] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "false_cutoff_ratio": {str(ms): best(self.everything, ms).ratio for ms in LATENCIES_MS},
            "latency_ms_at_5_percent": cheapest(self.everything),
            "held_out": {
                "false_cutoff_ratio": {str(ms): self._transferred(ms) for ms in LATENCIES_MS},
                "own_curve": {str(ms): best(self.held_out, ms).ratio for ms in LATENCIES_MS},
                "latency_ms_at_5_percent": cheapest(self.held_out),
            },
            "configured": {
                name: {"latency_ms": point.latency_ms, "ratio": point.ratio} for name, point in self.configured.items()
            },
            "curve": [[p.latency_ms, p.ratio] for p in frontier(self.everything)],
            "held_out_curve": [[p.latency_ms, p.ratio] for p in frontier(self.held_out)],
        }

    def _transferred(self, latency_ms: float) -> dict[str, float]:
        """What the setting that is best on the tuned recordings gives on those held out."""
        chosen = best(self.tuned, latency_ms).setting
        found = next((p for p in self.held_out if p.setting == chosen), None)
        return {} if found is None else {"ratio": found.ratio, "latency_ms": found.latency_ms}


@dataclass(slots=True)
class Cutoffs:
    """The curves of all rules, and how many places they rest on."""

    curves: dict[str, Curve]
    pauses: int
    ends: int
    unheard: int
    """Places at which the detector heard no pause."""

    def to_json(self) -> dict[str, Any]:
        fused = self.curves["fused"].to_json()
        return {
            "false_cutoff_ratio": fused["false_cutoff_ratio"],
            "latency_ms_at_5_percent": fused["latency_ms_at_5_percent"],
            "rules": {name: curve.to_json() for name, curve in self.curves.items()},
            "places": {"pauses": self.pauses, "ends": self.ends, "unheard": self.unheard},
        }


def measure(
    recordings: Sequence[Recording],
    models: Models,
    settings: Endpointing,
    seed: int = 0,
    quick: bool = False,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Cutoffs:
    """Judge every rule at every place of ``recordings``. Blocks; ``quick``: one room, and few settings."""
    found: list[Trace] = []
    unheard = 0
    rooms = ROOMS_DBFS[:1] if quick else ROOMS_DBFS
    work = [
        (place, room)
        for recording in recordings
        for place in places(recording, models.whisper, models.silero)
        for room in rooms
    ]
    for done, (place, room) in enumerate(work):
        progress(0.9 * done / len(work))
        one = trace(place, models, settings, room, seed + done)
        if one is None:
            unheard += 1
        else:
            found.append(one)
    curves = {}
    for number, rule in enumerate(SETTINGS):
        progress(0.9 + 0.1 * number / len(SETTINGS))
        curves[rule] = curve(rule, found, settings, every=9 if quick else 1)
    pauses = sum(not one.done for one in found)
    return Cutoffs(curves, pauses, len(found) - pauses, unheard)


def curve(rule: str, traces: Sequence[Trace], settings: Endpointing, every: int = 1) -> Curve:
    """All settings of ``rule`` (or each ``every``-th) on ``traces``."""
    result = Curve(rule)
    groups = {
        "tuned": [t for t in traces if t.recording in TUNED_ON],
        "held_out": [t for t in traces if t.recording not in TUNED_ON],
        "everything": list(traces),
    }
    for name, group in groups.items():
        if not _usable(group):
            continue
        points: list[Point] = getattr(result, name)
        points.extend(
            _point(rule, group, settings.model_copy(update=SETTINGS[rule][number]), number)
            for number in range(0, len(SETTINGS[rule]), every)
        )
        result.configured[name] = _point(rule, group, settings, -1)
    return result


def best(points: Sequence[Point], latency_ms: float) -> Point:
    """The fewest false cut-offs of a setting no slower than ``latency_ms``; all are cut off where there is none."""
    quick = [point for point in points if point.latency_ms <= latency_ms]
    return min(quick, key=lambda point: (point.ratio, point.latency_ms), default=Point(latency_ms, 1.0, -1))


def cheapest(points: Sequence[Point]) -> float | None:
    """The lowest latency with at most BUDGET false cut-offs."""
    return min((point.latency_ms for point in points if point.ratio <= BUDGET), default=None)


def frontier(points: Sequence[Point]) -> Iterator[Point]:
    """The points that no other beats in both, from quick to slow."""
    lowest = 1.1
    for point in sorted(points, key=lambda point: (point.latency_ms, point.ratio)):
        if point.ratio < lowest:
            lowest = point.ratio
            yield point


def _usable(group: Sequence[Trace]) -> bool:
    return any(one.done for one in group) and any(not one.done for one in group)


def _point(rule: str, group: Sequence[Trace], settings: Endpointing, number: int) -> Point:
    """Each recording counts the same, however many places it has."""
    wait = STRATEGIES[rule](settings)
    latencies: dict[str, list[float]] = defaultdict(list)
    cut: dict[str, list[float]] = defaultdict(list)
    for one in group:
        ended = one.ended_after(wait)
        if one.done:
            latencies[one.recording].append(NEVER_MS if ended is None else ended)
        else:
            falsely = sum(ended is not None and ended <= ms for ms in PAUSES_MS)
            cut[one.recording].append(falsely / len(PAUSES_MS))
    latency = fmean(fmean(found) for found in latencies.values())
    return Point(round(latency, 1), round(fmean(fmean(found) for found in cut.values()), 4), number)
