"""Whether our runner computes what transformers' modules do: the logits of both for the same prompts and sounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxrtc.audio import Samples
from voxrtc.bench.voxtral.sound import Words, plain
from voxrtc.bench.voxtral.steps import Memory, contexts, encode, read
from voxrtc.models.voxtral.features import LogMel
from voxrtc.models.voxtral.sequence import Clip, Row

if TYPE_CHECKING:
    from torch import Tensor

    from voxrtc.models.voxtral.runner import VoxtralRunner

LIMITS = {"none": 2e-2, "int8": 6e-2, "int4": 5e-1}
"""Relative L2 distance that the logits of one row may have: rounding in bf16, and of weights in fewer bits."""
HEARING = 4
"""One of so many sequences hears the sound."""
MEAN_TOKENS = 200
"""Of a prompt without sound; 375 more with it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sequence: its prompt, and the token that is taken to follow it."""

    ids: list[int]
    clips: tuple[Clip, ...]
    token: int


@dataclass(frozen=True, slots=True)
class Expected:
    """The stock model's logits (cases, vocabulary), float32 in main memory: after the prompts, and a token later."""

    prefill: Tensor
    decode: Tensor


def cases(sound: Samples, vocabulary: int, count: int, seed: int) -> list[Case]:
    """``count`` prompts of ragged lengths, one of four with sound: the same ones for equal arguments."""
    words = Words(vocabulary, seed + 1)
    made = []
    for number, length in enumerate(contexts(count, MEAN_TOKENS)):
        clips = (Clip(sound),) if number % HEARING == 0 else ()
        ids = words.prompt(clips[0], 375 + length) if clips else words.take(length)
        made.append(Case(ids, clips, words.take(1)[0]))
    return made


def expect(model: Any, asked: Sequence[Case]) -> Expected:
    """What the stock model gives, case by case, without a cache."""
    import torch

    device = next(model.parameters()).device
    mel = LogMel(device)
    last = []
    with torch.inference_mode():
        for case in asked:
            ids = torch.tensor([[*plain(case.ids), case.token]], device=device)
            heard = mel(case.clips[0].samples) if case.clips else None
            logits = model(input_ids=ids, input_features=heard, use_cache=False, logits_to_keep=2).logits[0]
            last.append(logits.float().cpu())
    both = torch.stack(last)
    return Expected(both[:, 0], both[:, 1])


def compare(
    runner: VoxtralRunner, asked: Sequence[Case], expected: Expected, callers: Sequence[int], quantize: str, seed: int
) -> dict[str, Any]:
    """Read all prompts, then decode one token in steps of 1, 8, 32 rows, in rows and pages of no order."""
    import torch

    memory, shuffle = Memory(runner, seed), np.random.default_rng(seed)
    rows, prefilled = [], []
    for case in asked:
        pages = memory.take(len(case.ids) + 1)
        clips = [encode(runner, clip.samples) for clip in case.clips]
        ids = heard_as(case, clips)
        read(runner, ids, pages, clips)
        prefilled.append(runner.logits()[0].float().cpu())
        rows.append(Row(case.token, len(case.ids), pages))
    found = {"prefill": _distances(torch.stack(prefilled), expected.prefill)}
    for count in (n for n in callers if n <= len(rows)):
        chosen = [int(number) for number in shuffle.permutation(len(rows))[:count]]
        runner.decode([rows[number] for number in chosen])
        found[f"decode_{count}"] = _distances(runner.logits().float().cpu(), expected.decode[chosen])
    worst = max(part["max"] for part in found.values())
    limit = LIMITS[quantize]
    # A distance that is no number is no pass.
    return {"passed": bool(worst <= limit), "worst": worst, "limit": limit, "relative_l2": found, "cases": len(asked)}


def heard_as(case: Case, clips: Sequence[Clip]) -> list[int]:
    """The prompt with the ids of clips that were encoded anew."""
    ids = list(case.ids)
    for was, now in zip(case.clips, clips, strict=True):
        at = ids.index(was.ids()[0])
        ids[at : at + was.tokens] = now.ids()
    return ids


def _distances(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    """||ours - theirs|| / ||theirs||, row by row: the mean and the largest."""
    apart = (ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)
    return {"mean": float(f"{apart.mean().item():.3g}"), "max": float(f"{apart.max().item():.3g}")}
