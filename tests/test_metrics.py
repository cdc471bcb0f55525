from dataclasses import replace

from voxrtc import events
from voxrtc.metrics import Metrics

AT = {"call": "c", "at": 0, "time": 0.0}


def turn(voice_to_voice_ms: float) -> events.TurnMetrics:
    return events.TurnMetrics(
        **AT,
        turn=1,
        reply=1,
        endpoint_ms=610,
        asr_ms=200,
        first_token_ms=100,
        first_audio_ms=550,
        voice_to_voice_ms=voice_to_voice_ms,
        speculated=True,
    )


def test_events_become_metrics() -> None:
    metrics = Metrics()
    metrics.observe(turn(640))
    metrics.observe(events.ReplyEnded(**AT, reply=1, ended="interrupted", text="x"))
    metrics.observe(events.Interrupted(**AT, reply=1, decision_ms=170))
    metrics.observe(events.ToolEnded(**AT, id="1", name="clock", ended="timed out", took_ms=10_000))
    metrics.observe(events.FalseInterruption(**AT, reply=1, reason="backchannel", silent_ms=800))
    metrics.observe(events.CallEnded(**AT, reason="hangup"))
    text = metrics.expose().decode()
    assert 'voxrtc_replies_total{ended="interrupted"} 1.0' in text
    assert 'voxrtc_calls_ended_total{reason="hangup"} 1.0' in text
    assert "voxrtc_voice_to_voice_seconds_sum 0.64" in text
    assert 'voxrtc_tool_calls_total{ended="timed out"} 1.0' in text
    assert "voxrtc_tool_seconds_sum 10.0" in text
    counts = metrics.counts()
    assert (counts["interruptions"], counts["tool_calls_timed_out"], counts["turns"]) == (1, 1, 0)
    assert counts["false_interruptions_backchannel"] == 1
    assert "voxrtc_interruption_decision_seconds_sum 0.17" in text


def test_quantiles_lie_in_the_bucket_of_what_was_observed() -> None:
    metrics = Metrics()
    assert metrics.quantiles_ms("voice_to_voice") == {"p50": None, "p95": None}
    for ms in (*range(610, 690, 4), 2400):
        metrics.observe(turn(ms))
    quantiles = metrics.quantiles_ms("voice_to_voice")
    assert 600 <= quantiles["p50"] <= 700
    assert metrics.quantiles_ms("voice_to_voice", (0.99,))["p99"] >= 2000


def test_what_was_typed_or_commanded_is_no_measurement_of_hearing() -> None:
    metrics = Metrics()
    metrics.observe(replace(turn(640), endpoint_ms=0.0, asr_ms=0.0))
    metrics.observe(events.Interrupted(**AT, reply=1, decision_ms=0.0))
    text = metrics.expose().decode()
    for name, count in (("endpoint", 0), ("asr", 0), ("first_token", 1), ("interruption_decision", 0)):
        assert f"voxrtc_{name}_seconds_count {count}.0" in text
    assert metrics.counts()["interruptions"] == 1


def test_every_reason_of_a_false_interruption_is_there_from_the_start() -> None:
    text = Metrics().expose().decode()
    for reason in ("backchannel", "no words", "echo"):
        assert f'voxrtc_false_interruptions_total{{reason="{reason}"}} 0.0' in text


def test_an_event_without_a_metric_is_no_error() -> None:
    Metrics().observe(events.StateChanged(**AT, state="listening"))


def link(call: str = "c", **fields: float) -> events.MediaStats:
    quiet = {"received": 0, "lost": 0, "recovered": 0, "concealed": 0, "late": 0, "duplicates": 0, "dropped": 0}
    levels = {"jitter_ms": 4.0, "buffer_ms": 25.0, "drift_ppm": None, "route": "direct"}
    return events.MediaStats(**(AT | {"call": call} | quiet | levels | fields))


def test_links_are_counted_by_the_difference_between_two_reports() -> None:
    metrics = Metrics()
    metrics.observe(link(received=95, lost=5))
    metrics.observe(link("d", received=100))
    metrics.observe(link(received=191, lost=4, late=5, recovered=3, rtt_ms=40.0, drift_ppm=-12.0))
    text = metrics.expose().decode()
    assert "voxrtc_packets_received_total 291.0" in text
    assert "voxrtc_packets_lost_total 5.0" in text  # a counter does not go back
    assert "voxrtc_packets_late_total 5.0" in text
    assert "voxrtc_packets_recovered_total 3.0" in text
    assert "voxrtc_link_loss_ratio_count 3.0" in text
    assert "voxrtc_link_loss_ratio_sum 0.05" in text
    assert "voxrtc_link_jitter_seconds_count 3.0" in text
    assert "voxrtc_link_rtt_seconds_sum 0.04" in text
    assert 'voxrtc_link_drift_ppm_bucket{le="-20.0"} 0.0' in text
    assert 'voxrtc_link_drift_ppm_bucket{le="-10.0"} 1.0' in text
    for call in ("c", "d"):
        metrics.observe(events.CallEnded(**(AT | {"call": call}), reason="hangup"))
    assert not metrics._links._latest


def test_every_metric_of_the_links_is_explained() -> None:
    text = Metrics().expose().decode()
    for name in ("packets_received", "packets_lost", "blocks_concealed", "link_loss_ratio", "link_drift_ppm"):
        assert f"# HELP voxrtc_{name}" in text
