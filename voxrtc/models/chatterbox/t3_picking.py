"""What T3 says next, of its logits: guidance, what may not be said, repetition, temperature, a draw.

The order is that of chatterbox's T3.inference and, for Turbo, inference_turbo.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from voxrtc.models.chatterbox.parts import STOP
from voxrtc.models.gpu.sampling import choose

TOP_K, TOP_P = 1000, 0.95
"""Turbo's (tts_turbo.py)."""


class Wishes(NamedTuple):
    """Of n rows, (n,) each: parts.Manner's, the frame that is drawn, whether STOP is wanted now."""

    temperature: Tensor
    weight: Tensor
    min_p: Tensor
    penalty: Tensor
    seed: Tensor
    frame: Tensor
    ends: Tensor


def guided(logits: Tensor, weight: Tensor) -> Tensor:
    """(n, 2, vocabulary) with and without the text, to (n, vocabulary) float32 (Ho and Salimans 2022,
    arXiv:2207.12598): away from what would be said to any text."""
    with_text, without = logits.float().unbind(1)
    return with_text + weight[:, None] * (with_text - without)


def penalised(logits: Tensor, said: Tensor, penalty: Tensor) -> Tensor:
    """Tokens that were ``said`` (n, vocabulary) are less likely (Keskar et al. 2019, arXiv:1909.05858)."""
    less = torch.where(logits < 0, logits * penalty[:, None], logits / penalty[:, None])
    return torch.where(said, less, logits)


def picked(logits: Tensor, said: Tensor, early: Tensor, wishes: Wishes) -> Tensor:
    """Tokens (n,) int64 for logits (n, 2, vocabulary). ``early`` (n,) bool: not STOP."""
    wide = guided(logits, wishes.weight)
    is_stop = torch.arange(wide.shape[1], device=wide.device) == STOP
    wide = torch.where(early[:, None] & is_stop, float("-inf"), wide)
    wide = penalised(wide, said, wishes.penalty)
    tokens = choose(wide, wishes.temperature, wishes.min_p, wishes.seed, wishes.frame)
    return torch.where(wishes.ends, STOP, tokens)


def picked_turbo(logits: Tensor, said: Tensor, wishes: Wishes) -> Tensor:
    """Tokens (n,) int64 for logits (n, 1, vocabulary): heated, the likeliest ones taken, then penalised."""
    hot = wishes.temperature > 0
    wide = logits[:, 0].float() / torch.where(hot, wishes.temperature, 1.0)[:, None]
    ordered, places = wide.sort(stable=True, dim=-1, descending=True)
    before = ordered[:, :TOP_K].softmax(-1).cumsum(-1).roll(1, -1)
    before[:, 0] = 0.0
    kept = torch.zeros_like(wide, dtype=torch.bool).scatter(-1, places[:, :TOP_K], before < TOP_P)
    wide = penalised(torch.where(kept, wide, float("-inf")), said, wishes.penalty)
    none = torch.zeros_like(wishes.min_p)
    tokens = choose(wide, hot.float(), none, wishes.seed, wishes.frame)
    return torch.where(wishes.ends, STOP, tokens)
