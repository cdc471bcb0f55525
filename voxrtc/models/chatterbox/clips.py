"""A clip of a voice: read, cut to what is used of it, and refused where no voice can be made of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples, level_dbfs
from voxrtc.errors import ModelsError

LONGEST_S = 10.0
"""Seconds that are used; what comes after is not."""
SHORTEST_S = 3.0
QUIETEST_DBFS = -45.0
CLIPPED = 0.003
"""Share of samples at full scale from which on a clip is taken for one that was recorded too loud."""
_FULL_SCALE = 0.999


def read(path: Path) -> Samples:
    """The first 10 s of the file at 24 kHz, as check() takes them. Raises ModelsError."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            frames = file.read(int(LONGEST_S * rate), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # soundfile's own errors are RuntimeErrors
        raise ModelsError(f"{path} cannot be read as sound (WAV, FLAC, OGG or MP3)") from error
    return check(frames.mean(axis=1), rate, str(path))


def check(samples: Samples, rate: int, name: str) -> Samples:
    """The first 10 s of ``samples`` (n,) at ``rate`` Hz as (m,) at 24 kHz. Raises ModelsError that says what is wrong
    with ``name``."""
    import soxr

    if not 8_000 <= rate <= 192_000:
        raise ModelsError(f"{name} has {rate} samples a second; 8000 to 192000 can be used")
    samples = samples[: int(LONGEST_S * rate)]
    if not np.isfinite(samples).all():
        raise ModelsError(f"{name} has samples that are no numbers")
    if samples.size < SHORTEST_S * rate:
        raise ModelsError(
            f"{name} is too short: {samples.size / rate:.1f} s, and a voice needs {SHORTEST_S:g} s of speech at least"
        )
    if level_dbfs(samples) < QUIETEST_DBFS:
        raise ModelsError(f"{name} is too quiet: {level_dbfs(samples):.0f} dBFS; record it louder, or raise its level")
    if float(np.mean(np.abs(samples) >= _FULL_SCALE)) > CLIPPED:
        raise ModelsError(f"{name} is clipped: it was recorded too loud; record it with a lower level")
    at_24k: Samples = soxr.resample(samples, rate, SPOKEN_RATE).astype(np.float32)
    return np.clip(at_24k, -1.0, 1.0)
