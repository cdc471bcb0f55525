"""Is there a pitch? A voice has one, and keeps it from one moment to the next; doors, coughs, keys and hiss have none.

Silero says whether a sound is speech, but may take half a second to say so of a first "and" or "he was" out of the
silence or in noise. A pitch is heard within 80 ms. It is no proof of speech (an instrument has it too), so it counts
only where a mistake costs little: over a reply, which goes on if there turn out to be no words.
"""

from __future__ import annotations

import numpy as np

from voxrtc.audio import HEARD_RATE, Samples

WINDOW = HEARD_RATE * 40 // 1000
"""Samples that are looked at: three periods of the lowest voice."""
LOWEST_HZ, HIGHEST_HZ = 70, 400
PERIODIC = 0.7
"""Normalised autocorrelation at the period from which on a sound is periodic. Voices at 15 dB above hiss 0.7 to 0.95,
doors, knocks and coughs 0.1 to 0.6, eight voices at once up to 0.65."""
STEADY = 0.1
"""By how much of itself the period may differ from that 10 ms before."""
SURE_FRAMES = 3
"""Frames in a row that make a pitch."""

_FFT = 1 << (2 * WINDOW - 1).bit_length()
_LAGS = np.arange(HEARD_RATE // HIGHEST_HZ, HEARD_RATE // LOWEST_HZ + 1)


class Pitch:
    """Follows the pitch of one call, in frames of 10 ms."""

    def __init__(self) -> None:
        self._last = np.zeros(WINDOW, np.float32)
        self._period = 0
        self._run = 0

    def add(self, frame: Samples) -> None:
        """The next samples (n,), n < WINDOW."""
        self._last = np.concatenate([self._last[frame.size :], frame])

    def forget(self) -> None:
        """What comes next begins anew."""
        self._run = 0

    def steady(self) -> bool:
        """Whether there is a pitch now, and has been for SURE_FRAMES. To be asked after each frame: it counts them."""
        period = _period(self._last)
        goes_on = self._run == 0 or abs(period - self._period) <= STEADY * self._period
        self._period = period
        self._run = 0 if not period else self._run + 1 if goes_on else 1
        return self._run >= SURE_FRAMES


def _period(samples: Samples) -> int:
    """The period of ``samples`` (WINDOW,) in samples, 0 where there is none."""
    sound = samples.astype(np.float64) - float(samples.mean())
    shared = np.fft.irfft(np.square(np.abs(np.fft.rfft(sound, _FFT))), _FFT)[_LAGS]
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound))])
    both = np.sqrt(energy[WINDOW - _LAGS] * (energy[WINDOW] - energy[_LAGS])) + 1e-9
    likeness = shared / both
    best = int(np.argmax(likeness))
    inside = 0 < best < _LAGS.size - 1
    return int(_LAGS[best]) if inside and likeness[best] >= PERIODIC else 0
