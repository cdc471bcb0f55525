"""A small S3Gen and HiFT with random weights, speech tokens for it, and measures of what it says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from voxrtc.audio import Samples  # noqa: E402 - needs torch
from voxrtc.models.chatterbox.flow_shape import Shape, random_state  # noqa: E402
from voxrtc.models.chatterbox.parts import Chunk, Voice  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner  # noqa: E402

SMALL = Shape(
    hidden=64,
    heads=2,
    inner=128,
    layers=2,
    up_layers=2,
    channels=64,
    blocks=1,
    middles=3,
    attention=128,
    vocoder=64,
    pitch=32,
)
PLAN = SoundPlan(batch=4, reference=30, context=25)
RATE = 24_000


def lively_state(shape: Shape = SMALL) -> dict[str, torch.Tensor]:
    """Random weights whose sound depends on the tokens more than bare random ones' does, and, as a trained one's, on no
    small difference of the spectrogram by much: the estimator and the encoder speak up, the pitch is calm. As in
    speech, there is less and less of it towards high frequencies (8 dB in 1.5 kHz): a click would stand out."""
    state = random_state(shape)
    state["flow.decoder.estimator.final_proj.weight"] *= 3.0
    state["flow.encoder_proj.weight"] *= 3.0
    state["mel2wav.f0_predictor.classifier.weight"] *= 0.3
    state["mel2wav.conv_post.bias"][:9] = -0.9 * torch.arange(9)
    return state


def runner(shape: Shape = SMALL, plan: SoundPlan = PLAN) -> SoundRunner:
    return SoundRunner(lively_state(shape), torch.device("cpu"), torch.float32, plan)


def voice(seed: int = 1, tokens: int = 40) -> Voice:
    generator = torch.Generator().manual_seed(seed)
    return Voice(
        name=f"voice {seed}",
        speaker=torch.zeros(1, 256),
        prompt=torch.zeros(1, 1, dtype=torch.int64),
        tokens=torch.randint(0, 6_561, (1, tokens), generator=generator),
        mel=torch.randn(1, 2 * tokens, 80, generator=generator),
        xvector=torch.randn(1, 192, generator=generator),
    )


def speech(count: int, seed: int = 2) -> list[int]:
    """Speech tokens: as in speech, some stay for two."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.integers(0, 6_561, count), rng.integers(1, 3, count))[:count].tolist()


def streamed(model: SoundRunner, of: Voice, tokens: Sequence[int], cuts: Sequence[int], seed: int = 7) -> list[Samples]:
    """What each chunk gives; ``cuts``: how many tokens there have been with each, the last of them all."""
    stream = model.open(of, seed)
    edges = itertools.pairwise([0, *cuts])
    return [model.sound([Chunk(stream, tokens[at:to], to == len(tokens))])[0] for at, to in edges]


def whole(model: SoundRunner, of: Voice, tokens: Sequence[int], seed: int = 7) -> Samples:
    """All in one pass."""
    assert len(tokens) <= model.plan.limits().most
    return streamed(model, of, tokens, [len(tokens)], seed)[0]


def log_mel(samples: Samples) -> torch.Tensor:
    """(64, frames) dB: a mel spectrogram of windows of 43 ms, every 10 ms."""
    window = torch.hann_window(1_024)
    power = torch.stft(torch.from_numpy(samples), 1_024, 240, window=window, return_complex=True).abs().square()
    top = 2_595 * np.log10(1 + 12_000 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, 66)[:, None] / 2_595) - 1)
    hz = torch.linspace(0, 12_000, 513)
    rising = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    bank = torch.minimum(rising, falling).clamp(min=0)
    return 10 * torch.log10(bank @ power + 1e-7)


def distance_db(a: Samples, b: Samples) -> float:
    """The mean difference of their log-mel spectrograms."""
    return float((log_mel(a) - log_mel(b)).abs().mean())


def roughness(samples: Samples) -> np.ndarray:
    """Of each 2 ms: the largest second difference of samples, which a click makes large, over that of what is around
    (the median of 60 ms)."""
    bent = np.abs(np.diff(samples, 2))
    size = RATE // 500
    peaks = bent[: bent.size // size * size].reshape(-1, size).max(1)
    around = np.array([np.median(peaks[max(0, at - 15) : at + 16]) for at in range(peaks.size)])
    return peaks / np.maximum(around, 1e-5)
