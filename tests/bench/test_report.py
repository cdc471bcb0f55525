"""Percentiles and sums of a bench."""

import pytest

from voxrtc.bench.report import CallRow, spread, summary


def test_percentiles_are_linear_between_ranks():
    assert spread([10.0, None, 20.0, 30.0]) == {"p50": 20.0, "p95": 29.0, "max": 30.0}
    assert spread([5.0]) == {"p50": 5.0, "p95": 5.0, "max": 5.0}
    assert spread([None]) == {"p50": None, "p95": None, "max": None}


def test_summary_of_nothing():
    empty = summary([CallRow(call=1, planned=3, failed="refused")])
    assert (empty["turns"], empty["answered"], empty["failed"]) == (3, 0, 3)
    assert empty["wer"] is None
    assert empty["profile"] == {}
    assert empty["call_errors"] == [{"call": 1, "reason": "refused", "retry_after": None}]


def test_profile_is_that_of_the_first_call_that_told_it():
    calls = [CallRow(call=1, planned=0), CallRow(call=2, planned=0, profile={"hears": "x"})]
    assert summary(calls)["profile"] == {"hears": "x"}


def test_offer_and_connect_are_spread_over_calls():
    calls = [CallRow(call=n, planned=0, offer_ms=10.0 * n, connect_ms=100.0 * n) for n in (1, 2, 3)]
    result = summary(calls)
    assert result["offer_ms"]["p50"] == pytest.approx(20.0)
    assert result["connect_ms"]["max"] == pytest.approx(300.0)
