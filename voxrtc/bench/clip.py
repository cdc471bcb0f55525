"""A clip that a caller plays: its samples, where its speech begins and ends, and the Opus packets it is sent as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.client.packets import encode
from voxrtc.errors import AudioError
from voxrtc.sources import Guard, read

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm")
ABOVE_FLOOR_DB = 10.0
BELOW_LOUD_DB = 22.0
WINDOW = HEARD_RATE * 30 // 1000
STEP = HEARD_RATE * 10 // 1000


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One utterance. ``speech_start`` and ``speech_end`` are seconds from its first sample; ``packets``: 20 ms each."""

    name: str
    seconds: float
    words: str | None
    speech_start: float
    speech_end: float
    packets: Sequence[bytes]

    @classmethod
    def of(cls, name: str, samples: Samples, words: str | None = None, loss_percent: int = 0) -> Clip:
        """The clip of ``samples`` (n,) at 16 kHz; where nothing stands out of the noise, all of it counts as speech.

        ``loss_percent``: as for ``encode``.
        """
        seconds = samples.size / HEARD_RATE
        start, end = speech_bounds(samples) or (0.0, seconds)
        return cls(name, seconds, words, start, end, encode(samples, loss_percent))


def load_clips(folder: Path) -> list[Clip]:
    """The clips of ``folder`` by name, each with the words of the NAME.txt beside it where there is one.

    Raises AudioError where the folder holds none, or one that cannot be read.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder}: there is no such folder")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise AudioError(f"{folder}: holds no audio ({', '.join(SUFFIXES)})")
    return [load_clip(file) for file in files]


def load_clip(file: Path, loss_percent: int = 0) -> Clip:
    """The clip in ``file``; ``loss_percent`` as for ``encode``. Raises AudioError."""
    text = file.with_suffix(".txt")
    words = " ".join(text.read_text(encoding="utf-8").split()) if text.is_file() else None
    return Clip.of(file.stem, read(file, Guard(max_seconds=900.0)), words, loss_percent)


def speech_bounds(samples: Samples) -> tuple[float, float] | None:
    """Where speech begins and ends in ``samples`` (n,) at 16 kHz, in seconds; None where there is none.

    The end is the end of the last 30 ms that lie over max(noise floor + 10 dB, loud parts - 22 dB), looked at in
    steps of 10 ms. Noise floor and loud parts are the 10th and the 95th percentile of the levels.
    """
    levels = _levels(samples)
    if not levels.size:
        return None
    floor, loud = (float(np.percentile(levels, q)) for q in (10, 95))
    if loud < -60.0:
        return None
    if loud - floor < ABOVE_FLOOR_DB:  # no pause anywhere: one long sound
        return 0.0, samples.size / HEARD_RATE
    over = np.flatnonzero(levels > max(floor + ABOVE_FLOOR_DB, loud - BELOW_LOUD_DB))
    return int(over[0]) * STEP / HEARD_RATE, (int(over[-1]) * STEP + WINDOW) / HEARD_RATE


def _levels(samples: Samples) -> NDArray[np.float64]:
    """RMS in dBFS of each 30 ms window, in steps of 10 ms."""
    if samples.size < WINDOW:
        return np.empty(0)
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::STEP]
    power = np.mean(np.square(windows, dtype=np.float64), axis=1)
    decibels: NDArray[np.float64] = 10.0 * np.log10(np.maximum(power, 1e-12))
    return decibels
