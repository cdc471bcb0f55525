"""What the tests on a GPU share: a Voxtral small enough to be made in a second, of the proportions of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("transformers", reason="the gpu extra is not installed")

from voxrtc.bench.voxtral import correct, sound, stock  # noqa: E402
from voxrtc.models.voxtral import build, checkpoint  # noqa: E402
from voxrtc.models.voxtral.runner import VoxtralRunner  # noqa: E402

DEVICE = torch.device("cuda", 0)
needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
SEED = 7
OPTIONS = build.Options(DEVICE, torch.bfloat16, context=2_048, callers=16, compiles=False)


def config() -> Any:
    """Heads, head dim and groups as in Voxtral-Mini-3B-2507, less of everything else."""
    from transformers import VoxtralConfig

    audio = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}
    text = {
        "model_type": "llama", "vocab_size": 8192, "hidden_size": 1024, "intermediate_size": 2048,
        "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 128,
        "max_position_embeddings": 8192,
    }  # fmt: skip
    return VoxtralConfig(audio_token_id=24, audio_config=audio, text_config=text)


def runner(**changes: Any) -> VoxtralRunner:
    """A warm runner; ``changes`` to OPTIONS."""
    options = replace(OPTIONS, **changes)
    take = checkpoint.random(config(), options.dtype, options.device, SEED)
    return build.assemble(config(), take, options, lambda what, part: None)


def stock_model(dtype: torch.dtype = torch.bfloat16) -> Any:
    """transformers' model with the same weights."""
    take = checkpoint.random(config(), dtype, DEVICE, SEED)
    return stock.stock_model(config(), take, str(DEVICE), dtype)


def asked(count: int = 32) -> list[correct.Case]:
    """Prompts of ragged lengths, one of four with sound."""
    return correct.cases(sound.speech(None, SEED)[0], config().text_config.vocab_size, count, SEED)


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """||ours - theirs|| / ||theirs||."""
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


def pages_of(lengths: list[int], page: int, seed: int = 0) -> list[list[int]]:
    """Pages for sequences of these lengths, in no order; page 0 is nobody's."""
    counts = [-(-length // page) for length in lengths]
    shuffled = [int(number) for number in np.random.default_rng(seed).permutation(sum(counts)) + 1]
    return [[shuffled.pop() for _ in range(count)] for count in counts]
