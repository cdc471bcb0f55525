import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from voxrtc.audio import Samples, from_pcm16
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.store import ensure
from voxrtc.settings import Settings

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session")
def clip() -> Callable[[str], Samples]:
    """A recorded clip by its name, 16 kHz."""

    def load(name: str) -> Samples:
        with wave.open(str(DATA / f"{name}.wav")) as file:
            return from_pcm16(file.readframes(file.getnframes()))

    return load


@pytest.fixture(scope="session")
def whisper() -> Whisper:
    return Whisper(ensure("whisper-base", Settings().models.cache_path, lambda what, fraction: None), threads=2)
