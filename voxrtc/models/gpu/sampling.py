"""Drawing tokens on the GPU: greedy or at a temperature, each row with a seed of its own.

A draw is the largest of logits / temperature + Gumbel noise (Gumbel 1954; Maddison et al. 2014, arXiv:1411.0030). The
noise is a hash of seed, position and token, not a generator's state: a row's tokens do not depend on what runs beside
it, in which row it stands, or on whether its step was replayed from a CUDA graph.
"""

from __future__ import annotations

import torch
from torch import Tensor

MIN_P = 0.05
"""Tokens less probable than this, times the likeliest one's, are not drawn (Nguyen et al. 2024, arXiv:2407.01082)."""


def draw(logits: Tensor, temperatures: Tensor, seeds: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens (n,) int64 for ``logits`` (n, vocabulary), and the logs (n,) float32 of their probabilities, not heated.

    ``temperatures`` (n,) float32, 0 for the likeliest token; ``seeds`` (n,) int64 of 31 bits; ``positions`` (n,): where
    in their sequences the drawn tokens stand.
    """
    wide = logits.float()
    tokens = choose(wide, temperatures, torch.full_like(temperatures, MIN_P), seeds, positions)
    logprobs = wide.gather(-1, tokens[:, None])[:, 0] - wide.logsumexp(-1)
    return tokens, logprobs


def choose(wide: Tensor, temperatures: Tensor, least: Tensor, seeds: Tensor, positions: Tensor) -> Tensor:
    """As draw(), of float32 logits: the tokens only. ``least`` (n,) float32: in place of MIN_P, 0 for none of it."""
    hot = temperatures > 0
    scaled = wide / torch.where(hot, temperatures, 1.0)[:, None]
    likely = scaled >= scaled.amax(-1, keepdim=True) + least.log()[:, None]
    noisy = torch.where(likely, scaled + _gumbel(seeds, positions, wide.shape[-1]), float("-inf"))
    return torch.where(hot[:, None], noisy, wide).argmax(-1)


def _gumbel(seeds: Tensor, positions: Tensor, count: int) -> Tensor:
    """Standard Gumbel noise (n, count) float32."""
    rows = _mix(_mix(seeds.int()) ^ (positions.int() + _signed(0x9E3779B9)))
    columns = torch.arange(count, device=seeds.device, dtype=torch.int32)
    bits = _mix(rows[:, None] + columns * _signed(0x85EBCA77))
    uniform = (_shifted(bits, 9).float() + 0.5) * 2.0**-23  # of 23 bits, so that none is rounded to 1
    return -torch.log(-torch.log(uniform))


def _mix(x: Tensor) -> Tensor:
    """A hash of 32 bits to 32 bits, int32 (Wellons, "Prospecting for hash functions", lowbias32). Products wrap."""
    x = (x ^ _shifted(x, 16)) * _signed(0x7FEB352D)
    x = (x ^ _shifted(x, 15)) * _signed(0x846CA68B)
    return x ^ _shifted(x, 16)


def _shifted(x: Tensor, places: int) -> Tensor:
    """To the right, zeros coming in, as of unsigned numbers."""
    return (x >> places) & ((1 << (32 - places)) - 1)


def _signed(number: int) -> int:
    """The int32 of the same bits."""
    return number - (1 << 32) if number >> 31 else number
