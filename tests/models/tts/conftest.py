from collections.abc import Callable

import numpy as np
import pytest

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, resample
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.store import ensure
from voxrtc.settings import Settings


@pytest.fixture(scope="session")
def transcribe() -> Callable[[Samples], str]:
    """What whisper hears in English speech at 24 kHz."""
    folder = ensure("whisper-base", Settings().models.cache_path, lambda what, fraction: None)
    whisper = Whisper(folder, threads=2)
    return lambda samples: whisper.hear(resample(np.asarray(samples), SPOKEN_RATE, HEARD_RATE), "en").text
