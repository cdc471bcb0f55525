"""What the tests of Chatterbox on a GPU share: both models, small, with heads of the real size."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.gpu.machine import DEVICE  # noqa: E402 - needs torch
from voxrtc.bench.tts import spoken  # noqa: E402
from voxrtc.models.chatterbox import flow_shape, t3_weights  # noqa: E402
from voxrtc.models.chatterbox.parts import STOP, TokenModel, Utterance  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_memory import T3Plan  # noqa: E402
from voxrtc.models.gpu.attention import choose  # noqa: E402

SIZES = t3_weights.Sizes(hidden=512, layers=14, head_dim=64, wide=1024)
SHAPE = flow_shape.Shape(layers=2, up_layers=2, blocks=2, middles=3)
PLAN = T3Plan(rows=8, text=120, speech=200)
SOUND = SoundPlan(batch=4)


def t3(dtype: Any = torch.float32, *, captures: bool = True, compiles: bool = False) -> T3:
    """A warm one; equal weights for every dtype, large enough for attention and text to matter."""
    state = t3_weights.random(SIZES, DEVICE, torch.float32)
    state = {name: weight if name.endswith(("norm.weight", "bias")) else 2 * weight for name, weight in state.items()}
    weights = t3_weights.assemble(state, DEVICE, dtype)
    made = T3(weights, choose("auto", DEVICE, PLAN.page_size, dtype), PLAN, compiles=compiles, captures=captures)
    made.warm(lambda what, part: None)
    return made


def sound(dtype: Any = torch.float32, *, captures: bool = True, compiles: bool = False) -> SoundRunner:
    """A warm one; equal weights for every dtype."""
    state = flow_shape.random_state(SHAPE, 0, DEVICE)
    made = SoundRunner(state, DEVICE, dtype, SOUND, captures=captures, compiles=compiles)
    made.warm(lambda what, part: None)
    return made


def asked(seed: int, tokens: int = 40) -> Utterance:
    """Clauses of different lengths, one voice of two."""
    return spoken.utterance(spoken.voice(DEVICE, seed % 2), tokens + 7 * (seed % 5), SIZES.text, seed)


def said(model: TokenModel, utterances: dict[int, Utterance], steps: int) -> dict[int, list[int]]:
    """The tokens of each row, STOP the last one of those that have ended."""
    for row, utterance in utterances.items():
        model.begin(row, utterance)
    told: dict[int, list[int]] = {row: [] for row in utterances}
    for _ in range(steps):
        rows = [row for row in utterances if STOP not in told[row]]
        for row, token in zip(rows, model.step(rows), strict=True):
            told[row].append(token)
    return told
