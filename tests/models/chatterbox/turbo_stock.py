"""A thin T3 of Chatterbox Turbo with random weights: what it is asked, and chatterbox-tts's own."""

from __future__ import annotations

import importlib
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import checkpoints, t3_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.t3_stock import Drawing, utterance, voice  # noqa: E402
from voxrtc.models.chatterbox.parts import Manner, Utterance  # noqa: E402

TEXT = 300
_THIN = {"n_embd": 64, "hidden_size": 64, "n_layer": 3, "n_positions": 8_196, "n_ctx": 8_196, "vocab_size": 8}


def state() -> dict[str, Any]:
    return checkpoints.turbo_state(torch.Generator().manual_seed(1), hidden=64, layers=3)


def usual(seed: int, **others: Any) -> Manner:
    """As tts_turbo.py calls it."""
    return Manner(seed=seed, repetition_penalty=1.2, **others)


def asked(seed: int) -> Utterance:
    """In another manner and after another prompt for each ``seed`` of 0..4; the last is greedy."""
    manner = usual(seed, temperature=(0.8, 1.0, 0.5, 1.2, 0.0)[seed])
    return utterance(seed, manner, of=voice(seed, prompt=375 - 50 * seed))


class Turbo:
    """chatterbox's, thin and with random weights."""

    def __init__(self) -> None:
        with t3_stock.package():
            configs = importlib.import_module("chatterbox.models.t3.llama_configs").LLAMA_CONFIGS
            config = importlib.import_module("chatterbox.models.t3.modules.t3_config").T3Config(
                text_tokens_dict_size=TEXT
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
        with patch.dict(configs["GPT2_medium"], _THIN):
            self.model = self._t3.T3(config).eval()
        lacking = self.model.load_state_dict(state(), strict=False)
        assert set(lacking.missing_keys) <= {"text_head.weight", "tfmr.wte.weight"}
        assert not lacking.unexpected_keys

    def condition(self, what: Utterance) -> Any:
        """Its T3Cond."""
        return self.conditions(speaker_emb=what.voice.speaker, cond_prompt_speech_tokens=what.voice.prompt)

    def said(self, what: Utterance) -> list[int]:
        """What the package says; where it is greedy, the likeliest of those it would draw from, as they are."""
        drawing = Drawing(what.manner.seed) if what.manner.temperature else _likeliest
        with (
            patch.object(torch, "multinomial", drawing),
            patch.object(self._t3, "tqdm", lambda steps: steps),
        ):
            tokens = self.model.inference_turbo(
                self.condition(what),
                torch.tensor([list(what.text)]),
                temperature=what.manner.temperature,
                repetition_penalty=what.manner.repetition_penalty,
                max_gen_len=what.most - 1,
            )
        return tokens[0].tolist()


def _likeliest(probabilities: Any, num_samples: int) -> Any:
    return probabilities.argmax(-1, keepdim=True)
