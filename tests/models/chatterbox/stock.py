"""The modules of chatterbox-tts that make sound, without what its own ``__init__`` imports; thin, for comparison."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

torch = pytest.importorskip("torch")

from voxrtc.models.chatterbox.flow_shape import Shape  # noqa: E402

PACKAGES = ("chatterbox", "chatterbox.models", "chatterbox.models.s3gen")
THIN = Shape(inner=128, layers=1, up_layers=4, channels=64, blocks=1, middles=2, attention=128, vocoder=32, pitch=32)
"""The encoder's width and its four upper layers are fixed in the package."""


@contextlib.contextmanager
def packages() -> Iterator[None]:
    """Within, chatterbox's packages are there with empty ``__init__``; skips where it is not installed."""
    for needed in ("chatterbox", "diffusers", "einops", "conformer", "omegaconf", "scipy"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    found = importlib.util.find_spec("chatterbox")
    assert found is not None
    assert found.submodule_search_locations
    root = Path(found.submodule_search_locations[0])
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "chatterbox"}
    for name in before:
        del sys.modules[name]
    for name in PACKAGES:
        module = types.ModuleType(name)
        module.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "chatterbox"]:
            del sys.modules[name]
        sys.modules.update(before)


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
