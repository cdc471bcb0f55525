"""Voxtral's layers as plain functions of their weights, so that one compiled piece of code does for all layers.

The arithmetic is that of transformers' modules (Llama; Whisper's encoder), with q, k, v and gate, up joined into one
matrix each: fewer, larger products. Weights come in ``torch.nn.Linear`` so that torchao can quantise them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


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


@dataclass(frozen=True, slots=True)
class AudioShape:
    """Sizes of the encoder: ``bands`` by 2 * ``positions`` of mel frames in, ``stacked`` positions to a token out."""

    hidden: int
    layers: int
    heads: int
    bands: int
    positions: int
    stacked: int


class TextLayer(nn.Module):
    """The weights of one layer of the language model."""

    def __init__(self, norm: Tensor, qkv: Tensor, out: Tensor, mlp_norm: Tensor, gate_up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.norm, self.mlp_norm = _fixed(norm), _fixed(mlp_norm)
        self.qkv, self.out, self.gate_up, self.down = (linear(w) for w in (qkv, out, gate_up, down))


class AudioLayer(nn.Module):
    """The weights of one layer of the encoder."""

    def __init__(
        self, norm: nn.LayerNorm, qkv: nn.Linear, out: nn.Linear, mlp: tuple[nn.LayerNorm, nn.Linear, nn.Linear]
    ) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = norm, qkv, out
        self.mlp_norm, self.up, self.down = mlp

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Weight and bias of each map, in the order of its work."""
        maps = (self.norm, self.qkv, self.out, self.mlp_norm, self.up, self.down)
        return tuple(tensor for one in maps for tensor in (one.weight, one.bias))


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """A linear map of ``weight`` (out, in) and ``bias`` (out,), which are used as they are."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta", dtype=weight.dtype)
    made.weight = _fixed(weight)
    if bias is not None:
        made.bias = _fixed(bias)
    return made


def layer_norm(weight: Tensor, bias: Tensor) -> nn.LayerNorm:
    """A layer norm of these weights (hidden,)."""
    made = nn.LayerNorm(weight.shape[0], device="meta", dtype=weight.dtype)
    made.weight, made.bias = _fixed(weight), _fixed(bias)
    return made


def _fixed(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight, requires_grad=False)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm over the last dimension, in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    wide = x.to(torch.float32)
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return weight * wide.to(x.dtype)


def rotary_tables(shape: TextShape, context: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Cosines and sines of rotary positions (Su et al. 2021, arXiv:2104.09864): (2, context, head_dim)."""
    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32, device=device) / shape.head_dim
    angles = torch.arange(context, dtype=torch.float32, device=device)[:, None] * (1.0 / shape.rope_theta**exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return torch.stack((angles.cos(), angles.sin())).to(dtype)


def attention_inputs(
    x: Tensor, norm: Tensor, qkv: Tensor, cos: Tensor, sin: Tensor, shape: TextShape
) -> tuple[Tensor, Tensor, Tensor]:
    """The half of a layer before its attention: of ``x`` (n, hidden) the queries (n, heads, head_dim), keys and values
    (n, kv_heads, head_dim), queries and keys turned by their positions' ``cos`` and ``sin`` (n, head_dim)."""
    heads, kv, dim = shape.heads, shape.kv_heads, shape.head_dim
    joined = functional.linear(rms_norm(x, norm, shape.norm_eps), qkv).view(-1, heads + 2 * kv, dim)
    turning, values = joined[:, : heads + kv], joined[:, heads + kv :]
    left, right = turning.chunk(2, dim=-1)
    turned = turning * cos[:, None] + torch.cat((-right, left), dim=-1) * sin[:, None]
    return turned[:, :heads].contiguous(), turned[:, heads:], values


def after_attention(
    x: Tensor, attended: Tensor, out: Tensor, norm: Tensor, gate_up: Tensor, down: Tensor, shape: TextShape
) -> Tensor:
    """The half of a layer after its attention: ``x`` and ``attended`` (n, heads * head_dim) to the next (n, hidden)."""
    x = x + functional.linear(attended, out)
    gate, up = functional.linear(rms_norm(x, norm, shape.norm_eps), gate_up).chunk(2, dim=-1)
    return x + functional.linear(functional.silu(gate) * up, down)


def encoder_layer(x: Tensor, weights: tuple[Tensor, ...], heads: int) -> Tensor:
    """One layer of Whisper's encoder: (positions, hidden) to the same; every position attends to all.

    ``weights``: those of AudioLayer.tensors."""
    norm, norm_bias, qkv, qkv_bias, out, out_bias, mlp_norm, mlp_norm_bias, up, up_bias, down, down_bias = weights
    count, hidden = x.shape
    joined = functional.linear(functional.layer_norm(x, (hidden,), norm, norm_bias), qkv, qkv_bias)
    queries, keys, values = joined.view(count, 3, heads, hidden // heads).permute(1, 2, 0, 3)
    attended = functional.scaled_dot_product_attention(queries[None], keys[None], values[None])[0]
    x = x + functional.linear(attended.transpose(0, 1).reshape(count, hidden), out, out_bias)
    wide = functional.gelu(functional.linear(functional.layer_norm(x, (hidden,), mlp_norm, mlp_norm_bias), up, up_bias))
    return x + functional.linear(wide, down, down_bias)
