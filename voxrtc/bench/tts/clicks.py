"""Clicks at the joints of streamed sound.

A joint that is not smooth is a sample that those before it did not announce. So the sound around it is predicted
linearly (autocorrelation method; Godsill and Rayner, Digital Audio Restoration, 1998, chapter 5), and what the
prediction misses at the joint is compared with the most that it misses within 25 ms on either side: a pulse of the
glottis or the burst of a plosive is not foreseen either, but it is not alone.

In recorded speech one place of a thousand is taken for a click, and at least nine of ten steps as large as a tenth of
its peak are found where they were put; in a voice with pulses as sharp as hibari's two of three.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import SPOKEN_RATE, Samples

ORDER = 32
"""Of the prediction, at 24 kHz."""
AROUND = SPOKEN_RATE * 25 // 1000
"""Samples on either side of a joint that it is compared with."""
GUARD = 32
"""Samples around the joint that are not: a click rings in the residual for as long as the prediction looks back."""
NEAR = 2
"""Samples on either side of a joint that belong to it."""
LIMIT = 1.2
"""A click sticks out by so much."""
FAINT = 1e-3
"""A step of -60 dBFS and less is not told, in however deep a silence."""


def clicks(sound: Samples, joints: Sequence[int]) -> list[int]:
    """Those of ``joints`` that click in ``sound`` (n,) at 24 kHz. A joint is the index of the first sample after it."""
    return [joint for joint in joints if roughness(sound, joint) > LIMIT]


def roughness(sound: Samples, joint: int) -> float:
    """How far the prediction's error at ``joint`` sticks out of that around it; 0 where there is nothing to hear, or
    too little on one side to tell. Over LIMIT it is a click."""
    first, end = max(0, joint - AROUND - ORDER), min(sound.size, joint + AROUND)
    at = joint - first
    if at < ORDER + GUARD + NEAR or end - joint < GUARD + NEAR + 1:
        return 0.0
    error = np.abs(_error(sound[first:end].astype(np.float64)))
    here = float(error[at - NEAR : at + NEAR + 1].max())
    around = np.concatenate([error[ORDER : at - GUARD], error[at + GUARD :]])
    if here < FAINT or not around.size:
        return 0.0
    return here / max(float(around.max()), FAINT / LIMIT)


def by_chance(sound: Samples, joints: Sequence[int], count: int = 200, seed: int = 0) -> float:
    """The share of clicks at ``count`` places of ``sound`` that are no joints: what ``clicks`` tells where nothing is.
    Places within 25 ms of a joint are left out; 0 where there is no other."""
    places = np.random.default_rng(seed).integers(AROUND, max(AROUND + 1, sound.size - AROUND), count)
    ends = np.asarray(joints, np.int64)
    free = [int(place) for place in places if not ends.size or int(np.abs(ends - place).min()) > AROUND]
    return len(clicks(sound, free)) / len(free) if free else 0.0


def _error(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a linear prediction of ORDER misses of each sample (n,); the first ORDER are not predicted, and 0."""
    windowed = sound * np.hanning(sound.size)
    spectrum = np.abs(np.fft.rfft(windowed, 2 * sound.size)) ** 2
    correlation = np.fft.irfft(spectrum)[: ORDER + 1]
    correlation[0] = (
        correlation[0] * (1 + 1e-5) + 1e-12
    )  # a floor of -50 dB: else what has no treble is foreseen wildly
    lags = np.arange(ORDER)
    weights = np.linalg.solve(correlation[np.abs(lags[:, None] - lags)], correlation[1:])
    error = np.convolve(sound, np.concatenate([[1.0], -weights]))[: sound.size]
    error[:ORDER] = 0.0
    return np.asarray(error, np.float64)
