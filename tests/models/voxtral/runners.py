"""Runners of the tiny checkpoint, and what transformers makes of the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import VoxtralForConditionalGeneration

from voxrtc.audio import Samples
from voxrtc.models.gpu.attention import Attention, Sdpa
from voxrtc.models.voxtral import build, checkpoint
from voxrtc.models.voxtral.checkpoint import Weights
from voxrtc.models.voxtral.features import LogMel
from voxrtc.models.voxtral.runner import Plan, VoxtralRunner
from voxrtc.models.voxtral.sequence import GREEDY, Chunk, Clip, Pick, Row, Sampling

CPU = torch.device("cpu")
AUDIO = 24


def options(**changes: Any) -> build.Options:
    return build.Options(
        **{"device": CPU, "dtype": torch.float32, "context": 1024, "callers": 4, "page_size": 16} | changes
    )


def weights(folder: Path, dtype: torch.dtype = torch.float32) -> Weights:
    config, take = checkpoint.read(str(folder), dtype)
    return checkpoint.assemble(config, take, lambda module: module, CPU, dtype, lambda what, fraction: None)


def runner(made_of: Weights, attention: Attention | None = None, **changes: Any) -> VoxtralRunner:
    plan = {"pages": 300, "page_size": 16, "context": 2048, "rows": 8} | changes
    made = VoxtralRunner(made_of, attention or Sdpa(), Plan(**plan))
    made.warm(lambda what, fraction: None)
    return made


def stock(folder: Path, dtype: torch.dtype = torch.float32) -> VoxtralForConditionalGeneration:
    return VoxtralForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()


def noise(seconds: float, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).standard_normal(int(seconds * 16_000)).astype(np.float32) * 0.1


def encoded(runner: VoxtralRunner, samples: Samples) -> Clip:
    clip = Clip(samples)
    for _ in runner.encode(clip):
        pass
    return clip


def continued(
    runner: VoxtralRunner,
    ids: Sequence[int],
    clips: Sequence[Clip],
    count: int,
    pages: Sequence[int],
    sampling: Sampling = GREEDY,
    cut: int = 512,
) -> list[Pick]:
    """``count`` tokens after ``ids``, read in chunks of ``cut``, by one runner that does nothing else meanwhile."""
    by_key = {clip.key: clip for clip in clips}
    pick: Pick | None = None
    for at in range(0, len(ids), cut):
        piece = ids[at : at + cut]
        pick = runner.prefill(Chunk(piece, at, pages, by_key, at + len(piece) == len(ids), sampling))
    assert pick is not None
    picks = [pick]
    while len(picks) < count:
        picks += runner.decode([Row(picks[-1].token, len(ids) + len(picks) - 1, pages, sampling)])
    return picks


@torch.inference_mode()
def generated(
    model: VoxtralForConditionalGeneration, ids: Sequence[int], clips: Sequence[Clip], count: int
) -> list[int]:
    """What transformers' ``generate`` says after ``ids``, greedily: ``count`` tokens."""
    tokens = torch.tensor([[AUDIO if number < 0 else number for number in ids]])
    features = {"input_features": torch.cat([LogMel(CPU)(clip.samples) for clip in clips])} if clips else {}
    whole = model.generate(
        input_ids=tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=count,
        min_new_tokens=count,
        do_sample=False,
        eos_token_id=None,
        **features,
    )
    return whole[0, len(ids) :].tolist()
