from collections.abc import Iterator

import pytest

from voxrtc.models.llm.gguf import Gguf
from voxrtc.models.store import ensure
from voxrtc.settings import Settings

CONTEXT = 512


@pytest.fixture(scope="session")
def gguf() -> Iterator[Gguf]:
    """SmolLM2 with two slots of CONTEXT tokens."""
    folder = ensure("smollm2-135m", Settings().models.cache_path, lambda what, fraction: None)
    model = Gguf(folder / "model.gguf", threads=2, slots=2, context_tokens=CONTEXT)
    yield model
    model.close()
