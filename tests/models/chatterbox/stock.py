"""The modules of chatterbox-tts that make sound, without what its own ``__init__`` imports; thin, for comparison."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch")

from tests.models.chatterbox.bare import bare  # noqa: E402
from voxrtc.models.chatterbox.flow import frame_noise  # noqa: E402
from voxrtc.models.chatterbox.flow_shape import Shape  # noqa: E402
from voxrtc.models.chatterbox.vocoder_source import Randomness, randomness  # noqa: E402

PACKAGES = ("chatterbox", "chatterbox.models", "chatterbox.models.s3gen")
THIN = Shape(inner=128, layers=1, up_layers=4, channels=64, blocks=1, middles=2, attention=128, vocoder=32, pitch=32)
"""The encoder's width and its four upper layers are fixed in the package."""
REFERENCE, TOKENS = 12, 15
NOISE_SEED = 3


def reference() -> tuple[Any, Any, Any]:
    """Tokens (1, REFERENCE), mel and x-vector of a voice."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 6_561, (1, REFERENCE), generator=generator)
    mel = torch.randn(1, 2 * REFERENCE, 80, generator=generator)
    return tokens, mel, torch.randn(1, 192, generator=generator)


def speech() -> Any:
    """(1, TOKENS)"""
    return torch.randint(0, 6_561, (1, TOKENS), generator=torch.Generator().manual_seed(2))


def speech_noise() -> Any:
    """(1, frames, 80) that ``speech()`` after ``reference()`` is made from."""
    return frame_noise(torch.tensor([NOISE_SEED]), torch.arange(2 * (REFERENCE + TOKENS))[None] - 2 * REFERENCE)


def spectrogram() -> Any:
    """(1, 80, 23) for the vocoder."""
    return torch.randn(1, 80, 23, generator=torch.Generator().manual_seed(4))


def spectrogram_noise() -> Randomness:
    return randomness(torch.tensor([5]), torch.tensor([0]), 23)


def packages() -> contextlib.AbstractContextManager[None]:
    """Within, chatterbox's packages are there with empty ``__init__``; skips where it is not installed."""
    return bare(PACKAGES, ("diffusers", "einops", "conformer", "omegaconf", "scipy"))


def stock(state: dict[str, Any], shape: Shape) -> Any:
    """A module with the package's ``flow`` and ``mel2wav`` of ``shape``, with the tensors of ``state``."""
    with packages():
        from chatterbox.models.s3gen.configs import CFM_PARAMS
        from chatterbox.models.s3gen.decoder import ConditionalDecoder
        from chatterbox.models.s3gen.f0_predictor import ConvRNNF0Predictor
        from chatterbox.models.s3gen.flow import CausalMaskedDiffWithXvec
        from chatterbox.models.s3gen.flow_matching import CausalConditionalCFM
        from chatterbox.models.s3gen.hifigan import HiFTGenerator
        from chatterbox.models.s3gen.transformer.upsample_encoder import UpsampleConformerEncoder

        encoder = UpsampleConformerEncoder(
            linear_units=shape.inner, num_blocks=shape.layers, pos_enc_layer_type="rel_pos_espnet"
        )
        estimator = ConditionalDecoder(
            channels=[shape.channels],
            n_blocks=shape.blocks,
            num_mid_blocks=shape.middles,
            num_heads=shape.attention // 64,
            meanflow=shape.meanflow,
        )
        decoder = CausalConditionalCFM(spk_emb_dim=80, cfm_params=CFM_PARAMS, estimator=estimator)
        model = torch.nn.Module()
        model.flow = CausalMaskedDiffWithXvec(encoder=encoder, decoder=decoder)
        model.mel2wav = HiFTGenerator(
            sampling_rate=24_000,
            base_channels=shape.vocoder,
            upsample_rates=[8, 5, 3],
            upsample_kernel_sizes=[16, 11, 7],
            source_resblock_kernel_sizes=[7, 7, 11],
            source_resblock_dilation_sizes=[[1, 3, 5]] * 3,
            f0_predictor=ConvRNNF0Predictor(cond_channels=shape.pitch),
        )
        model.load_state_dict(state)
        return model.eval()


def stock_mel(model: Any, tokens: Any, reference: tuple[Any, Any, Any], noise: Any, meanflow: bool = False) -> Any:
    """(1, 80, frames) of ``tokens`` (1, n) after a reference of tokens, mel and x-vector, from ``noise``
    (1, reference and own frames, 80)."""
    before, mel, xvector = reference
    with patch.object(torch, "randn_like", lambda like: noise.transpose(1, 2).clone()):
        made, _ = model.flow.inference(
            token=tokens,
            token_len=torch.tensor([tokens.shape[1]]),
            prompt_token=before,
            prompt_token_len=torch.tensor([before.shape[1]]),
            prompt_feat=mel,
            prompt_feat_len=None,
            embedding=xvector,
            finalize=True,
            n_timesteps=2 if meanflow else 10,
            meanflow=meanflow,
        )
    return made


def stock_sound(model: Any, mel: Any, phases: Any, noise: Any) -> Any:
    """(1, samples) of ``mel`` (1, 80, frames) with ``phases`` (1, 9) and ``noise`` (1, samples, 9) for its source."""

    class Uniform:
        def __init__(self, low: float, high: float) -> None: ...

        def sample(self, sample_shape: Any) -> Any:
            return phases.clone()[..., None]

    def noisy(like: Any) -> Any:
        return noise.transpose(1, 2) if like.shape[1] == noise.shape[-1] else torch.zeros_like(like)

    scope = type(model.mel2wav.m_source.l_sin_gen).forward.__wrapped__.__globals__
    with patch.dict(scope, {"Uniform": Uniform}), patch.object(torch, "randn_like", noisy):
        made, _ = model.mel2wav.inference(speech_feat=mel)
    return made
