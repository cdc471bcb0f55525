"""Where long sound may be cut so that no word is: in its pauses, else where it is quietest. No model, no state.

All of it works on the levels of frames of 20 ms, found once for the whole sound: 1.4 MB for an hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, Samples

FRAME = HEARD_RATE // 50
"""Samples in a frame (20 ms)."""
PER_S = HEARD_RATE // FRAME
"""Frames a second."""

FLOOR_DB = -66.0
"""Softer than this is silence, whatever is around it."""
RANGE_DB = 35.0
"""A frame this much softer than the loud ones around it is quiet: softer than what speech is made of."""
ROOM_DB = 6.0
"""In a noisy room the noise itself is quiet, and what is at most this much louder ..."""
CONTRAST_DB = 15.0
"""... but never what is within this of the loud frames: there speech and noise cannot be told apart."""
AROUND_S = 60
"""A level is judged by what is within this of it: another speaker, another room may follow."""
SPAN = PER_S // 5
"""Frames over which the quietest place is looked for, and the shortest pause (200 ms)."""

Levels = NDArray[np.float32]
Quiet = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a piece may be, in seconds. It is cut between ``earliest`` and ``latest`` if it is longer than that,
    and wherever a pause lasts ``pause`` or more (None: not for that). At least 0.5 s between each and the next."""

    earliest: float
    latest: float
    pause: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples ``start`` .. ``end`` of the whole. What sounds in it lies in ``first`` .. ``last``; silence is around it.

    ``first == last`` where nothing sounds.
    """

    start: int
    end: int
    first: int
    last: int


def cut(samples: Samples, limits: Limits) -> list[Piece]:
    """``samples`` (n,) at 16 kHz as pieces which follow each other without a gap from 0 to n. [] for n = 0.

    None is longer than ``limits.latest``. The same samples are always cut alike.
    """
    levels = levels_of(samples)
    quiet = quiet_of(levels)
    ends = [0, *_ends(levels, quiet, limits)]
    return [_piece(quiet, start, end, samples.size) for start, end in pairwise(ends)]


def levels_of(samples: Samples) -> Levels:
    """The level of each frame of ``samples`` (n,) in dBFS, (ceil(n / FRAME),); the last frame may be short."""
    minute = 60 * PER_S * FRAME
    parts = [_levels(samples[at : at + minute]) for at in range(0, samples.size, minute)]
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def quiet_of(levels: Levels) -> Quiet:
    """Whether each frame (n,) is silence, by what is loud and what is soft within AROUND_S of it."""
    quiet = np.zeros(levels.size, bool)
    step, around = AROUND_S * PER_S // 2, AROUND_S * PER_S
    for at in range(0, levels.size, step):
        room, loud = np.percentile(levels[max(0, at - around) : at + step + around], (10, 98))
        threshold = max(FLOOR_DB, min(max(room + ROOM_DB, loud - RANGE_DB), loud - CONTRAST_DB))
        quiet[at : at + step] = levels[at : at + step] < threshold
    return quiet


def _levels(samples: Samples) -> Levels:
    whole = samples.size // FRAME * FRAME
    power = np.mean(np.square(samples[:whole].reshape(-1, FRAME), dtype=np.float64), axis=1)
    if whole < samples.size:
        power = np.append(power, np.mean(np.square(samples[whole:], dtype=np.float64)))
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12)), np.float32)


def _ends(levels: Levels, quiet: Quiet, limits: Limits) -> Iterator[int]:
    """The frame before which each piece ends."""
    start = 0
    while start < levels.size:
        latest = start + int(limits.latest * PER_S)
        start = _end(levels[start:latest], quiet[start:latest], latest >= levels.size, limits) + start
        yield start


def _end(levels: Levels, quiet: Quiet, last: bool, limits: Limits) -> int:
    """How many frames the first piece has of these, which are as many as it may have; ``last``: no more follow."""
    runs = _runs(quiet)
    long = int(limits.pause * PER_S) if limits.pause is not None else quiet.size + 1
    for begin, end in runs:
        if end - begin >= long:
            if begin > 0:
                return begin + long // 2
            return end if end == quiet.size else end - SPAN  # silence before the sound is a piece of its own
    if last:
        return quiet.size
    earliest = int(limits.earliest * PER_S)
    pauses = [(end - begin, (begin + end) // 2) for begin, end in runs if end - begin >= SPAN]
    pauses = [(length, middle) for length, middle in pauses if middle >= earliest]
    return max(pauses)[1] if pauses else earliest + _quietest(levels[earliest:])


def _runs(quiet: Quiet) -> list[tuple[int, int]]:
    """The stretches of quiet frames, as (first, one after the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _quietest(levels: Levels) -> int:
    """The middle of the SPAN frames with the least energy."""
    energy = np.concatenate([[0.0], np.cumsum(np.power(10.0, levels.astype(np.float64) / 10.0))])
    return int(np.argmin(energy[SPAN:] - energy[:-SPAN])) + SPAN // 2


def _piece(quiet: Quiet, start: int, end: int, size: int) -> Piece:
    """The piece of the frames ``start`` .. ``end`` of a sound of ``size`` samples."""
    sounds = np.flatnonzero(~quiet[start:end])
    first, last = (start + int(sounds[0]), start + int(sounds[-1]) + 1) if sounds.size else (start, start)
    begin, stop, first, last = (min(size, frame * FRAME) for frame in (start, end, first, last))
    return Piece(begin, stop, first, last)
