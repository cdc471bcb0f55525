"""What Chatterbox takes of a GPU, by arithmetic, against the tensors that it would have."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from voxrtc.errors import ModelsError  # noqa: E402 - needs torch
from voxrtc.models.chatterbox import build, flow_shape, inspection, sizing, t3_weights  # noqa: E402
from voxrtc.models.chatterbox.runners import BATCH, Plan  # noqa: E402
from voxrtc.models.chatterbox.t3_memory import T3Memory  # noqa: E402
from voxrtc.models.gpu.llama import TextShape  # noqa: E402
from voxrtc.settings import Settings  # noqa: E402


def test_rows_are_fewer_than_callers_where_these_are_many() -> None:
    assert [sizing.rows(calls) for calls in (1, 2, 8, 16, 32, 100)] == [2, 2, 8, 16, 16, 16]
    assert [sizing.rows(32, at_once) for at_once in (1, 4, 32)] == [2, 4, 32]
    assert Plan.of(32).tokens.rows == 16
    assert Plan.of(32).sound.batch == BATCH
    assert Plan.of(4, 3).tokens.rows == 3


def row_bytes(layers: int, branches: int, prefix: int) -> int:
    """Of the released shape: 16 heads of 64."""
    plan = Plan.of(8).tokens
    shape = TextShape(1024, layers, 16, 16, 64, 8194, 5e5, 1e-5)
    length = prefix + plan.text + 2 + plan.speech
    sizes = [
        T3Memory(shape, rows, branches, length, plan.page_size, torch.bfloat16, torch.device("meta")).bytes
        for rows in (4, 5)
    ]
    return sizes[1] - sizes[0]


def test_a_row_is_what_its_memory_takes() -> None:
    assert row_bytes(30, 2, 34) == sizing.MULTILINGUAL.row
    assert row_bytes(24, 1, 376) == sizing.TURBO.row


def test_weights_are_what_they_take() -> None:
    names = t3_weights.sizes_of(t3_weights.Sizes())
    t3 = sum(math.prod(size) * (4 if name.startswith("cond_enc") else 2) for name, size in names.items())
    names = flow_shape.Shape().names()
    sound = sum(math.prod(size) * (2 if name.startswith("flow.decoder") else 4) for name, size in names.items())
    assert sizing.MULTILINGUAL.weights == pytest.approx(t3 + sound, rel=0.01)


def test_what_has_no_room_is_refused_before_it_is_loaded() -> None:
    needed = sizing.taken(False, 16)
    sizing.check(False, 16, 32, needed)
    with pytest.raises(ModelsError) as told:
        sizing.check(False, 16, 32, needed - 1_000_000_000)
    assert str(told.value) == (
        "GPU memory is too small for Chatterbox: it takes 7.0 GB for server.max_calls = 32 (16 clauses at once, 0.25 "
        "GB each), and 6.0 GB are free; lower server.max_calls or tts.clauses_at_once, end what else uses the GPU "
        '(nvidia-smi), or set tts.engine = "hibari"'
    )


def test_doctor_tells_of_a_gpu_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "device_of", lambda settings: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4_010_000_000, 6_000_000_000))
    settings = Settings.model_validate({"tts": {"engine": "chatterbox"}, "models": {"device": "cuda"}})
    with pytest.raises(ModelsError, match=r"it takes 5\.0 GB for server\.max_calls = 8 .*, and 4\.0 GB are free"):
        list(inspection.inspect(settings))
    fewer = settings.model_copy(update={"tts": settings.tts.model_copy(update={"clauses_at_once": 4})})
    assert next(inspection.inspect(fewer)) == "Chatterbox speaks on the GPU"
