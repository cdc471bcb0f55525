"""What chatterbox-tts makes a voice of (a clip's spectra, codes and embeddings) and resemble-perth's mark; thin."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import checkpoints  # noqa: E402 - needs torch
from tests.models.chatterbox.bare import bare  # noqa: E402
from voxrtc.audio import Samples, from_pcm16, resample  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "austen-0880.wav"
BLOCKS = (12, 24, 16)
"""Layers of CAM++, which are fixed in the package."""
PROMPT = 40
"""Codes of the clip's beginning, as T3 is given them."""
PERTH_WIDE = 8


def clip() -> Samples:
    """(n,) of speech at 16 kHz, about 3 s."""
    return from_pcm16(CLIP.read_bytes()[44:])


def clip_24k() -> Samples:
    return resample(clip(), 16_000, 24_000)


def states() -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the voice encoder, and of S3Gen's tokenizer and CAM++: large enough for what is heard to matter in the end."""
    generator = torch.Generator().manual_seed(1)
    encoder, s3gen = checkpoints.voice_encoder_state(generator), checkpoints.reference_state(generator, BLOCKS)
    for name, weight in s3gen.items():
        if weight.ndim == 1 and name.endswith(".weight"):
            weight += 1.0  # norms
        if name.startswith("tokenizer.quantizer"):
            weight *= 3.0
        if weight.ndim > 1 and name.startswith("speaker_encoder.xvector"):
            weight *= 2.0
    encoder["lstm.weight_ih_l0"] *= 20.0
    return encoder, s3gen


def perth_state() -> dict[str, Any]:
    """Of PerTh's encoder, which adds some decibels."""
    generator = torch.Generator().manual_seed(3)
    wide = PERTH_WIDE
    sizes = [(wide, 128, 1), *[(wide, wide, 7)] * 5, (128, wide, 1)]
    made = {}
    for number, size in enumerate(sizes):
        scale = (size[1] * size[2]) ** -0.5 * (0.02 if size[0] == 128 else 1.5)
        made[f"encoder.layers.{number}.conv.weight"] = scale * torch.randn(size, generator=generator)
        made[f"encoder.layers.{number}.conv.bias"] = 0.1 * scale * torch.randn(size[:1], generator=generator)
    return made


# -- the package --------------------------------------------------------------------------------------------------


@torch.inference_mode()
def made() -> dict[str, Any]:
    """Of ``clip()``: each as the package has it, (frames, bands) the spectra."""
    of_encoder, of_s3gen = states()
    samples = clip()
    speech = torch.from_numpy(samples)[None]
    with bare(("chatterbox", "chatterbox.models", "chatterbox.models.s3gen", "torchaudio"), ("librosa", "s3tokenizer")):
        encoder, codes, speaker = _voice_encoder(of_encoder), _tokenizer(of_s3gen), _campplus(of_s3gen)
        mels = importlib.import_module("chatterbox.models.s3gen.utils.mel")
        voice_mel = importlib.import_module("chatterbox.models.voice_encoder.melspec").melspectrogram
        bank = importlib.import_module("chatterbox.models.s3gen.xvector").extract_feature
        return {
            "sound mel": mels.mel_spectrogram(torch.from_numpy(clip_24k())[None])[0].T,
            "code mel": codes.log_mel_spectrogram(speech)[0].T,
            "speaker mel": torch.from_numpy(voice_mel(samples, encoder.hp)).T,
            "bank": bank(speech)[0][0],
            "codes": codes(speech)[0],
            "prompt": codes.forward([samples], max_len=PROMPT)[0],
            "speaker": torch.from_numpy(encoder.embeds_from_wavs([samples], sample_rate=16_000)),
            "xvector": speaker.inference(speech),
        }


def _voice_encoder(state: dict[str, Any]) -> Any:
    module = importlib.import_module("chatterbox.models.voice_encoder.voice_encoder")
    sizes = module.VoiceEncConfig()
    sizes.ve_hidden_size = state["proj.weight"].shape[1]
    model = module.VoiceEncoder(sizes)
    model.load_state_dict(state)
    return model.eval()


def _tokenizer(state: dict[str, Any]) -> Any:
    module = importlib.import_module("chatterbox.models.s3tokenizer.s3tokenizer")
    thin = module.ModelConfig(n_audio_state=64, n_audio_head=1, n_audio_layer=2)
    whole = module.S3TokenizerV2
    with patch.object(whole, "__init__", functools.partialmethod(whole.__init__, config=thin)):
        model = module.S3Tokenizer()
    own = {name.removeprefix("tokenizer."): one for name, one in state.items() if name.startswith("tokenizer.")}
    lacking = model.load_state_dict(own, strict=False)
    assert set(lacking.missing_keys) <= set(model.ignore_state_dict_missing)
    assert not lacking.unexpected_keys
    return model.eval()


def _campplus(state: dict[str, Any]) -> Any:
    module = importlib.import_module("chatterbox.models.s3gen.xvector")
    with patch.object(module.FCM, "__init__", functools.partialmethod(module.FCM.__init__, m_channels=4)):
        model = module.CAMPPlus(growth_rate=4, init_channels=16, memory_efficient=False)
    own = {n.removeprefix("speaker_encoder."): one for n, one in state.items() if n.startswith("speaker_encoder.")}
    model.load_state_dict(own)
    return model.eval()


@torch.inference_mode()
def perth_mark() -> np.ndarray:
    """(n,) at 24 kHz: by what resemble-perth changes ``clip_24k()``. What resampling to its 32 kHz and back changes is
    not in it."""
    speech = clip_24k()
    with bare(("perth", "perth.perth_net", "torchaudio"), ("librosa",)):
        sys.modules["perth.perth_net"].PREPACKAGED_MODELS_DIR = ""  # type: ignore[attr-defined]
        at = "perth.perth_net.perth_net_implicit"
        config = importlib.import_module(f"{at}.config").default_hp._replace(hidden_size=PERTH_WIDE)
        net = importlib.import_module(f"{at}.model.perth_net").PerthNet(config).eval()
        net.encoder.load_state_dict({n.removeprefix("encoder."): one for n, one in perth_state().items()})
        watermarker = importlib.import_module(f"{at}.perth_watermarker").PerthImplicitWatermarker(None, perth_net=net)
        marked = watermarker.apply_watermark(speech, sample_rate=24_000)
        net.encoder.layers[-1].conv.weight.zero_()
        net.encoder.layers[-1].conv.bias.zero_()
        bare_of_it = watermarker.apply_watermark(speech, sample_rate=24_000)
    return (marked - bare_of_it).astype(np.float32)
