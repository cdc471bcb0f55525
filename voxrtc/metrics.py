"""Prometheus counters and histograms, in one place; all but a few are derived from the events of the calls."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from voxrtc.events import (
    CallEnded,
    CallStarted,
    ConnectionLost,
    Event,
    FalseInterruption,
    Interrupted,
    MediaStats,
    Notice,
    ReplyEnded,
    ReplyStarted,
    SpeculationDropped,
    ToolEnded,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_STAGES = ("endpoint", "asr", "first_token", "first_audio", "voice_to_voice")
_HEARD = ("endpoint", "asr")
"""Stages that only a turn that was heard has; 0.0 in one that was typed."""


class Metrics:
    """All metrics of one server process; ``observe`` an event, ``expose`` them as text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, registry = Counter, self.registry
        self.calls = Gauge("voxrtc_calls", "Calls that are up now", registry=registry)
        self.calls_total = counter("voxrtc_calls_started", "Calls begun", registry=registry)
        self.ended = counter("voxrtc_calls_ended", "Calls over, by reason", ["reason"], registry=registry)
        self.lost = counter(
            "voxrtc_connections_lost",
            "Connections that ended before their call, by reason",
            ["reason"],
            registry=registry,
        )
        for reason in ("hangup", "lost"):
            self.lost.labels(reason)
        self.resumed = counter("voxrtc_calls_resumed", "Calls taken up again on another connection", registry=registry)
        self.refused = counter("voxrtc_offers_refused", "Offers refused, by code", ["code"], registry=registry)
        self.turns = counter("voxrtc_turns", "Turns the callers ended", registry=registry)
        self.dropped = counter("voxrtc_turns_dropped", "Turns without words, by reason", ["reason"], registry=registry)
        self.replies = counter("voxrtc_replies", "Replies, by how they ended", ["ended"], registry=registry)
        self.released = counter("voxrtc_replies_released", "Replies released", ["speculated"], registry=registry)
        self.interruptions = counter("voxrtc_interruptions", "Replies the caller interrupted", registry=registry)
        self.false_interruptions = counter(
            "voxrtc_false_interruptions", "Replies that went on after all, by reason", ["reason"], registry=registry
        )
        self.speculation = counter(
            "voxrtc_speculation", "Replies prepared in a pause, by what became of them", ["outcome"], registry=registry
        )
        for reason in ("backchannel", "no words", "echo"):
            self.false_interruptions.labels(reason)
        for outcome in ("kept", "dropped"):
            self.speculation.labels(outcome)
        self.wasted = counter(
            "voxrtc_speculation_wasted_seconds", "Time since they were begun, of those dropped", registry=registry
        )
        self.tools = counter("voxrtc_tool_calls", "Functions called, by how that ended", ["ended"], registry=registry)
        self.tool_seconds = Histogram(
            "voxrtc_tool_seconds", "From the call of a function to its end", buckets=_SECONDS, registry=registry
        )
        self.notices = counter("voxrtc_notices", "Notices to callers, by code", ["code"], registry=registry)
        self.host_restarts = Gauge("voxrtc_host_restarts", "Restarts of the models' host process", registry=registry)
        self.decision = Histogram(
            "voxrtc_interruption_decision_seconds",
            "From the caller's voice over a reply to the decision that it interrupts",
            buckets=_SECONDS,
            registry=registry,
        )
        self._links = LinkMetrics(registry)
        self.stages = {
            stage: Histogram(f"voxrtc_{stage}_seconds", _HELP[stage], buckets=_SECONDS, registry=registry)
            for stage in _STAGES
        }

    def observe(self, event: Event) -> None:
        """Count what ``event`` tells."""
        match event:
            case CallStarted(resumed=False):
                self.calls_total.inc()
            case CallStarted(resumed=True):
                self.resumed.inc()
            case ConnectionLost(reason=reason):
                self.lost.labels(reason).inc()
            case CallEnded(call=call, reason=reason):
                self.ended.labels(reason).inc()
                self._links.ended(call)
            case MediaStats():
                self._links.observe(event)
            case TurnEnded():
                self.turns.inc()
            case TurnDropped(reason=reason):
                self.dropped.labels(reason).inc()
            case ReplyStarted(speculated=speculated):
                self.released.labels(str(speculated).lower()).inc()
                self.speculation.labels("kept").inc(speculated)
            case SpeculationDropped(spent_ms=ms):
                self.speculation.labels("dropped").inc()
                self.wasted.inc(ms / 1000)
            case ToolEnded(ended=ended, took_ms=ms):
                self.tools.labels(ended).inc()
                self.tool_seconds.observe(ms / 1000)
            case ReplyEnded(ended=ended):
                self.replies.labels(ended).inc()
            case Interrupted(decision_ms=ms):
                self.interruptions.inc()
                if ms:  # 0 where no voice was judged: a command, a button
                    self.decision.observe(ms / 1000)
            case FalseInterruption(reason=reason):
                self.false_interruptions.labels(reason).inc()
            case Notice(code=code):
                self.notices.labels(code).inc()
            case TurnMetrics():
                for stage, histogram in self.stages.items():
                    ms = getattr(event, f"{stage}_ms")
                    if ms or stage not in _HEARD:
                        histogram.observe(ms / 1000)

    def expose(self) -> bytes:
        """The Prometheus text format (CONTENT_TYPE)."""
        return generate_latest(self.registry)

    def counts(self) -> dict[str, int]:
        """What is worth a glance, since the start."""
        counters = {
            "turns": self.turns,
            "interruptions": self.interruptions,
            "false_interruptions": self.false_interruptions,
            "speculation": self.speculation,
            "tool_calls": self.tools,
        }
        return {name: value for key, metric in counters.items() for name, value in _totals(key, metric)}

    def quantiles_ms(self, stage: str, quantiles: Iterable[float] = (0.5, 0.95)) -> dict[str, float | None]:
        """Estimates from the buckets of ``stage``, as ``{"p50": ms, ...}``; None before anything was observed."""
        (family,) = self.stages[stage].collect()
        buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name.endswith("_bucket")]
        return {f"p{round(q * 100)}": _quantile_ms(buckets, q) for q in quantiles}


class LinkMetrics:
    """What the callers' links did: counters by the difference between two reports of one call, levels as reported."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {field: Counter(f"voxrtc_{name}", text, registry=registry) for field, name, text in _COUNTED}
        self._levels = {
            field: Histogram(f"voxrtc_link_{name}", text, buckets=buckets, registry=registry)
            for field, name, text, buckets in _LEVELS
        }
        self._latest: dict[str, MediaStats] = {}

    def observe(self, stats: MediaStats) -> None:
        """Add what has come since the last report of the same call."""
        before = self._latest.get(stats.call)
        self._latest[stats.call] = stats
        grown = {field: getattr(stats, field) - (getattr(before, field) if before else 0) for field in self._counters}
        for field, counter in self._counters.items():
            counter.inc(max(0, grown[field]))  # a lost packet that came after all is counted as late besides
        due = grown["received"] + grown["lost"]
        levels = {
            "loss": max(0, grown["lost"]) / due if due > 0 else None,
            "jitter": stats.jitter_ms / 1000,
            "buffer": stats.buffer_ms / 1000,
            "rtt": None if stats.rtt_ms is None else stats.rtt_ms / 1000,
            "drift": stats.drift_ppm,
        }
        for field, histogram in self._levels.items():
            if (level := levels[field]) is not None:
                histogram.observe(level)

    def ended(self, call: str) -> None:
        """Nothing more comes from ``call``."""
        self._latest.pop(call, None)


_COUNTED = (
    ("received", "packets_received", "Packets of the callers' sound that came, each once"),
    ("lost", "packets_lost", "Packets of the callers' sound that had not come when their time was over"),
    ("late", "packets_late", "Packets of the callers' sound that came after that"),
    ("duplicates", "packets_duplicate", "Packets of the callers' sound that had come before"),
    ("recovered", "packets_recovered", "Missing packets restored from the in-band FEC of the next one"),
    ("concealed", "blocks_concealed", "Blocks of 20 ms of the callers' sound with something made up"),
    ("dropped", "blocks_dropped", "Blocks of 20 ms of the callers' sound that were not heard for want of time"),
)
_DELAYS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_LEVELS = (
    ("loss", "loss_ratio", "Part of the packets lost between two reports", (0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)),
    ("jitter", "jitter_seconds", "Interarrival jitter (RFC 3550) at each report", _DELAYS),
    ("buffer", "buffer_seconds", "How long a missing packet is waited for, at each report", _DELAYS),
    ("rtt", "rtt_seconds", "From here to the caller and back (RTCP), at each report", _DELAYS),
    (
        "drift",
        "drift_ppm",
        "Millionths by which the caller's clock is faster than ours, at each report",
        (-200, -100, -50, -20, -10, 0, 10, 20, 50, 100, 200),
    ),
)


def _totals(name: str, metric: Counter) -> list[tuple[str, int]]:
    """The samples of ``metric``, each named after its label, where it has one."""
    (family,) = metric.collect()
    samples = [sample for sample in family.samples if sample.name.endswith("_total")]
    return [("_".join([name, *sample.labels.values()]).replace(" ", "_"), int(sample.value)) for sample in samples]


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
