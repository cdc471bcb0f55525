"""S3Gen's encoder: a conformer without convolution modules, with relative positions, that doubles its steps.

Speech tokens in, two mel frames each out, as the mean of what the flow makes. Written over the checkpoint's tensors
after chatterbox-tts 0.1.7 (CosyVoice 2, Du et al. 2024, arXiv:2412.10117); without its host syncs. Unlike there, the
padding of a batch is zero where a convolution looks at it: a row does not depend on what stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.flow_layers import HIDDEN_BIAS, Affine, Taps, Tensors, inside
from voxrtc.models.chatterbox.flow_shape import Shape

LOOK_AHEAD = 3
"""Tokens after one that its frames depend on by more than attention."""


@dataclass(frozen=True, slots=True)
class Layer:
    qkv: Affine
    out: Affine
    position: Tensor
    """(heads, 2 * most - 1, head dim): the keys of every distance, the furthest to the left first."""
    content_bias: Tensor
    position_bias: Tensor
    up: Affine
    down: Affine
    norm_attention: Affine
    norm_forward: Affine


@dataclass(frozen=True, slots=True)
class Encoder:
    """Its weights; ``most`` tokens at once."""

    heads: int
    embedding: Tensor
    embed: tuple[Affine, Affine]
    look_ahead: tuple[Taps, Taps]
    layers: list[Layer]
    widen: Taps
    up_embed: tuple[Affine, Affine]
    up_layers: list[Layer]
    after: Affine
    project: Affine

    def __call__(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """(n, steps) int64 tokens, of each row the first ``lengths`` (n,), to (n, 2 * steps, 80)."""
        within = inside(lengths, tokens.shape[1])
        x = self._embedded(self.embed, functional.embedding(tokens, self.embedding))
        x = x * within[..., None]
        ahead, behind = self.look_ahead
        x = x + behind(functional.leaky_relu(ahead(x, LOOK_AHEAD)))
        hidden = torch.where(within, 0.0, HIDDEN_BIAS)[:, None, None, :].to(x.dtype)
        for layer in self.layers:
            x = attend(x, layer, hidden, self.heads)
        x = self.widen(x.repeat_interleave(2, dim=1))
        x = self._embedded(self.up_embed, x)
        hidden = hidden.repeat_interleave(2, dim=-1)
        for layer in self.up_layers:
            x = attend(x, layer, hidden, self.heads)
        return self.project.linear(self.after.norm(x))

    @staticmethod
    def _embedded(maps: tuple[Affine, Affine], x: Tensor) -> Tensor:
        linear, norm = maps
        return norm.norm(linear.linear(x)) * math.sqrt(x.shape[-1])


def attend(x: Tensor, layer: Layer, hidden: Tensor, heads: int) -> Tensor:
    """One layer: (n, steps, hidden) to the same. ``hidden`` (n, 1, 1, steps) is added where keys are padding.

    Attention by content and by distance (Dai et al. 2019, arXiv:1901.02860, section 3.3).
    """
    count, steps, size = x.shape
    qkv = layer.qkv.linear(layer.norm_attention.norm(x, 1e-12)).view(count, steps, 3, heads, -1)
    queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
    middle = layer.position.shape[1] // 2
    places = layer.position[:, middle - steps + 1 : middle + steps]
    scores = (queries + layer.position_bias) @ places.transpose(1, 2)
    bias = _by_key(scores) / math.sqrt(size // heads) + hidden
    attended = functional.scaled_dot_product_attention(queries + layer.content_bias, keys, values, attn_mask=bias)
    x = x + layer.out.linear(attended.transpose(1, 2).reshape(count, steps, size))
    return x + layer.down.linear(functional.silu(layer.up.linear(layer.norm_forward.norm(x, 1e-12))))


def _by_key(scores: Tensor) -> Tensor:
    """(n, heads, steps, 2 * steps - 1) by distance, to (n, heads, steps, steps) by key: row i moves i left."""
    count, heads, steps, distances = scores.shape
    moved = functional.pad(scores, (1, 0)).view(count, heads, distances + 1, steps)[:, :, 1:]
    return moved.reshape(count, heads, steps, distances)[..., :steps]


def encoder(tensors: Tensors, shape: Shape, most: int) -> Encoder:
    """Of the checkpoint's tensors, for up to ``most`` tokens at once."""
    at = "flow.encoder"

    def two(name: str) -> tuple[Affine, Affine]:
        return tensors.affine(f"{at}.{name}.out.0"), tensors.affine(f"{at}.{name}.out.1")

    distances = _distances(2 * most, shape.hidden).to(tensors.device)
    return Encoder(
        heads=shape.heads,
        embedding=tensors("flow.input_embedding.weight"),
        embed=two("embed"),
        look_ahead=(tensors.taps(f"{at}.pre_lookahead_layer.conv1"), tensors.taps(f"{at}.pre_lookahead_layer.conv2")),
        layers=[_layer(tensors, f"{at}.encoders.{n}", distances, shape) for n in range(shape.layers)],
        widen=tensors.taps(f"{at}.up_layer.conv"),
        up_embed=two("up_embed"),
        up_layers=[_layer(tensors, f"{at}.up_encoders.{n}", distances, shape) for n in range(shape.up_layers)],
        after=tensors.affine(f"{at}.after_norm"),
        project=tensors.affine("flow.encoder_proj"),
    )


def _layer(tensors: Tensors, at: str, distances: Tensor, shape: Shape) -> Layer:
    own = f"{at}.self_attn"
    position = tensors(f"{own}.linear_pos.weight").float()
    keys = functional.linear(distances, position).view(-1, shape.heads, shape.hidden // shape.heads)
    return Layer(
        qkv=tensors.joined(f"{own}.linear_q", f"{own}.linear_k", f"{own}.linear_v"),
        out=tensors.affine(f"{own}.linear_out"),
        position=keys.transpose(0, 1).contiguous().to(tensors.dtype),
        content_bias=tensors(f"{own}.pos_bias_u")[:, None],
        position_bias=tensors(f"{own}.pos_bias_v")[:, None],
        up=tensors.affine(f"{at}.feed_forward.w_1"),
        down=tensors.affine(f"{at}.feed_forward.w_2"),
        norm_attention=tensors.affine(f"{at}.norm_mha"),
        norm_forward=tensors.affine(f"{at}.norm_ff"),
    )


def _distances(most: int, size: int) -> Tensor:
    """(2 * most - 1, size): sines and cosines of distances from most - 1, to the left, down to 1 - most."""
    distance = torch.arange(most - 1, -most, -1, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, size, 2, dtype=torch.float32) * -(math.log(10_000.0) / size))
    return torch.stack(((distance * rates).sin(), (distance * rates).cos()), dim=-1).flatten(1)
