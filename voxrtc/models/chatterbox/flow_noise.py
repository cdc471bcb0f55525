"""Normal noise that is a function of where it stands: a hash, not a generator's state.

The same frame has the same noise however often it is computed, in whatever batch, and without anything kept of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


def uniform(seeds: Tensor, positions: Tensor, count: int) -> Tensor:
    """(n, m, count) float32 in (0, 1) for ``seeds`` (n,) and ``positions`` (n, m), both int64 of any sign."""
    rows = _mix(_mix(seeds)[:, None] ^ ((positions + 0x9E3779B9) & _MASK))
    columns = torch.arange(count, device=seeds.device)
    bits = _mix(rows[..., None] + columns * 0x85EBCA77)
    return ((bits >> 9).float() + 0.5) * 2.0**-23  # of 23 bits, so that none is rounded to 1


def normal(seeds: Tensor, positions: Tensor, count: int) -> Tensor:
    """As uniform(), of the standard normal distribution."""
    return torch.erfinv(uniform(seeds, positions, count) * 2.0 - 1.0) * math.sqrt(2.0)


def _mix(x: Tensor) -> Tensor:
    """A hash of 32 bits to 32 bits in int64 (Wellons, "Prospecting for hash functions", lowbias32)."""
    x = x & _MASK
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)
