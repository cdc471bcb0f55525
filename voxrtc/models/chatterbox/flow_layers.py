"""What the encoder and the estimator are made of: maps with their weights, over sequences (batch, time, channels)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

HIDDEN_BIAS = -1e10
"""Added to the attention to what is padding."""


class Affine(NamedTuple):
    """A linear map, a norm or a convolution: ``weight`` and ``bias``."""

    weight: Tensor
    bias: Tensor | None

    def linear(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias)

    def norm(self, x: Tensor, eps: float = 1e-5) -> Tensor:
        return functional.layer_norm(x, (x.shape[-1],), self.weight, self.bias, eps)


class Taps(NamedTuple):
    """A convolution over time as one matrix (out, taps * channels): a product over neighbouring rows joined.

    Keeping (batch, time, channels) saves the transposes that a convolution would need around it.
    """

    weight: Tensor
    bias: Tensor | None
    taps: int

    def __call__(self, x: Tensor, ahead: int = 0) -> Tensor:
        """(batch, time, channels) to (batch, time, out), zeros around; it sees ``ahead`` steps ahead."""
        steps = x.shape[1]
        padded = functional.pad(x, (0, 0, self.taps - 1 - ahead, ahead))
        joined = torch.cat([padded[:, tap : tap + steps] for tap in range(self.taps)], dim=-1)
        return functional.linear(joined, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a checkpoint, as they are wanted at ``dtype`` on ``device``."""

    state: Mapping[str, Tensor]
    dtype: torch.dtype
    device: torch.device

    def __call__(self, name: str) -> Tensor:
        return self.state[name].detach().to(self.device, self.dtype)

    def affine(self, name: str) -> Affine:
        has_bias = f"{name}.bias" in self.state
        return Affine(self(f"{name}.weight"), self(f"{name}.bias") if has_bias else None)

    def joined(self, *names: str) -> Affine:
        """Linear maps of one input as one."""
        parts = [self.affine(name) for name in names]
        biases = [part.bias for part in parts if part.bias is not None]
        return Affine(torch.cat([part.weight for part in parts]), torch.cat(biases) if biases else None)

    def taps(self, name: str) -> Taps:
        weight, bias = self.affine(name)
        return Taps(weight.permute(0, 2, 1).flatten(1).contiguous(), bias, weight.shape[2])

    def normed(self, name: str) -> Affine:
        """A weight-normalised map as a plain one (Salimans and Kingma 2016, arXiv:1602.07868)."""
        size = self.state[f"{name}.parametrizations.weight.original0"].float()
        direction = self.state[f"{name}.parametrizations.weight.original1"].float()
        norm = direction.flatten(1).norm(dim=1)[:, None, None]
        weight = (direction * (size / norm)).detach().to(self.device, self.dtype)
        return Affine(weight, self(f"{name}.bias"))


def inside(lengths: Tensor, size: int) -> Tensor:
    """(n, size) bool: which of ``size`` places are within ``lengths`` (n,)."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
