"""Both of Chatterbox's models at work, as a server of so many calls has them. The bench measures these, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from voxrtc.models.chatterbox import sizing, t3
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner
from voxrtc.models.chatterbox.t3 import T3, Progress
from voxrtc.models.chatterbox.t3_memory import T3Plan
from voxrtc.models.gpu.attention import Choice
from voxrtc.models.gpu.lane import Lane

BATCH = 16
"""Chunks that are made into sound at once at the most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned for, in both models."""

    tokens: T3Plan
    sound: SoundPlan

    @classmethod
    def of(cls, calls: int, at_once: int = 0) -> Plan:
        """For a server of ``calls`` at once. ``at_once``: tts.clauses_at_once."""
        rows = sizing.rows(calls, at_once)
        return cls(
            T3Plan(rows=rows, text=sizing.TEXT, speech=sizing.SPEECH),
            SoundPlan(batch=min(BATCH, max(sizing.FEWEST, calls))),
        )


@dataclass(frozen=True, slots=True)
class Runners:
    """Warm. ``lane``: what all their work is done in."""

    tokens: T3
    sound: SoundRunner
    lane: Lane


def make(
    t3_state: Mapping[str, Tensor],
    s3_state: Mapping[str, Tensor],
    plan: Plan,
    device: torch.device,
    progress: Progress,
    *,
    attention: Choice = "auto",
    compiles: bool = True,
) -> Runners:
    """Of the state dicts of a checkpoint's T3 and S3Gen. ``compiles``: with torch.compile, on a GPU. Raises
    ModelsError."""
    dtype = dtype_of(device)
    compiles = compiles and device.type == "cuda"
    lane = Lane(device)  # after all that was put on the device outside of it
    with lane():
        tokens = t3.make(t3_state, plan.tokens, device, dtype, progress, attention=attention, compiles=compiles)
        sound = SoundRunner(s3_state, device, dtype, plan.sound, compiles=compiles)
        sound.warm(progress)
    return Runners(tokens, sound, lane)


def dtype_of(device: torch.device) -> torch.dtype:
    """What the models work in there."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32
