"""The language model over paged memory: embeddings of any tokens in, their keys and values kept, hidden states out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.gpu.attention import Attention, Context
from voxrtc.models.gpu.compiled import Compiled
from voxrtc.models.gpu.llama import after_attention, attention_inputs, rms_norm, rotary_tables
from voxrtc.models.gpu.products import operand, product
from voxrtc.models.gpu.sampling import draw
from voxrtc.models.voxtral.checkpoint import Weights
from voxrtc.models.voxtral.layers import encoder_layer


class TextModel:
    """Reads and writes ``memory`` (layers, 2, pages, page size, kv heads, head dim): keys and values of every token."""

    def __init__(
        self, weights: Weights, attention: Attention, memory: Tensor, context: int, compiled: Compiled
    ) -> None:
        self._weights = weights
        self._attention = attention
        self._memory = memory
        self._rotary = rotary_tables(weights.text, context, weights.norm.dtype, memory.device)
        self._before = compiled(attention_inputs)
        self._after = compiled(after_attention)
        self._draw = compiled(draw)

    @property
    def page_size(self) -> int:
        return self._memory.shape[3]

    def embed(self, tokens: Tensor) -> Tensor:
        """(n,) to (n, hidden)."""
        return functional.embedding(tokens, self._weights.embedding)

    def forward(self, x: Tensor, positions: Tensor, slots: Tensor, context: Context, one_sequence: bool) -> Tensor:
        """Hidden states (n, hidden) of embeddings ``x`` (n, hidden), before the last norm.

        ``positions`` (n,): of the tokens in their sequences. ``slots`` (n,): where their keys and values go, as page *
        page size + offset. Either the n tokens are the last of one sequence, or one each of n sequences.
        """
        shape, size = self._weights.text, x.shape[0]
        cos, sin = self._rotary[:, positions]
        attend = self._attention.prefill if one_sequence else self._attention.decode
        for layer, (keys, values) in zip(self._weights.layers, self._memory, strict=True):
            q, k, v = self._before(x, layer.norm, operand(layer.qkv), cos, sin, shape)
            keys.flatten(0, 1).index_copy_(0, slots, k)
            values.flatten(0, 1).index_copy_(0, slots, v)
            attended = attend(q, keys, values, context).reshape(size, -1)
            out, gate_up, down = (operand(part) for part in (layer.out, layer.gate_up, layer.down))
            x = self._after(x, attended, out, layer.mlp_norm, gate_up, down, shape)
        return x

    def logits(self, x: Tensor) -> Tensor:
        """(n, hidden) to (n, vocabulary)."""
        normed = rms_norm(x, self._weights.norm, self._weights.text.norm_eps)
        return product(normed, operand(self._weights.head))

    def pick(self, x: Tensor, temperatures: Tensor, seeds: Tensor, positions: Tensor) -> Tensor:
        """What is drawn after hidden states (n, hidden): (2, n) int32, tokens and the bits of their log-probabilities.

        The other arguments are those of sampling.draw."""
        tokens, logprobs = self._draw(self.logits(x), temperatures, seeds, positions)
        return torch.stack((tokens.int(), logprobs.view(torch.int32)))


class Encoder:
    """Whisper's encoder and Voxtral's projector, in stages: of one window (bands, frames) to (tokens, hidden)."""

    def __init__(self, weights: Weights, compiled: Compiled) -> None:
        self._weights = weights
        self._layer = compiled(encoder_layer)

    def begin(self, mel: Tensor) -> Tensor:
        """(bands, frames) float32 to (positions, hidden of the encoder)."""
        first, second = self._weights.conv
        x = functional.gelu(first(mel[None].to(first.weight.dtype)))
        x = functional.gelu(second(x))
        return (x[0].transpose(0, 1) + self._weights.positions).to(x.dtype)

    def layers(self, x: Tensor, first: int, last: int) -> Tensor:
        """Layers ``first`` up to ``last``."""
        for layer in self._weights.encoder[first:last]:
            x = self._layer(x, layer.tensors, self._weights.audio.heads)
        return x

    def end(self, x: Tensor) -> Tensor:
        """(positions, hidden of the encoder) to (tokens, hidden of the language model)."""
        narrow, wide = self._weights.projector
        stacked = self._weights.encoder_norm(x).reshape(-1, self._weights.audio.stacked * self._weights.audio.hidden)
        return functional.linear(functional.gelu(functional.linear(stacked, narrow.weight)), wide.weight)
