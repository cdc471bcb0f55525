"""Fixtures of Voxtral's tests: a tiny checkpoint, and what the public packages make of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    from transformers import VoxtralProcessor

    from voxrtc.models.voxtral.tokens import Tokens

_WHY = "the gpu extra is not installed"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Voxtral (tests.models.voxtral.tiny)."""
    torch = pytest.importorskip("torch", reason=_WHY)
    pytest.importorskip("transformers", reason=_WHY)
    pytest.importorskip("mistral_common", reason=_WHY)
    torch.set_num_threads(1)
    from tests.models.voxtral.tiny import make_checkpoint

    return make_checkpoint(tmp_path_factory.mktemp("voxtral") / "tiny")


@pytest.fixture(scope="session")
def processor(checkpoint: Path) -> VoxtralProcessor:
    """transformers' processor of the tiny checkpoint."""
    from transformers import VoxtralProcessor

    return VoxtralProcessor.from_pretrained(checkpoint)


@pytest.fixture(scope="session")
def mistral(checkpoint: Path) -> MistralTokenizer:
    """mistral-common's own tokenizer of the tiny checkpoint."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    return MistralTokenizer.from_file(checkpoint / "tekken.json")


@pytest.fixture(scope="session")
def tokens(checkpoint: Path) -> Tokens:
    """Our tokenizer of the tiny checkpoint."""
    from voxrtc.models.voxtral.tokens import Tokens

    return Tokens(checkpoint)
