"""Whisper's front end: log-mel spectrograms of 16 kHz sound.

As in openai/whisper ``audio.py`` (Radford et al. 2022, arXiv:2212.04356, section 2.2): 25 ms Hann windows
every 10 ms, mel bands on Slaney's scale (as librosa's ``filters.mel``), log10, the loudest 8 decades kept,
scaled to about [-1, 1]. 80 bands up to large-v2, 128 from large-v3 on (openai/whisper discussion 1762).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, Samples

WINDOW = 400
"""Samples in one window (25 ms)."""
HOP = 160
"""Samples between windows (10 ms)."""
BANDS = 80
DYNAMIC_RANGE = 8.0
"""Decades below the loudest point of a spectrogram that are kept."""
FLOOR = 1e-10


def log_mel(samples: Samples, bands: int = BANDS) -> NDArray[np.float32]:
    """Log-mel spectrogram (bands, n // HOP) of ``samples`` (n,) at 16 kHz; n must be more than WINDOW // 2."""
    padded = np.pad(samples, WINDOW // 2, mode="reflect")
    count = samples.size // HOP
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    spectrum = np.fft.rfft(windows * hann(), axis=1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    mel = mel_filters(bands) @ power.T.astype(np.float32)
    log = np.log10(np.maximum(mel, FLOOR))
    log = np.maximum(log, log.max() - DYNAMIC_RANGE)
    return np.ascontiguousarray((log + 4.0) / 4.0, dtype=np.float32)


@cache
def hann() -> NDArray[np.float32]:
    """Periodic Hann window (WINDOW,)."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


@cache
def mel_filters(bands: int = BANDS) -> NDArray[np.float32]:
    """Triangular filters (bands, WINDOW // 2 + 1), each of unit area over Hz (Slaney's normalisation)."""
    bins = np.fft.rfftfreq(WINDOW, 1.0 / HEARD_RATE)
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(HEARD_RATE / 2), bands + 2))
    widths = np.diff(edges)
    ramps = edges[:, np.newaxis] - bins[np.newaxis, :]
    rising = -ramps[:-2] / widths[:-1, np.newaxis]
    falling = ramps[2:] / widths[1:, np.newaxis]
    area = 2.0 / (edges[2:] - edges[:-2])
    filters = np.maximum(0.0, np.minimum(rising, falling)) * area[:, np.newaxis]
    return np.asarray(filters, np.float32)


# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, 27 steps to a factor of 6.4 above.
_HZ_PER_MEL = 200.0 / 3.0
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_mel(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * _HZ_PER_MEL
    return np.where(mel < _KNEE_MEL, linear, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)))
