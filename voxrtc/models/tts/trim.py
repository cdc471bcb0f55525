"""What surrounds a voice: engines pad their speech with silence, which a caller hears as hesitation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import SPOKEN_RATE, Samples

FRAME = SPOKEN_RATE * 5 // 1000
"""Samples over which loudness is taken (5 ms)."""
THRESHOLD_DBFS = -45.0
BEFORE = SPOKEN_RATE * 10 // 1000
AFTER = SPOKEN_RATE * 30 // 1000
"""Samples kept around what is louder: the soft start of an s, the end of a breath."""
FADE_IN = SPOKEN_RATE * 4 // 1000
FADE_OUT = SPOKEN_RATE * 12 // 1000

PAUSES_MS = {",": 80, ";": 120, ":": 120, "—": 120, "–": 120, ".": 180, "!": 180, "?": 180, "…": 180}
"""Silence after a clause that ends so. Signs of other scripts stand for these, see pause()."""
_STANDS_FOR = str.maketrans("、，；：。！？।؟", ",,;:.!?.?")
_CLOSING = " \t\n\"'”’)]»"


def trim(samples: Samples, threshold_dbfs: float = THRESHOLD_DBFS) -> Samples:
    """``samples`` (n,) at 24 kHz without the quiet at both ends, faded so that nothing clicks; (0,) if all is quiet."""
    frames = samples[: samples.size // FRAME * FRAME].reshape(-1, FRAME)
    loud = np.flatnonzero(np.sqrt(np.mean(np.square(frames), axis=1)) > 10.0 ** (threshold_dbfs / 20.0))
    if not loud.size:
        return samples[:0]
    start = max(0, int(loud[0]) * FRAME - BEFORE)
    end = min(samples.size, (int(loud[-1]) + 1) * FRAME + AFTER)
    kept = samples[start:end].copy()
    fade_in, fade_out = min(FADE_IN, kept.size), min(FADE_OUT, kept.size)
    kept[:fade_in] *= _ramp(fade_in)
    kept[kept.size - fade_out :] *= _ramp(fade_out)[::-1]
    return kept


class Trimmer:
    """trim(), of speech that comes piece by piece: quiet is kept back until it is known that more follows it."""

    def __init__(self, threshold_dbfs: float = THRESHOLD_DBFS) -> None:
        self._threshold = 10.0 ** (threshold_dbfs / 20.0)
        self._kept: Samples = np.zeros(0, np.float32)
        """Not given yet; it begins with the quiet after what was given."""
        self._begun = False

    def feed(self, samples: Samples) -> Samples:
        """More speech, (n,) at 24 kHz; returns what may be heard by now."""
        self._kept = np.concatenate([self._kept, samples])
        loud = self._loud()
        if not loud.size:
            self._kept = self._kept if self._begun else self._kept[max(0, self._kept.size - BEFORE - FRAME) :]
            return self._kept[:0]
        start = 0 if self._begun else max(0, int(loud[0]) * FRAME - BEFORE)
        end = (int(loud[-1]) + 1) * FRAME
        given, self._kept = self._kept[start:end].copy(), self._kept[end:]
        if not self._begun:
            given[:FADE_IN] *= _ramp(FADE_IN)[: given.size]
            self._begun = True
        return given

    def end(self) -> Samples:
        """What is left of the end: its breath, faded out."""
        if not self._begun:
            return self._kept[:0]
        left = self._kept[:AFTER].copy()
        fade = min(FADE_OUT, left.size)
        left[left.size - fade :] *= _ramp(fade)[::-1]
        return left

    def _loud(self) -> NDArray[np.intp]:
        """The whole frames, of those kept, that are louder than the threshold."""
        frames = self._kept[: self._kept.size // FRAME * FRAME].reshape(-1, FRAME)
        return np.flatnonzero(np.sqrt(np.mean(np.square(frames), axis=1)) > self._threshold)


def pause(text: str) -> Samples:
    """The silence, at 24 kHz, that the punctuation at the end of ``text`` asks for."""
    last = text.rstrip(_CLOSING)[-1:].translate(_STANDS_FOR)
    return np.zeros(SPOKEN_RATE * PAUSES_MS.get(last, 0) // 1000, np.float32)


def _ramp(size: int) -> Samples:
    """Half a raised cosine from 0 up to 1."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(size) / max(1, size))).astype(np.float32)
