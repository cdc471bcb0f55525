"""Turbo, the T3 on a GPT-2, against what chatterbox's own gave (golden.py)."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import golden, t3_stock, turbo_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.t3_stock import CPU, PLAN, said, utterance, voice  # noqa: E402
from tests.models.chatterbox.turbo_stock import usual  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox import t3_conditioning, t3_weights  # noqa: E402
from voxrtc.models.chatterbox.parts import STOP  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_weights import T3Weights, assemble  # noqa: E402
from voxrtc.models.gpu.llama import TextShape  # noqa: E402


@pytest.fixture(scope="module")
def theirs() -> golden.Figures:
    """What the package's T3 gives."""
    figures = golden.kept("turbo")
    golden.same_weights(figures, turbo_stock.state())
    return figures


@pytest.fixture(scope="module")
def weights() -> T3Weights:
    made = assemble(turbo_stock.state(), CPU, torch.float32)
    assert made.turbo
    assert not made.multilingual
    return made


@pytest.fixture(scope="module")
def model(weights: T3Weights) -> T3:
    return t3_stock.t3(weights, plan=PLAN)


@pytest.mark.parametrize("seed", range(5))
def test_40_tokens_are_the_packages(model: T3, theirs: golden.Figures, seed: int) -> None:
    tokens = [token for token in said(model, seed, turbo_stock.asked(seed)) if token != STOP]
    assert tokens == theirs[f"tokens {seed}"].tolist()
    assert len(set(tokens)) > 20


def test_the_conditioning_is_the_packages(weights: T3Weights, theirs: golden.Figures) -> None:
    made = t3_conditioning.Conditioning(weights)(turbo_stock.asked(1).voice, 0.5)
    torch.testing.assert_close(made[::16], torch.from_numpy(theirs["conditioning"]), atol=2e-5, rtol=1e-5)


def test_many_at_once(model: T3) -> None:
    whats = [utterance(n, usual(n), count=4 + 5 * n, of=voice(n, prompt=100 + 20 * n), most=10) for n in range(6)]
    alone = [said(model, 0, what) for what in whats]
    for row, what in enumerate(whats):
        model.begin(row, what)
    together = [model.step(range(6)) for _ in range(10)]
    assert [list(tokens) for tokens in zip(*together, strict=True)] == alone


def test_a_prompt_that_is_too_long(model: T3) -> None:
    with pytest.raises(ModelsError, match="voice 1"):
        model.begin(0, utterance(1, of=voice(1, prompt=376)))


def test_moods_make_no_more_of_a_voice() -> None:
    """Turbo has none; each voice is kept once, and another one of the same name for itself."""
    part = {"spkr_enc.weight": torch.randn(8, 256), "spkr_enc.bias": torch.zeros(8)}
    backbone = t3_weights.Gpt2Weights([], torch.ones(8), torch.zeros(8), torch.zeros(4, 8))
    shape = TextShape(8, 0, 16, 16, 1, 6_563, 1e4, 1e-5)
    head = torch.nn.Linear(8, 6_563)
    weights = t3_weights.T3Weights(shape, backbone, torch.randn(10, 8), torch.randn(6_563, 8), None, None, head, part)
    conditioning = t3_conditioning.Conditioning(weights)
    one, two = voice(1), dataclasses.replace(voice(2), name="voice 1")
    first = conditioning(one, 0.5)
    assert conditioning(one, 0.8) is first
    assert not torch.equal(conditioning(two, 0.5), first)
    assert len(conditioning._kept) == 2
