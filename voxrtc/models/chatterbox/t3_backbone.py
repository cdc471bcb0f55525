"""T3's two backbones, Llama and GPT-2: embeddings in, normed hidden states out. Attention is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.t3_weights import Gpt2Layer, Gpt2Weights, LlamaWeights, T3Weights
from voxrtc.models.gpu.compiled import Compiled
from voxrtc.models.gpu.llama import TextShape, after_attention, attention_inputs, rms_norm, turning

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Of a layer's number, its queries, keys and values (n, heads, head_dim): what is attended (n, heads * head_dim)."""


class Backbone(Protocol):
    def __call__(self, x: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """``x`` (n, hidden) at ``positions`` (n,) of their sequences to (n, hidden)."""


def backbone(weights: T3Weights, context: int, compiled: Compiled) -> Backbone:
    """For sequences of up to ``context`` tokens."""
    own = weights.backbone
    return (
        Gpt2(own, weights.shape, compiled)
        if isinstance(own, Gpt2Weights)
        else Llama(own, weights.shape, context, compiled)
    )


class Llama:
    def __init__(self, weights: LlamaWeights, shape: TextShape, context: int, compiled: Compiled) -> None:
        self._weights = weights
        self._shape = shape
        self._rotary = turning(_frequencies(shape, weights.norm.device), context, weights.norm.dtype)
        self._before = compiled(attention_inputs)
        self._after = compiled(after_attention)

    def __call__(self, x: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        shape = self._shape
        cos, sin = self._rotary[:, positions]
        for number, layer in enumerate(self._weights.layers):
            q, k, v = self._before(x, layer.norm, layer.qkv.weight, cos, sin, shape)
            seen = attend(number, q, k, v)
            out, gate_up, down = layer.out.weight, layer.gate_up.weight, layer.down.weight
            x = self._after(x, seen, out, layer.mlp_norm, gate_up, down, shape)
        return rms_norm(x, self._weights.norm, shape.norm_eps)


def _frequencies(shape: TextShape, device: torch.device) -> Tensor:
    """Radians a position (head_dim / 2,) of Llama 3.1's rotary positions, as in chatterbox's llama_configs.py."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = {
        "rope_type": "llama3",
        "rope_theta": shape.rope_theta,
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
    }
    config = LlamaConfig(
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        head_dim=shape.head_dim,
        max_position_embeddings=131_072,
        rope_parameters=scaling,
    )
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device)
    return frequencies.to(device)


class Gpt2:
    def __init__(self, weights: Gpt2Weights, shape: TextShape, compiled: Compiled) -> None:
        self._weights = weights
        self._shape = shape
        self._before = compiled(_before)
        self._after = compiled(_after)

    def __call__(self, x: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        own, shape = self._weights, self._shape
        x = x + own.positions[positions]
        for number, layer in enumerate(own.layers):
            norm = (layer.norm, layer.norm_bias)
            q, k, v = self._before(x, norm, layer.qkv.weight, layer.qkv.bias, shape)
            x = self._after(x, attend(number, q, k, v), _maps(layer), shape.norm_eps)
        return functional.layer_norm(x, x.shape[-1:], own.norm, own.norm_bias, shape.norm_eps)


def _maps(layer: Gpt2Layer) -> tuple[Tensor, ...]:
    parts = (layer.out, layer.up, layer.down)
    return (layer.mlp_norm, layer.mlp_norm_bias, *(t for part in parts for t in (part.weight, part.bias)))


def _before(
    x: Tensor, norm: tuple[Tensor, Tensor], qkv: Tensor, bias: Tensor, shape: TextShape
) -> tuple[Tensor, Tensor, Tensor]:
    """The half of a layer before its attention: queries, keys and values (n, heads, head_dim)."""
    joined = functional.linear(functional.layer_norm(x, x.shape[-1:], *norm, shape.norm_eps), qkv, bias)
    q, k, v = joined.view(-1, 3, shape.heads, shape.head_dim).unbind(1)
    return q.contiguous(), k, v


def _after(x: Tensor, attended: Tensor, maps: tuple[Tensor, ...], eps: float) -> Tensor:
    """The half of a layer after its attention."""
    norm, norm_bias, out, out_bias, up, up_bias, down, down_bias = maps
    x = x + functional.linear(attended, out, out_bias)
    wide = functional.linear(functional.layer_norm(x, x.shape[-1:], norm, norm_bias, eps), up, up_bias)
    return x + functional.linear(functional.gelu(wide, approximate="tanh"), down, down_bias)
