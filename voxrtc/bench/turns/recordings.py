"""The recorded voices that the scenes are made of: each with its words, and where its speech begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.clip import ABOVE_FLOOR_DB, BELOW_LOUD_DB, SUFFIXES, speech_bounds
from voxrtc.errors import AudioError
from voxrtc.sources import Guard, read

LONGEST_S = 900.0
LEAST_S = 0.5
WINDOW = HEARD_RATE * 10 // 1000
STEP = HEARD_RATE // 1000


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One utterance: ``samples`` (n,) at 16 kHz, in which somebody says ``words``.

    ``onset``, ``end``: the first sample of speech and the one after the last, by level (``onset_of``, bench.clip).
    """

    name: str
    words: str
    samples: Samples
    onset: int
    end: int

    @property
    def speech(self) -> Samples:
        """The samples from ``onset`` to ``end``."""
        return self.samples[self.onset : self.end]

    @classmethod
    def of(cls, name: str, words: str, samples: Samples) -> Recording:
        """Raises ValueError where nothing in ``samples`` stands out as speech."""
        bounds = speech_bounds(samples)
        if bounds is None:
            raise ValueError("nothing in it is loud enough to be speech")
        return cls(name, words, samples, onset_of(samples), min(samples.size, round(bounds[1] * HEARD_RATE)))


def recordings(folder: Path | None = None) -> list[Recording]:
    """The recordings of tests/data, by name, with those of ``folder`` added, or put in the place of their namesakes.

    In a folder each NAME.wav (or another audio file) needs its words in NAME.txt. Raises AudioError.
    """
    found: dict[str, Recording] = {}
    shipped = Path(__file__).resolve().parents[3] / "tests" / "data"
    if shipped.is_dir():
        found |= _folder(shipped)
    if folder is not None:
        found |= _folder(folder)
    if not found:
        raise AudioError("there are no recordings here (tests/data is not beside the package); name some with --audio")
    return [found[name] for name in sorted(found)]


def onset_of(samples: Samples) -> int:
    """The first sample of the first 10 ms of ``samples`` (n,) at 16 kHz whose level is that of speech.

    That is: over max(noise floor + 10 dB, loud parts - 22 dB), as in bench.clip, but looked at every millisecond.
    """
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    if power.size <= WINDOW:
        return 0
    levels = 10 * np.log10(np.maximum((power[WINDOW:] - power[:-WINDOW])[::STEP] / WINDOW, 1e-12))
    floor, loud = (float(np.percentile(levels, q)) for q in (10, 95))
    over = np.flatnonzero(levels > max(min(floor + ABOVE_FLOOR_DB, loud - 3), loud - BELOW_LOUD_DB))
    return int(over[0]) * STEP


def _folder(folder: Path) -> dict[str, Recording]:
    if not folder.is_dir():
        raise AudioError(f"{folder}: there is no such folder")
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise AudioError(f"{folder}: holds no audio ({', '.join(SUFFIXES)})")
    return {file.stem: _recording(file) for file in files}


def _recording(file: Path) -> Recording:
    samples = read(file, Guard(max_seconds=LONGEST_S))
    if samples.size < LEAST_S * HEARD_RATE:
        raise AudioError(f"{file}: shorter than {LEAST_S:g} s")
    try:
        return Recording.of(file.stem, _words(file.with_suffix(".txt")), samples)
    except ValueError as error:
        raise AudioError(f"{file}: {error}") from None


def _words(file: Path) -> str:
    """The words beside a recording, on one line. Raises AudioError."""
    try:
        words = " ".join(file.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        raise AudioError(f"{file}: there is no such file; it has to hold the words of the recording") from None
    except (OSError, UnicodeDecodeError) as error:
        raise AudioError(f"{file}: cannot be read: {error}") from None
    if not words:
        raise AudioError(f"{file}: holds no words")
    return words
