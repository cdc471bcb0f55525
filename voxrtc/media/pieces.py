"""What is queued to be played, cut into packets of 20 ms, each with whose samples are in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from voxrtc.audio import SPOKEN_BLOCK, Mark, Recording, Samples

Taken: TypeAlias = tuple[Samples, list[tuple[Mark, int]]]
"""One packet's samples (SPOKEN_BLOCK,) and how many of them belong to which mark."""


@dataclass(slots=True)
class Piece:
    """What is left to play of one ``play()``."""

    samples: Samples
    mark: Mark
    recording: Recording | None = None
    """Whose samples these are, as long as none has left."""


def take(pieces: deque[Piece]) -> Taken:
    """The next 20 ms of ``pieces``, which get shorter by them; filled up with silence at their end."""
    block = np.zeros(SPOKEN_BLOCK, dtype=np.float32)
    whose: list[tuple[Mark, int]] = []
    filled = 0
    while pieces and filled < SPOKEN_BLOCK:
        piece = pieces[0]
        piece.recording = None
        count = min(piece.samples.size, SPOKEN_BLOCK - filled)
        block[filled : filled + count] = piece.samples[:count]
        piece.samples = piece.samples[count:]
        if not piece.samples.size:
            pieces.popleft()
        whose.append((piece.mark, count))
        filled += count
    return block, whose


def harmless(samples: Samples) -> Samples:
    """``samples`` (n,) in [-1, 1]; what is no number is silence."""
    if samples.max() <= 1.0 and samples.min() >= -1.0:  # both false of what is no number
        return samples
    return np.clip(np.nan_to_num(samples), -1.0, 1.0)
