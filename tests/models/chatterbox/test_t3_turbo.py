"""Turbo, the T3 on a GPT-2, against chatterbox's own."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import t3_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.t3_stock import CPU, PLAN, Drawing, said, utterance, voice  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox import t3_conditioning, t3_weights  # noqa: E402
from voxrtc.models.chatterbox.parts import STOP, Manner, Utterance  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_weights import assemble  # noqa: E402
from voxrtc.models.gpu.llama import TextShape  # noqa: E402

_THIN = {"n_embd": 64, "hidden_size": 64, "n_layer": 3, "n_positions": 700, "n_ctx": 700, "vocab_size": 8}


def usual(seed: int, **others: Any) -> Manner:
    """As tts_turbo.py calls it."""
    return Manner(seed=seed, repetition_penalty=1.2, **others)


class Turbo:
    """chatterbox's, thin and with random weights."""

    def __init__(self) -> None:
        with t3_stock.package():
            configs = importlib.import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS
            config = importlib.import_module("chatterbox.models.t3.modules.t3_config").T3Config(
                text_tokens_dict_size=800
            )
            self._t3 = importlib.import_module("chatterbox.models.t3.t3")
            self.conditions = importlib.import_module("chatterbox.models.t3.modules.cond_enc").T3Cond
        # As tts_turbo.py has it.
        config.llama_config_name = "GPT2_medium"
        config.speech_tokens_dict_size = 6563
        config.input_pos_emb = None
        config.speech_cond_prompt_len = 375
        config.use_perceiver_resampler = False
        config.emotion_adv = False
        generator = torch.Generator().manual_seed(1)
        with patch.dict(configs["GPT2_medium"], _THIN):
            self.model = self._t3.T3(config).eval()
        for weight in self.model.parameters():
            weight.data.normal_(0.0, 0.15, generator=generator)

    def said(self, what: Utterance) -> list[int]:
        conditions = self.conditions(speaker_emb=what.voice.speaker, cond_prompt_speech_tokens=what.voice.prompt)
        with (
            patch.object(torch, "multinomial", Drawing(what.manner.seed)),
            patch.object(self._t3, "tqdm", lambda steps: steps),
        ):
            tokens = self.model.inference_turbo(
                conditions,
                torch.tensor([list(what.text)]),
                temperature=what.manner.temperature,
                repetition_penalty=what.manner.repetition_penalty,
                max_gen_len=what.most - 1,
            )
        return tokens[0].tolist()


@pytest.fixture(scope="module")
def stock() -> Turbo:
    return Turbo()


@pytest.fixture(scope="module")
def model(stock: Turbo) -> T3:
    made = assemble(stock.model.state_dict(), CPU, torch.float32)
    assert made.turbo
    assert not made.multilingual
    return t3_stock.t3(made, plan=PLAN)


@pytest.mark.parametrize("seed", range(4))
def test_40_tokens_are_the_packages(model: T3, stock: Turbo, seed: int) -> None:
    what = utterance(seed, usual(seed, temperature=(0.8, 1.0, 0.5, 1.2)[seed]), of=voice(seed, prompt=375 - 50 * seed))
    tokens = [token for token in said(model, seed, what) if token != STOP]
    assert tokens == stock.said(what)
    assert len(set(tokens)) > 20


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
