"""Prometheus counters and histograms, in one place; all but a few are derived from the events of the calls."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from voxrtc.events import (
    CallEnded,
    CallStarted,
    Event,
    FalseInterruption,
    Interrupted,
    Notice,
    ReplyEnded,
    ReplyStarted,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_STAGES = ("endpoint", "asr", "first_token", "first_audio", "voice_to_voice")


class Metrics:
    """All metrics of one server process; ``observe`` an event, ``expose`` them as text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, registry = Counter, self.registry
        self.calls = Gauge("voxrtc_calls", "Calls that are up now", registry=registry)
        self.calls_total = counter("voxrtc_calls_started", "Calls begun", registry=registry)
        self.ended = counter("voxrtc_calls_ended", "Calls over, by reason", ["reason"], registry=registry)
        self.refused = counter("voxrtc_offers_refused", "Offers refused, by code", ["code"], registry=registry)
        self.turns = counter("voxrtc_turns", "Turns the callers ended", registry=registry)
        self.dropped = counter("voxrtc_turns_dropped", "Turns without words, by reason", ["reason"], registry=registry)
        self.replies = counter("voxrtc_replies", "Replies, by how they ended", ["ended"], registry=registry)
        self.released = counter("voxrtc_replies_released", "Replies released", ["speculated"], registry=registry)
        self.interruptions = counter("voxrtc_interruptions", "Replies the caller interrupted", registry=registry)
        self.false_interruptions = counter(
            "voxrtc_false_interruptions", "Replies that went on after all, by reason", ["reason"], registry=registry
        )
        self.notices = counter("voxrtc_notices", "Notices to callers, by code", ["code"], registry=registry)
        self.host_restarts = Gauge("voxrtc_host_restarts", "Restarts of the models' host process", registry=registry)
        self.decision = Histogram(
            "voxrtc_interruption_decision_seconds",
            "From the caller's voice over a reply to the decision that it interrupts",
            buckets=_SECONDS,
            registry=registry,
        )
        self.stages = {
            stage: Histogram(f"voxrtc_{stage}_seconds", _HELP[stage], buckets=_SECONDS, registry=registry)
            for stage in _STAGES
        }

    def observe(self, event: Event) -> None:
        """Count what ``event`` tells."""
        match event:
            case CallStarted(resumed=False):
                self.calls_total.inc()
            case CallEnded(reason=reason):
                self.ended.labels(reason).inc()
            case TurnEnded():
                self.turns.inc()
            case TurnDropped(reason=reason):
                self.dropped.labels(reason).inc()
            case ReplyStarted(speculated=speculated):
                self.released.labels(str(speculated).lower()).inc()
            case ReplyEnded(ended=ended):
                self.replies.labels(ended).inc()
            case Interrupted(decision_ms=ms):
                self.interruptions.inc()
                self.decision.observe(ms / 1000)
            case FalseInterruption(reason=reason):
                self.false_interruptions.labels(reason).inc()
            case Notice(code=code):
                self.notices.labels(code).inc()
            case TurnMetrics():
                for stage, histogram in self.stages.items():
                    histogram.observe(getattr(event, f"{stage}_ms") / 1000)

    def expose(self) -> bytes:
        """The Prometheus text format (CONTENT_TYPE)."""
        return generate_latest(self.registry)

    def quantiles_ms(self, stage: str, quantiles: Iterable[float] = (0.5, 0.95)) -> dict[str, float | None]:
        """Estimates from the buckets of ``stage``, as ``{"p50": ms, ...}``; None before anything was observed."""
        (family,) = self.stages[stage].collect()
        buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
        return {f"p{round(q * 100)}": _quantile_ms(buckets, q) for q in quantiles}


_HELP = {
    "endpoint": "From the end of the caller's voice to the decision that the turn is over",
    "asr": "From audio in hand to its transcript",
    "first_token": "From the transcript to the first text of the reply",
    "first_audio": "From the end of the caller's voice to the first samples of the reply",
    "voice_to_voice": "From the end of the caller's voice to the first packet of the reply",
}


def _quantile_ms(buckets: list[tuple[float, float]], quantile: float) -> float | None:
    """Linear inside the bucket, as PromQL's histogram_quantile does; the last finite bound above all."""
    total = buckets[-1][1]
    if not total:
        return None
    rank, lower, below = quantile * total, 0.0, 0.0
    for upper, count in buckets:
        if count >= rank and count > below:
            if upper == float("inf"):
                return lower * 1000
            return (lower + (upper - lower) * (rank - below) / (count - below)) * 1000
        lower, below = upper, count
    return lower * 1000
