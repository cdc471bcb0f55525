"""From text to samples: a thin multilingual Chatterbox with random weights, and chatterbox-tts's own ``generate``."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import checkpoints, t3_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.bare import bare  # noqa: E402
from tests.models.chatterbox.sounding import lively_state  # noqa: E402
from tests.models.chatterbox.stock import THIN, reference  # noqa: E402
from tests.models.chatterbox.t3_stock import GREEDY, MULTILINGUAL, Stock, voice  # noqa: E402
from voxrtc.models.chatterbox.flow import frame_noise  # noqa: E402
from voxrtc.models.chatterbox.parts import CODES, Voice  # noqa: E402
from voxrtc.models.chatterbox.vocoder_source import randomness  # noqa: E402

TEXTS = {
    "en": "what is the time: now…",
    "fr": "Où est l'été ? — « là »",
    "de": "Grüße; schöne - “so”: Grüße…",
    "ko": "안녕하세요",
    "es": "¿Qué tal?  ‘Bien’ – so ,",
}
SPOKEN = "en"
MOST = 32
"""Speech tokens: 1.28 s."""
NOISE_SEED = GREEDY.seed


def speaker() -> Voice:
    tokens, mel, xvector = reference()
    of_t3 = voice(1)
    return Voice("whole", of_t3.speaker, of_t3.prompt, tokens, mel, xvector)


def t3_state() -> dict[str, Any]:
    """One that says nothing that is no sound: what generate() does with that would fail."""
    made = dict(t3_stock.state(MULTILINGUAL))
    made["speech_head.weight"] = made["speech_head.weight"].clone()
    made["speech_head.weight"][CODES:] = 0.0
    return made


def sound_state() -> dict[str, Any]:
    return lively_state(THIN)


# -- the package --------------------------------------------------------------------------------------------------


def said(folder: Path) -> dict[str, Any]:
    """``ids`` of each of TEXTS, and of SPOKEN the speech ``tokens`` and the ``sound`` (samples,) at 24 kHz. ``folder``
    is for the vocabulary."""
    t3 = Stock(MULTILINGUAL)
    t3.model.load_state_dict(t3_state(), strict=False)
    told: list[Any] = []
    with bare(("chatterbox", "torchaudio"), ("librosa", "perth", "s3tokenizer", "diffusers", "omegaconf")):
        package = importlib.import_module("chatterbox.mtl_tts")
        tokenizer = _tokenizer(folder)
        sound = _sound()
        with patch.object(package.perth, "PerthImplicitWatermarker", package.perth.DummyWatermarker):
            tts = package.ChatterboxMultilingualTTS(t3.model, sound, None, tokenizer, "cpu", _conditionals(package, t3))
        # generate() does not stop such weights for 40 s.
        short = _wrapped(t3.model.inference, told, max_new_tokens=MOST)
        t3.begin()
        with patch.object(t3.model, "inference", short), t3.drawing(0), _own_noise(sound):
            made = tts.generate(TEXTS[SPOKEN], SPOKEN, temperature=1e-6)
        ids = {code: tokenizer.text_to_tokens(package.punc_norm(text), code)[0] for code, text in TEXTS.items()}
    return {"tokens": told[0][0], "sound": made[0], **{f"ids {code}": one for code, one in ids.items()}}


def _wrapped(function: Callable[..., Any], told: list[Any], **others: Any) -> Callable[..., Any]:
    def call(**given: Any) -> Any:
        told.append(function(**{**given, **others}))
        return told[-1]

    return call


def _tokenizer(folder: Path) -> Any:
    module = importlib.import_module("chatterbox.models.tokenizers.tokenizer")
    path = folder / "vocabulary.json"
    checkpoints.vocabulary(path)
    with patch.object(module, "ChineseCangjieConverter", lambda folder: None):  # it would fetch its table
        return module.MTLTokenizer(str(path))


def _conditionals(package: Any, t3: Stock) -> Any:
    of = speaker()
    mood = GREEDY.exaggeration * torch.ones(1, 1, 1)
    conditions = t3.conditions(speaker_emb=of.speaker, cond_prompt_speech_tokens=of.prompt, emotion_adv=mood)
    gen = {
        "prompt_token": of.tokens,
        "prompt_token_len": torch.tensor([of.tokens.shape[1]]),
        "prompt_feat": of.mel,
        "prompt_feat_len": None,
        "embedding": of.xvector,
    }
    return package.Conditionals(conditions, gen)


def _sound() -> Any:
    """The package's S3Token2Wav of ``sound_state()``, without what makes voices."""
    module = importlib.import_module("chatterbox.models.s3gen.s3gen")

    def thin(name: str, **sizes: Any) -> Any:
        whole = getattr(module, name)
        return patch.object(module, name, lambda **given: whole(**{**given, **sizes}))

    with (
        thin("UpsampleConformerEncoder", linear_units=THIN.inner, num_blocks=THIN.layers),
        thin(
            "ConditionalDecoder",
            channels=[THIN.channels],
            n_blocks=THIN.blocks,
            num_mid_blocks=THIN.middles,
            num_heads=THIN.attention // 64,
        ),
        thin("HiFTGenerator", base_channels=THIN.vocoder),
        thin("ConvRNNF0Predictor", cond_channels=THIN.pitch),
        patch.object(module, "S3Tokenizer", lambda name: torch.nn.Linear(1, 1)),
        patch.object(module, "CAMPPlus", lambda **given: torch.nn.Identity()),
    ):
        model = module.S3Token2Wav()
    lacking = model.load_state_dict(sound_state(), strict=False)
    assert {name.split(".")[0] for name in lacking.missing_keys} <= {"tokenizer"}
    assert not lacking.unexpected_keys
    return model.eval()


@contextlib.contextmanager
def _own_noise(model: Any) -> Iterator[None]:
    """Within, the flow and the vocoder's source draw our noise of NOISE_SEED."""
    seed, first = torch.tensor([NOISE_SEED]), torch.tensor([0])
    before = 2 * speaker().tokens.shape[1]
    scope = type(model.mel2wav.m_source.l_sin_gen).forward.__wrapped__.__globals__

    class Uniform:
        def __init__(self, low: float, high: float) -> None: ...

        def sample(self, sample_shape: Any) -> Any:
            return randomness(seed, first, 1).phases.clone()[..., None]

    def noisy(like: Any) -> Any:
        if like.shape[1] == 80:
            return frame_noise(seed, torch.arange(like.shape[2])[None] - before).transpose(1, 2).clone()
        if like.shape[1] == 9:
            return randomness(seed, first, like.shape[2] // 480).noise.transpose(1, 2)
        return torch.zeros_like(like)

    with patch.object(torch, "randn_like", noisy), patch.dict(scope, {"Uniform": Uniform}):
        yield
