"""Products with weights, as they are or in eight bits.

Eight bits (torchao's Int8Tensor: one scale a row, no zero points) pay where few rows are multiplied, since then reading
the weights is all the work: a kernel widens them in registers, so that half the bytes are read. torchao's own way makes
the whole matrix wide first, which reads and writes five bytes for each weight; it is taken for many rows, where
arithmetic counts, and where there is no Triton.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW = 64
"""Rows up to which reading the weights is the work."""

Operand = Tensor | tuple[Tensor, Tensor]
"""A weight (out, in), or its int8 (out, in) and the scale of each row (out, 1)."""


def operand(module: nn.Linear) -> Operand:
    """What product() takes of a linear map, quantised or not."""
    weight = module.weight
    numbers = getattr(weight, "qdata", None)
    if numbers is None or numbers.dtype != torch.int8 or numbers.shape != weight.shape:
        return weight
    scale: Tensor = getattr(weight, "scale")  # noqa: B009 - of torchao's tensor, not of every one
    return numbers, scale.reshape(-1, 1)


def product(x: Tensor, weight: Operand) -> Tensor:
    """``x`` (n, in) times the transpose of ``weight``: (n, out)."""
    if isinstance(weight, Tensor):
        return functional.linear(x, weight)
    numbers, scale = weight
    if x.is_cuda and x.shape[0] <= FEW and _TRITON:
        from voxrtc.models.gpu.kernels import int8_product

        return int8_product(x, numbers, scale)
    return functional.linear(x, (numbers.to(x.dtype) * scale.to(x.dtype)))


_TRITON = importlib.util.find_spec("triton") is not None
