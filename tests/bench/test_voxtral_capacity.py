"""The arithmetic of docs/capacity.md: against what was measured, against itself, and the page as it is printed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from voxrtc.bench.voxtral import together
from voxrtc.bench.voxtral.capacity import (
    A10G,
    CALLERS,
    CONTEXT,
    H100,
    MEASURED,
    MINI,
    PROMPT,
    QUANTIZE,
    RESERVED,
    SHORT,
    Estimate,
    calibrate,
    floor_of,
    page,
    weights_bytes,
)

ROOT = Path(__file__).resolve().parents[2]


def estimate(gpu=A10G, quantize="none"):
    return Estimate(gpu, MINI, quantize, calibrate())


def test_the_page_is_printed_and_not_typed() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "voxrtc.bench.voxtral.capacity"], check=True, capture_output=True, text=True
    ).stdout
    assert printed == page() == (ROOT / "docs" / "capacity.md").read_text()


def test_the_page_says_first_what_was_not_measured() -> None:
    opening, times = page().split("## Time")
    assert "Nothing on this page about the A10G was measured" in opening
    assert "is not of this code" in opening
    assert "| A10G, none | A10G, int8 (assumed) | A10G, int4 (assumed) |" in times


def test_the_shape_is_that_of_the_model() -> None:
    assert MINI.parameters == pytest.approx(4.68e9, rel=0.005)
    assert MINI.kv_bytes(2.0) == 120 * 1024
    transformers = pytest.importorskip("transformers", reason="needs the gpu extra")
    assert transformers
    from voxrtc.bench.voxtral.shape import config_of, shape_of

    assert shape_of(config_of("full")) == MINI


def test_what_was_not_fitted_is_calculated_as_it_was_measured() -> None:
    ours = estimate(H100)
    for callers, step in zip(CALLERS, MEASURED.decode, strict=True):
        assert ours.decode_ms(callers, CONTEXT) == pytest.approx(step, rel=0.06)
    assert ours.encode_ms == pytest.approx(MEASURED.encode)
    assert ours.prefill_ms(PROMPT) == pytest.approx(MEASURED.prefill, rel=1e-6)
    assert ours.prefill_ms(SHORT) == pytest.approx(MEASURED.prefill_short, rel=0.01)


def test_the_efficiencies_are_shares() -> None:
    found = calibrate()
    for share in (found.encode, found.prefill, found.weights, found.memory):
        assert 0.3 < share < 0.9
    assert 0.0 < found.step_ms < 1.0


def test_the_floors_are_those_of_the_models_facts() -> None:
    """12 ms a token in bf16 on an A10G; encode and prefill 110 ms at 60 % of the arithmetic."""
    floor = floor_of(A10G, MINI, "none")
    assert floor.decode_ms(1, 0) == pytest.approx(12.0, rel=0.02)
    assert (floor.encode_ms + floor.prefill_ms(PROMPT)) / 0.6 == pytest.approx(110.0, rel=0.1)


@pytest.mark.parametrize("gpu", [A10G, H100], ids=lambda gpu: gpu.name)
@pytest.mark.parametrize("quantize", QUANTIZE)
def test_nothing_is_faster_than_the_floor_and_more_work_takes_longer(gpu, quantize) -> None:
    ours, floor = estimate(gpu, quantize), floor_of(gpu, MINI, quantize)
    steps = [ours.decode_ms(callers, CONTEXT) for callers in (1, 2, 8, 32, 64)]
    assert steps == sorted(steps)
    assert all(ours.decode_ms(callers, CONTEXT) > floor.decode_ms(callers, CONTEXT) for callers in CALLERS)
    assert ours.encode_ms > floor.encode_ms
    assert ours.prefill_ms(PROMPT) > floor.prefill_ms(PROMPT)
    assert ours.prefill_ms(2 * PROMPT) > ours.prefill_ms(PROMPT)
    assert ours.first_token_ms == ours.encode_ms + ours.prefill_ms(PROMPT)
    rates = [callers / ours.decode_ms(callers, CONTEXT) for callers in CALLERS]
    assert rates == sorted(rates), "more callers, more tokens a second"


def test_fewer_bits_are_less_memory_and_faster_steps() -> None:
    sizes = [weights_bytes(MINI, quantize) / 1e9 for quantize in QUANTIZE]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == pytest.approx(9.4, rel=0.02)
    assert sizes[2] <= 4.5
    steps = [estimate(quantize=quantize).decode_ms(1, CONTEXT) for quantize in QUANTIZE]
    assert steps == sorted(steps, reverse=True)


@pytest.mark.parametrize("quantize", QUANTIZE)
def test_the_conversations_fit_and_one_more_does_not(quantize) -> None:
    ours = estimate(quantize=quantize)
    taken = weights_bytes(MINI, quantize) + sum(RESERVED.values())
    for context in (1_000, 4_096):
        each = context * MINI.kv_bytes(2.0)
        count = ours.conversations(context)
        assert taken + count * each <= A10G.memory < taken + (count + 1) * each


def test_fluent_callers_are_the_most_that_are() -> None:
    ours = estimate()
    count = ours.fluent(CONTEXT)
    assert ours.decode_ms(count, CONTEXT) <= 40.0 < ours.decode_ms(count + 1, CONTEXT)
    small = replace(ours, gpu=replace(A10G, memory=14e9))
    assert small.fluent(CONTEXT) == small.conversations(CONTEXT) < count, "as far as there is memory"


def test_32_calls_have_room_beside_the_voice_on_24_gb() -> None:
    """In bf16 for one conversation each of 750 tokens at least, in int8 for more than there are calls."""
    memory = together.GPUS["24 GB (A10G)"]
    assert memory == A10G.memory
    assert together.GPUS["80 GB (H100)"] == H100.memory
    left = {bits: memory - sum(RESERVED.values()) - weights_bytes(MINI, bits) - together.voice(32) for bits in QUANTIZE}
    assert left["none"] / MINI.kv_bytes(2.0) > 32 * 750
    assert left["int8"] / MINI.kv_bytes(2.0) > 32 * CONTEXT
    assert together.voice(8) < together.voice(32) == together.voice(100)
