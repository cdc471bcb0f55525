"""What a Voxtral's weights will take, from its configuration alone: for plan(), before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral import build
from voxrtc.models.voxtral.build import WORKSPACE_BYTES, Options
from voxrtc.models.voxtral.checkpoint import Weights
from voxrtc.models.voxtral.quantize import GROUP, Bits
from voxrtc.models.voxtral.runner import Plan

BYTES_EACH = {"int8": 1.0, "int4": 0.5 + 4.0 / GROUP}
"""Of a weight in fewer bits: with a scale for each row (nothing), or a scale and a zero for each group."""
SMALL = {
    "hidden_size": 5_120, "intermediate_size": 32_768, "num_hidden_layers": 40, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 131_072, "model_type": "llama",
}  # fmt: skip
"""The text model of Voxtral-Small-24B-2507 (its config.json)."""


@dataclass(frozen=True, slots=True)
class _Text:
    """What plan() asks of a text model."""

    layers: int
    kv_heads: int
    head_dim: int


@dataclass(frozen=True, slots=True)
class Sized:
    """Weights that are not there: in plan()'s place for checkpoint.Weights."""

    text: _Text
    bytes: int
    norm: Tensor = field(repr=False)


def config_in(folder: Path) -> Any:
    """The configuration of the checkpoint in ``folder``. Raises ModelsError where it is no Voxtral's."""
    from transformers import VoxtralConfig

    file = folder / "config.json"
    if not file.is_file():
        raise ModelsError(f"{file} is not there: models.voxtral must be a folder that holds a checkpoint of Voxtral")
    try:
        kind = VoxtralConfig.get_config_dict(folder, local_files_only=True)[0].get("model_type")
        config = VoxtralConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelsError(f"{file} cannot be read: {str(error).strip().splitlines()[0]}") from error
    if kind != "voxtral":
        raise ModelsError(f"{file} is the configuration of a {kind or 'model of no name'}, not of a Voxtral")
    return config


def config_known(name: str) -> Any:
    """The configuration of one of Mistral's checkpoints, which need not be here; None for others."""
    from transformers import VoxtralConfig

    if name.endswith("Voxtral-Mini-3B-2507"):
        return VoxtralConfig()  # its values are transformers' defaults
    return VoxtralConfig(text_config=dict(SMALL)) if name.endswith("Voxtral-Small-24B-2507") else None


def size(config: Any, dtype: torch.dtype, bits: Bits) -> Sized:
    """What a checkpoint of this configuration will take in memory."""
    from transformers import VoxtralForConditionalGeneration

    kind: Any = VoxtralForConditionalGeneration
    with torch.device("meta"):
        model = kind(config)
    total = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize
    if bits != "none":
        less = sum(module.weight.numel() for name, module in model.named_modules() if _in_fewer_bits(name, module))
        total -= int(less * (dtype.itemsize - BYTES_EACH[bits]))
    text = config.text_config
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    shape = _Text(text.num_hidden_layers, text.num_key_value_heads, head_dim)
    return Sized(shape, total, torch.empty(0, dtype=dtype, device="meta"))


def _in_fewer_bits(name: str, module: nn.Module) -> bool:
    """As quantize.placer() has it: the linear maps of the text model."""
    return isinstance(module, nn.Linear) and ("language_model" in name or name.endswith("lm_head")) and (
        module.in_features % GROUP == 0
    )  # fmt: skip


def plan(sized: Sized, options: Options, free: int | None) -> Plan:
    """build.plan() of weights that are not loaded yet. ``free``: bytes of the device, all others' taken off; None where
    memory is not counted. Raises ModelsError where it does not do."""
    budgets = [options.memory_gb] if options.memory_gb else []
    if free is not None:
        budgets.append(max(1.0, free - WORKSPACE_BYTES) / 1e9)
    on_cpu = replace(options, device=torch.device("cpu"), memory_gb=min(budgets, default=0.0))
    return build.plan(cast(Weights, sized), on_cpu)
