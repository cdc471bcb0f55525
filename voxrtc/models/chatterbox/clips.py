"""A clip of a voice: read, cut to what is used of it, and refused where no voice can be made of it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, level_dbfs
from voxrtc.errors import BadClip
from voxrtc.models.chatterbox import voiced

LONGEST_S = 10.0
"""Seconds that are used; what comes after is not."""
SHORTEST_S = 3.0
VOICED_S = 1.0
"""Seconds of voiced sounds that there must be: some 2 s of speech."""
QUIETEST_DBFS = -45.0
CLIPPED = 0.003
"""Share of samples at full scale from which on a clip is taken for one that was recorded too loud."""
_FULL_SCALE = 0.999
CHANNELS = 8
"""At the most: a file of a few bytes may announce a thousand."""
FORMATS = ("WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3")
"""As libsndfile calls what is taken."""
THE_CLIP = "the clip"
"""What a clip without a file is called."""


class NotSound(BadClip):
    """A file that is none of FORMATS."""


def read(path: Path) -> Samples:
    """The first 10 s of the file at 24 kHz, as check() takes them. Raises BadClip."""
    return check(*decode(path, str(path)), str(path))


def decode(file: Path | BinaryIO, name: str) -> tuple[Samples, int]:
    """The first 10 s of ``file`` in mono, (n,), and their rate in Hz. Blocks. Raises BadClip that says what is wrong
    with ``name``, NotSound where it is no file of sound."""
    import soundfile

    try:
        with soundfile.SoundFile(file) as sound:
            rate = int(sound.samplerate)
            if sound.format not in FORMATS:
                raise NotSound(f"{name} is {sound.format}; WAV, FLAC, OGG and MP3 are taken")
            _check_rate(rate, name)
            if sound.channels > CHANNELS:
                raise BadClip(f"{name} has {sound.channels} channels; 1 to {CHANNELS} can be used")
            frames = sound.read(int(LONGEST_S * rate), dtype="float32", always_2d=True)
    except (OSError, RuntimeError) as error:  # soundfile's own errors are RuntimeErrors
        raise NotSound(f"{name} cannot be read as sound (WAV, FLAC, OGG or MP3)") from error
    return frames.mean(axis=1), rate


def cut(samples: Samples, rate: int, name: str) -> Samples:
    """What is used of ``samples`` (n,) at ``rate`` Hz: the first 10 s. Raises BadClip."""
    _check_rate(rate, name)
    samples = samples[: int(LONGEST_S * rate)]
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise BadClip(f"{name} has samples that are no numbers")
    return samples


def check(samples: Samples, rate: int, name: str) -> Samples:
    """The first 10 s of ``samples`` (n,) at ``rate`` Hz as (m,) at 24 kHz. Raises BadClip that says what is wrong
    with ``name``."""
    import soxr

    samples = cut(samples, rate, name)
    if samples.size < SHORTEST_S * rate:
        raise BadClip(f"{name} is too short: {samples.size / rate:.1f} s, and a voice needs {SHORTEST_S:g} s at least")
    if level_dbfs(samples) < QUIETEST_DBFS:
        raise BadClip(f"{name} is too quiet: {level_dbfs(samples):.0f} dBFS; record it louder, or raise its level")
    if float(np.mean(np.abs(samples) >= _FULL_SCALE)) > CLIPPED:
        raise BadClip(f"{name} is clipped: it was recorded too loud; record it with a lower level")
    speech = voiced.seconds(soxr.resample(samples, rate, HEARD_RATE))
    if speech < VOICED_S:
        raise BadClip(
            f"{name} has too little speech: {speech:.1f} s of it are a voice's, not counting consonants, and "
            f"{VOICED_S:g} s have to be; silence, noise and tones are none"
        )
    at_24k: Samples = soxr.resample(samples, rate, SPOKEN_RATE).astype(np.float32)
    return np.clip(at_24k, -1.0, 1.0)


def _check_rate(rate: int, name: str) -> None:
    if not 8_000 <= rate <= 192_000:
        raise BadClip(f"{name} has {rate} samples a second; 8000 to 192000 can be used")
