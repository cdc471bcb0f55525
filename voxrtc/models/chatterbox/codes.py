"""Speech to speech tokens: the encoder of S3Tokenizer v2 at 25 tokens a second, over the weights in S3Gen's checkpoint.

CosyVoice 2 (Du et al., arXiv:2412.10117): six transformer blocks with rotary positions and a memory of 31 tokens
(FSMN), quantized to 8 dimensions of 3 levels. As in the package s3tokenizer 0.3.0 (Apache-2.0), for one clip of up to
30 s.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.spectra import code_mel

HEAD = 64
"""Dimensions of a head, and of the rotary positions."""
PREFIX = "tokenizer."


class Codes:
    """``weights``: S3Gen's, those that begin with ``tokenizer.`` are used."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = {name.removeprefix(PREFIX): one for name, one in weights.items() if name.startswith(PREFIX)}
        names = {name.split(".")[2] for name in self._weights if name.startswith("encoder.blocks.")}
        self._layers = len(names)

    @torch.inference_mode()
    def of(self, samples: Tensor, most: int | None = None) -> Tensor:
        """``samples`` (n,) at 16 kHz as (1, about n / 640) int64, of which the first ``most`` are made."""
        mel = code_mel(samples)
        if most is not None:
            mel = mel[:, : 4 * most]
        x = functional.gelu(self._convolve("encoder.conv1", mel[None]))
        x = functional.gelu(self._convolve("encoder.conv2", x)).transpose(1, 2)
        cos, sin = _rotations(x.shape[1], x.device)
        for n in range(self._layers):
            block = f"encoder.blocks.{n}."
            x = x + self._attend(block + "attn.", self._norm(block + "attn_ln", x, 1e-5), cos, sin)
            hidden = functional.gelu(self._linear(block + "mlp.0", self._norm(block + "mlp_ln", x, 1e-5)))
            x = x + self._linear(block + "mlp.2", hidden)
        levels = (self._linear("quantizer._codebook.project_down", x).float().tanh() * 0.9990000128746033).round() + 1
        powers = 3 ** torch.arange(8, device=x.device)
        return (levels.long() * powers).sum(-1)

    def _attend(self, name: str, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        q, k, v = (self._linear(name + part, x) for part in ("query", "key", "value"))
        channels = v.transpose(1, 2)
        kernel = self._weights[name + "fsmn_block.weight"]
        side = (kernel.shape[-1] - 1) // 2
        padded = functional.pad(channels, (side, kernel.shape[-1] - 1 - side))
        memory = functional.conv1d(padded, kernel, groups=kernel.shape[0]) + channels
        heads = [part.view(*part.shape[:2], -1, HEAD).transpose(1, 2) for part in (q, k, v)]
        q, k = (part * cos + _half_turned(part) * sin for part in heads[:2])
        read = functional.scaled_dot_product_attention(q, k, heads[2])
        return self._linear(name + "out", read.transpose(1, 2).flatten(2)) + memory.transpose(1, 2)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._weights[name + ".weight"], self._weights.get(name + ".bias"))

    def _convolve(self, name: str, x: Tensor) -> Tensor:
        return functional.conv1d(x, self._weights[name + ".weight"], self._weights[name + ".bias"], 2, 1)

    def _norm(self, name: str, x: Tensor, eps: float) -> Tensor:
        weight = self._weights[name + ".weight"]
        return functional.layer_norm(x, weight.shape, weight, self._weights[name + ".bias"], eps)


def _rotations(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines (size, HEAD) of the positions."""
    rates = 10_000.0 ** -(torch.arange(0, HEAD, 2, device=device).float() / HEAD)
    angles = torch.outer(torch.arange(size, device=device).float(), rates)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def _half_turned(x: Tensor) -> Tensor:
    return torch.cat((-x[..., HEAD // 2 :], x[..., : HEAD // 2]), dim=-1)
