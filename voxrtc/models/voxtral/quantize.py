"""Weights in fewer bits, by torchao: eight or four for each weight, the arithmetic still in bfloat16.

Decoding reads every weight for each token, so half the bytes is nearly half the time, where the memory is slow. What is
looked up and not multiplied (the embedding), what is small (norms) and what is read once a turn, for 1,500 positions
at a time (the encoder), stays as it is. Eight bits are multiplied by gpu/products.py. Four bits go by groups of 128,
as in GPTQ and AWQ (arXiv:2210.17323, 2306.00978), by torchao's kernels, which want bfloat16 and are made for few rows:
prompts are slower with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from voxrtc.errors import ModelsError

Bits = Literal["none", "int8", "int4"]
GROUP = 128
INSTALL = "pip install -c constraints.txt -e '.[gpu]'"


def placer(bits: Bits, device: torch.device) -> Callable[[nn.Module], nn.Module]:
    """What puts a module's linear maps into ``bits``, once it is on ``device``. Raises ModelsError."""
    if bits == "none":
        return lambda module: module
    config = _config(bits, device)

    def place(module: nn.Module) -> nn.Module:
        from torchao.quantization import quantize_

        holder = nn.ModuleList([module])  # quantize_ replaces what is inside a module, not the module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own deprecations
            try:
                quantize_(holder, config, filter_fn=_fits)
            except torch.OutOfMemoryError:
                raise
            except (ImportError, RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
                raise ModelsError(
                    f'models.quantize = "{bits}" does not work here: {error}; "int8" and "none" may'
                ) from error
        return holder[0]

    return place


def _config(bits: Bits, device: torch.device) -> Any:
    try:
        from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig
    except ImportError as error:
        raise ModelsError(f'models.quantize = "{bits}" needs torchao: {INSTALL}') from error
    if bits == "int8":
        return Int8WeightOnlyConfig(set_inductor_config=False)
    if device.type != "cuda":
        raise ModelsError('models.quantize = "int4" needs a CUDA device; "int8" works on the CPU, too')
    return Int4WeightOnlyConfig(group_size=GROUP, int4_packing_format="tile_packed_to_4d", set_inductor_config=False)


def _fits(module: nn.Module, name: str) -> bool:
    """Linear maps whose inputs are whole groups."""
    return isinstance(module, nn.Linear) and module.in_features % GROUP == 0
