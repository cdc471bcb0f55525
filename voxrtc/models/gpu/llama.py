"""Llama's layers as plain functions of their weights, so that one compiled piece of code does for all layers.

The arithmetic is that of transformers' modules, with q, k, v and gate, up joined into one matrix each: fewer, larger
products. Weights come in ``torch.nn.Linear`` so that torchao can quantise them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxrtc.models.gpu.products import Operand, product


@dataclass(frozen=True, slots=True)
class TextShape:
    """Sizes of the language model."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    rope_theta: float
    norm_eps: float


class TextLayer(nn.Module):
    """The weights of one layer of the language model."""

    def __init__(self, norm: Tensor, qkv: Tensor, out: Tensor, mlp_norm: Tensor, gate_up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.norm, self.mlp_norm = fixed(norm), fixed(mlp_norm)
        self.qkv, self.out, self.gate_up, self.down = (linear(w) for w in (qkv, out, gate_up, down))


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear map of ``weight`` (out, in) and ``bias`` (out,), which are used as they are."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = fixed(weight)
    if bias is not None:
        made.bias = fixed(bias)
    return made


def fixed(weight: Tensor) -> nn.Parameter:
    """A weight that is not trained."""
    return nn.Parameter(weight, requires_grad=False)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm over the last dimension, in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    wide = x.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * wide.to(x.dtype)


def rotary_tables(shape: TextShape, context: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Cosines and sines of rotary positions (Su et al. 2021, arXiv:2104.09864): (2, context, head_dim)."""
    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32, device=device) / shape.head_dim
    return turning(1.0 / shape.rope_theta**exponents, context, dtype)


def turning(frequencies: Tensor, context: int, dtype: torch.dtype) -> Tensor:
    """As rotary_tables(), of radians a position (head_dim / 2,) float32."""
    angles = torch.arange(context, dtype=torch.float32, device=frequencies.device)[:, None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin())).to(dtype)


def attention_inputs(
    x: Tensor, norm: Tensor, qkv: Operand, cos: Tensor, sin: Tensor, shape: TextShape
) -> tuple[Tensor, Tensor, Tensor]:
    """The half of a layer before its attention: of ``x`` (n, hidden) the queries (n, heads, head_dim), keys and values
    (n, kv_heads, head_dim), queries and keys turned by their positions' ``cos`` and ``sin`` (n, head_dim)."""
    heads, kv, dim = shape.heads, shape.kv_heads, shape.head_dim
    joined = product(rms_norm(x, norm, shape.norm_eps), qkv).view(-1, heads + 2 * kv, dim)
    turning, values = joined[:, : heads + kv], joined[:, heads + kv :]
    left, right = turning.chunk(2, dim=-1)
    turned = turning * cos[:, None] + torch.cat((-right, left), dim=-1) * sin[:, None]
    return turned[:, :heads].contiguous(), turned[:, heads:], values


def after_attention(
    x: Tensor, attended: Tensor, out: Operand, norm: Tensor, gate_up: Operand, down: Operand, shape: TextShape
) -> Tensor:
    """The half of a layer after its attention: ``x`` and ``attended`` (n, heads * head_dim) to the next (n, hidden)."""
    x = x + product(attended, out)
    gate, up = product(rms_norm(x, norm, shape.norm_eps), gate_up).chunk(2, dim=-1)
    return x + product(functional.silu(gate) * up, down)
