"""What weights will take, told from a configuration, is what they take; and plan() goes by it."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("transformers", reason="the gpu extra is not installed")

from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.voxtral import build, sizing  # noqa: E402

CPU = torch.device("cpu")


def test_a_tiny_checkpoint_takes_what_was_told(checkpoint: Path) -> None:
    from voxrtc.models.voxtral import checkpoint as reading

    config, take = reading.read(str(checkpoint), torch.float32)
    weights = reading.assemble(config, take, lambda module: module, CPU, torch.float32, lambda what, part: None)
    sized = sizing.size(sizing.config_in(checkpoint), torch.float32, "none")
    assert sized.bytes == pytest.approx(weights.bytes, rel=0.02)
    assert sized.text.layers == weights.text.layers
    options = build.Options(CPU, torch.float32, context=1_024, callers=3, memory_gb=1.0)
    assert sizing.plan(sized, options, None) == build.plan(weights, options)


@pytest.mark.parametrize(
    ("name", "bits", "gb"),
    [
        ("mistralai/Voxtral-Mini-3B-2507", "none", 9.35),
        ("mistralai/Voxtral-Mini-3B-2507", "int4", 4.0),
        ("mistralai/Voxtral-Small-24B-2507", "none", 48.5),
        ("mistralai/Voxtral-Small-24B-2507", "int8", 26.0),
    ],
)
def test_what_mistrals_checkpoints_take(name: str, bits: sizing.Bits, gb: float) -> None:
    sized = sizing.size(sizing.config_known(name), torch.bfloat16, bits)
    assert sized.bytes / 1e9 == pytest.approx(gb, rel=0.03)


def test_a_gpu_that_is_too_small_for_small() -> None:
    """24 GB: too little as it is, and with int8; enough with int4."""
    config = sizing.config_known("mistralai/Voxtral-Small-24B-2507")
    options = build.Options(CPU, torch.bfloat16)
    for bits in ("none", "int8"):
        with pytest.raises(ModelsError, match="GPU memory is too small"):
            sizing.plan(sizing.size(config, torch.bfloat16, bits), options, 24_000_000_000)
    assert sizing.plan(sizing.size(config, torch.bfloat16, "int4"), options, 24_000_000_000).pages > 20
    assert sizing.config_known("acme/other") is None
