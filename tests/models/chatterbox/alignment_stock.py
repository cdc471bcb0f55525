"""Attention to a text as utterances have it, right and wrong, and what chatterbox-tts's own analyzer makes of it."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox.t3_stock import package  # noqa: E402 - needs torch
from voxrtc.models.chatterbox.parts import STOP  # noqa: E402

STRENGTHS = [0.95, 0.6, 0.2]
TEXTS = [20, 20, 20, 20, 20, 20, 8, 30, 6]


def rows(strength: float):
    """Attention (frames, text) of utterances of TEXTS."""
    generator = torch.Generator().manual_seed(int(strength * 100))
    frames = [*(schedules(n)[0] for n in range(6)), *([n // 4 for n in range(50)] for _ in range(3))]
    return [spoken(text, places, generator, strength) for text, places in zip(TEXTS, frames, strict=True)]


def spoken(text: int, frames: list[int], generator, strength: float = 0.9):
    """Attention (frames, text) that is mostly at these places."""
    noise = torch.rand(len(frames), text, generator=generator)
    at = torch.nn.functional.one_hot(torch.tensor(frames).clamp(max=text - 1), text)
    return strength * at + (1 - strength) * noise / noise.sum(-1, keepdim=True)


def schedules(seed: int) -> tuple[list[int], str]:
    """Places of an utterance of 20 tokens, and what is wrong with it."""
    steady = [n // 3 for n in range(60)]
    return [
        (steady, "nothing"),
        (steady + [18] * 20, "a long tail"),
        (steady + [n // 2 for n in range(30)], "it is said again"),
        (steady[:20] + [18] * 5 + steady[20:], "a leap ahead"),
        ([0] * 30 + steady, "a slow start"),
        (steady[:57] + [4] * 20, "it goes back"),
    ][seed]


def theirs(row, text: int) -> list[tuple[bool, bool]]:
    """The package's analyzer, told this attention as if by its hooks."""
    with package():
        module = importlib.import_module("chatterbox.models.t3.inference.alignment_stream_analyzer")

    class Told(module.AlignmentStreamAnalyzer):
        def _add_attention_spy(self, *args) -> None: ...

    analyzer = Told(None, None, (2, 2 + text), eos_idx=STOP)
    found = []
    for frame, attended in enumerate(row):
        seen = torch.cat((torch.zeros(2), attended))[None]
        if frame == 0:  # the prompt and START twice
            seen = torch.cat((torch.rand(2 + text + 1, 2 + text), seen))
        analyzer.last_aligned_attns = [seen] * 3
        logits = analyzer.step(torch.zeros(1, 8194))[0]
        found.append((bool(logits[STOP] < -1000), bool(logits[STOP] > 1000)))
    return found
