"""S3Gen's flow: which way from noise to a mel spectrogram, asked ten times (Lipman et al. 2023, arXiv:2210.02747).

The estimator is a U-Net of one level: causal convolutions, each followed by four transformer blocks over all frames,
written over the checkpoint's tensors after chatterbox-tts 0.1.7 (Matcha-TTS, Mehta et al. 2024, arXiv:2309.03199).
No host syncs, and q, k, v in one product: about 920 kernels a call where the package's modules launch 3,330. What
depends on the step alone (times and what each block makes of them) is computed once, when it is made.

Cost: 71 M parameters, twice (guidance), ten times: 2.8 GFLOP a frame at full shape; 256 frames are 0.73 TFLOP, about
2 ms of arithmetic on an H100 at half its peak in bfloat16. So few callers wait for launches, not for arithmetic: at
about 2 us each in a CUDA graph, 2 ms a call and 20 ms a chunk; 16 callers for arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.flow_layers import HIDDEN_BIAS, Affine, Taps, Tensors, inside
from voxrtc.models.chatterbox.flow_shape import MELS, Shape
from voxrtc.models.gpu.compiled import Compiled

HEAD = 64
GUIDANCE = 0.7
"""How far beyond the conditioned direction, away from the other (Ho and Salimans 2022, arXiv:2207.12598)."""
STEPS, MEANFLOW_STEPS = 10, 2


@dataclass(frozen=True, slots=True)
class Block:
    """A transformer block."""

    norm1: Affine
    qkv: Affine
    out: Affine
    norm3: Affine
    up: Affine
    down: Affine


@dataclass(frozen=True, slots=True)
class Resnet:
    """Two causal convolutions beside a linear map. ``times`` (steps, channels): what is added between them."""

    first: Taps
    first_norm: Affine
    second: Taps
    second_norm: Affine
    around: Affine
    times: Tensor


@dataclass(frozen=True, slots=True)
class Stage:
    resnet: Resnet
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class Estimator:
    """Its weights, and the moments ``times`` (steps + 1) from 0, noise, to 1 at which it is asked."""

    down: Stage
    down_out: Taps
    middles: list[Stage]
    up: Stage
    up_out: Taps
    final: Taps
    final_norm: Affine
    project: Affine
    times: list[float]
    guided: bool
    convolved: Callable[[Tensor, Resnet, int, Tensor], Tensor]
    """convolved(), or what a compiler made of it; so the next."""
    transformed: Callable[[Tensor, Block, Tensor], Tensor]

    def __call__(self, noise: Tensor, mean: Tensor, speaker: Tensor, known: Tensor, lengths: Tensor) -> Tensor:
        """The mel spectrogram (n, frames, 80) float32 that ``noise`` becomes.

        All of (n, frames, 80) but ``speaker`` (n, 80), and ``lengths`` (n,): frames of each row that are not padding.
        ``mean`` is of the encoder; ``known`` is the reference's mel at its frames, else 0. Weights' dtype within.
        """
        dtype, frames = self.project.weight.dtype, mean.shape[1]
        conditions = torch.cat((mean, speaker[:, None].expand(-1, frames, -1), known), dim=-1).to(dtype)
        within = inside(lengths, frames)
        if self.guided:
            conditions = torch.cat((conditions, torch.zeros_like(conditions)))
            within = within.repeat(2, 1)
        mask = within[..., None].to(dtype)
        hidden = torch.where(within, 0.0, HIDDEN_BIAS)[:, None, None, :].to(dtype)
        hidden = hidden.expand(-1, 1, frames, -1).contiguous()
        x = noise
        for step, (at, then) in enumerate(zip(self.times, self.times[1:], strict=False)):
            given = x.to(dtype).repeat(2, 1, 1) if self.guided else x.to(dtype)
            way = self.direction(torch.cat((given, conditions), dim=-1), step, mask, hidden).float()
            if self.guided:
                towards, anywhere = way.chunk(2)
                way = (1.0 + GUIDANCE) * towards - GUIDANCE * anywhere
            x = x + (then - at) * way
        return x

    def direction(self, x: Tensor, step: int, mask: Tensor, hidden: Tensor) -> Tensor:
        """(n, frames, 320) of mel, mean, speaker and known, to (n, frames, 80): d mel / d time at ``step``."""
        kept = self._staged(x, self.down, step, mask, hidden)
        x = self.down_out(kept * mask)
        for stage in self.middles:
            x = self._staged(x, stage, step, mask, hidden)
        x = self._staged(torch.cat((x, kept), dim=-1), self.up, step, mask, hidden)
        x = self.up_out(x * mask)
        x = functional.mish(self.final_norm.norm(self.final(x * mask)))
        return self.project.linear(x * mask) * mask

    def _staged(self, x: Tensor, stage: Stage, step: int, mask: Tensor, hidden: Tensor) -> Tensor:
        x = self.convolved(x, stage.resnet, step, mask)
        for block in stage.blocks:
            x = self.transformed(x, block, hidden)
        return x


def convolved(x: Tensor, net: Resnet, step: int, mask: Tensor) -> Tensor:
    """(n, frames, in) to (n, frames, channels)."""
    x = x * mask
    inner = functional.mish(net.first_norm.norm(net.first(x))) + net.times[step]
    inner = functional.mish(net.second_norm.norm(net.second(inner * mask)))
    return inner * mask + net.around.linear(x)


def transformed(x: Tensor, block: Block, hidden: Tensor) -> Tensor:
    """(n, frames, channels) to the same; ``hidden`` is added to the attention to padding."""
    count, frames, _ = x.shape
    qkv = block.qkv.linear(block.norm1.norm(x)).view(count, frames, 3, -1, HEAD)
    queries, keys, values = qkv.permute(2, 0, 3, 1, 4)
    attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=hidden)
    x = x + block.out.linear(attended.transpose(1, 2).reshape(count, frames, -1))
    return x + block.down.linear(functional.gelu(block.up.linear(block.norm3.norm(x))))


def estimator(tensors: Tensors, shape: Shape, compiled: Compiled) -> Estimator:
    """Of the checkpoint's tensors. Each of its two functions is compiled for all blocks of as many channels together:
    for the numbers of rows and of frames that come first, and again, for any, where one of these first changes."""
    at = "flow.decoder.estimator"
    times = _moments(shape.meanflow)
    embedded = _embedded_times(tensors, times, shape)

    def stage(name: str) -> Stage:
        blocks = [_block(tensors, f"{at}.{name}.1.{number}") for number in range(shape.blocks)]
        return Stage(_resnet(tensors, f"{at}.{name}.0", embedded), blocks)

    project = tensors.affine(f"{at}.final_proj")
    return Estimator(
        down=stage("down_blocks.0"),
        down_out=tensors.taps(f"{at}.down_blocks.0.2"),
        middles=[stage(f"mid_blocks.{number}") for number in range(shape.middles)],
        up=stage("up_blocks.0"),
        up_out=tensors.taps(f"{at}.up_blocks.0.2"),
        final=tensors.taps(f"{at}.final_block.block.0"),
        final_norm=tensors.affine(f"{at}.final_block.block.2"),
        project=Affine(project.weight[..., 0], project.bias),
        times=times,
        guided=not shape.meanflow,
        convolved=compiled(convolved),
        transformed=compiled(transformed),
    )


def _resnet(tensors: Tensors, at: str, embedded: Tensor) -> Resnet:
    wide = Tensors(tensors.state, torch.float32, tensors.device)
    around = tensors.affine(f"{at}.res_conv")
    return Resnet(
        first=tensors.taps(f"{at}.block1.block.0"),
        first_norm=tensors.affine(f"{at}.block1.block.2"),
        second=tensors.taps(f"{at}.block2.block.0"),
        second_norm=tensors.affine(f"{at}.block2.block.2"),
        around=Affine(around.weight[..., 0], around.bias),
        times=wide.affine(f"{at}.mlp.1").linear(functional.mish(embedded)).to(tensors.dtype),
    )


def _block(tensors: Tensors, at: str) -> Block:
    return Block(
        norm1=tensors.affine(f"{at}.norm1"),
        qkv=tensors.joined(*(f"{at}.attn1.to_{part}" for part in "qkv")),
        out=tensors.affine(f"{at}.attn1.to_out.0"),
        norm3=tensors.affine(f"{at}.norm3"),
        up=tensors.affine(f"{at}.ff.net.0.proj"),
        down=tensors.affine(f"{at}.ff.net.2"),
    )


def _moments(meanflow: bool) -> list[float]:
    """Meanflow in equal steps (Geng et al. 2025, arXiv:2505.13447), else small ones first."""
    even = torch.linspace(0, 1, (MEANFLOW_STEPS if meanflow else STEPS) + 1)
    moments: list[float] = (even if meanflow else 1 - torch.cos(even * 0.5 * torch.pi)).tolist()
    return moments


def _embedded_times(tensors: Tensors, times: list[float], shape: Shape) -> Tensor:
    """(steps, 4 * channels) float32."""
    wide = Tensors(tensors.state, torch.float32, tensors.device)
    at = "flow.decoder.estimator"
    half = 2 * MELS
    rates = torch.exp(torch.arange(half, device=tensors.device).float() * -(math.log(10_000) / (half - 1)))
    angles = 1_000 * torch.tensor(times, device=tensors.device)[:, None] * rates
    waves = torch.cat((angles.sin(), angles.cos()), dim=-1)
    first, second = wide.affine(f"{at}.time_mlp.linear_1"), wide.affine(f"{at}.time_mlp.linear_2")
    embedded = second.linear(functional.silu(first.linear(waves)))
    if not shape.meanflow:
        return embedded[:-1]
    both = torch.cat((embedded[:-1], embedded[1:]), dim=-1)
    return wide.affine(f"{at}.time_embed_mixer").linear(both)
