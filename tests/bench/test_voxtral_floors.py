"""The arithmetic behind the floors, against what is known of Voxtral-Mini-3B-2507."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers", reason="the gpu extra is not installed")

from voxrtc.bench.voxtral.floors import Floor, Speeds
from voxrtc.bench.voxtral.shape import config_of, shape_of
from voxrtc.bench.voxtral.steps import contexts
from voxrtc.bench.voxtral.timing import median, spread, timed

FULL = shape_of(config_of("full"))
H100 = Speeds(copy=2.9e12, gemv=3.0e12, matmul=790e12)


def test_full_shape_is_that_of_the_model_card() -> None:
    assert FULL.parameters == pytest.approx(4.68e9, rel=0.005)
    assert 2 * FULL.parameters == pytest.approx(9.4e9, rel=0.01)  # bytes in bf16
    assert FULL.kv_bytes(2) == 120 * 1024


def test_parameters_are_those_that_transformers_makes() -> None:
    import torch
    from transformers import VoxtralForConditionalGeneration

    for name in ("full", "tiny"):
        config = config_of(name)
        with torch.device("meta"):
            made = VoxtralForConditionalGeneration(config).num_parameters()
        assert shape_of(config).parameters == pytest.approx(made, rel=0.1 if name == "tiny" else 0.001)


def test_floors_of_an_h100() -> None:
    """About 2.6 ms to encode, 3.6 to read 405 tokens, 2.4 to decode for one, and 1.3 for the memory of 32."""
    floor = Floor(FULL, H100, "none", 2.0)
    assert floor.encode_ms == pytest.approx(2.9, abs=0.3)
    assert floor.prefill_ms(405) == pytest.approx(3.4, abs=0.3)
    assert floor.decode_ms(1, 0) == pytest.approx(2.4, abs=0.05)
    assert floor.decode_ms(32, 1_000) - floor.decode_ms(32, 0) == pytest.approx(1.31, abs=0.05)
    told = floor.to_json((1, 32), 1_000, 405)
    assert told["decode_ms"] == told["decode_ms_by_callers"]["1"]
    assert told["first_token_ms"] == pytest.approx(told["encode_ms"] + told["prefill_ms"], abs=0.002)


def test_fewer_bits_are_fewer_bytes() -> None:
    none, int8, int4 = (Floor(FULL, H100, bits, 2.0).decode_ms(1, 0) for bits in ("none", "int8", "int4"))
    assert none / int8 == pytest.approx(2.0, rel=0.01)
    assert 3.5 < none / int4 < 4.0


def test_many_rows_are_bound_by_arithmetic() -> None:
    floor = Floor(FULL, H100, "none", 2.0)
    assert floor.decode_ms(4_096, 0) == pytest.approx(1e3 * 2 * 4_096 * FULL.text_linear / H100.matmul)


@pytest.mark.parametrize("callers", [1, 2, 8, 32])
def test_contexts_are_ragged_around_their_mean(callers: int) -> None:
    lengths = contexts(callers, 1_000)
    assert len(lengths) == callers
    assert sum(lengths) / callers == pytest.approx(1_000, abs=1)
    assert callers == 1 or (min(lengths), max(lengths)) == (750, 1_250)
    assert contexts(callers, 1_000) == lengths


def test_warm_runs_do_not_count() -> None:
    runs: list[int] = []
    times = timed(lambda: runs.append(1), lambda: None, repeat=4, warm=2)
    assert len(runs) == 6
    assert len(times) == 4
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert spread([1.0, 3.0]) == {"p50": 2.0, "p95": 2.9, "max": 3.0}
