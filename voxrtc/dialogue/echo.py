"""Is it the caller, or the assistant's own voice coming back through the caller's loudspeaker and microphone?

What was played is kept for as long as it may take to come back. Each block of the microphone is compared with it: at
the delay where the two agree best (generalised cross-correlation with phase transform; Knapp and Carter, 1976), how
much of the sound can a short filter (a loudspeaker, a room) make out of what was played? An echo is explained by half
and more, a voice by next to nothing, a voice over an echo in the measure of the two.

The figures below were measured on five clips and three sentences of the voice, through rooms (T60 0.15 to 0.4 s),
loudspeaker, Opus both ways and noise; what comes of it all, `voxrtc bench turns` tells.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Block, Samples

RATE = 8_000
"""Hz at which the two are compared: most of a voice, at half the price."""
MS = RATE // 1000
LONGEST_DELAY = 800 * MS
"""Samples: room, sound cards, two jitter buffers and the network."""
EARLY = 60 * MS
"""An echo may seem to come so much too early: blocks arrive in bursts, and are stamped when they do."""
WINDOW = 200 * MS
"""Samples of the microphone that are explained at a time ..."""
SEARCH = 400 * MS
"""... and by which the delay is searched."""
TAPS = 12 * MS
"""Samples that the filter is long, of which so many come before the delay that was found."""
BEFORE = 2 * MS
RIDGE = 1e-3
"""Of the energy of what was played, added to the diagonal: keeps the filter from explaining one sound by any other."""
CERTAIN = 7.0
"""A peak so many times the RMS of the correlation is a delay. Echoes 8 to 30, other voices up to 6.5."""
ECHO = 0.4
"""Share of the energy that has to be explained. Echoes 0.5 to 0.97, other voices up to 0.25."""
SILENT_DBFS = -62.0
"""Below, the microphone is silent."""
FIRST = 0.6
"""So much has to be, with EMPHASIS, before any echo was found in the call; or ECHO for IN_A_ROW blocks. A vowel that
sets in is easily explained by another, but not so its overtones; those of an echo may be drowned in noise."""
EMPHASIS = 0.7
IN_A_ROW = 6
SURE = 0.8
"""So much explained is an echo, however loud it is."""
WORSE = 2.5
"""What is explained of an echo varies with the room. So many times the usual rest of it is too much for an echo."""
PEAKS = 3
"""Delays that are tried: the best one may be of another syllable, while little of the echo is there."""
STEP = 20 * MS
"""Samples of one block, and of a step in levels."""
DECAY_DB = 3.0
"""By how much a room's echo falls from step to step at least: 60 dB in 0.4 s ..."""
DECAYING = 10
"""... and for how many steps it is followed."""
LOUDER_DB = 6.0
"""A block so much louder than its echo is wont to be holds a voice, though the window before it be all echo: takes back
half of what a voice over an echo 15 dB softer would lose of its beginning, for 2 % of the blocks of an echo ..."""
SOFTER_DB = 2.0
"""... and one that is no louder than this holds none that could be understood, whatever explains it."""
LEARNING = 0.05
"""How fast the level of the echo is followed, of what one block tells ..."""
LEARNT = 15
"""... and after how many blocks it is known."""
UP_DB = 0.5
"""By how much it is raised with each block that seems too loud: if that was no voice, the caller's volume went up."""
MISSING_DB = 10.0
"""A block so much softer than its echo would be has none ..."""
DOWN_DB = 0.2
"""... and lowers what is expected by so much: the caller may have put on a headset."""

_FFT = 1 << (SEARCH + LONGEST_DELAY + EARLY + SEARCH - 1).bit_length()
_SOLVE = 1 << (2 * WINDOW).bit_length()

Real = NDArray[np.float64]


class Decimator:
    """Samples at a multiple ``by`` of RATE to RATE, piece by piece. A low-pass of 10 ``by`` + 1 taps."""

    def __init__(self, by: int) -> None:
        half = 5 * by
        n = np.arange(-half, half + 1)
        taps = np.sinc(0.9 * n / by) * np.hamming(n.size)
        self._taps = (taps / taps.sum()).astype(np.float32)
        self._by = by
        self._history = np.zeros(2 * half, np.float32)

    def __call__(self, samples: Samples) -> Samples:
        """(n,) to (n / by,); n a multiple of ``by``."""
        whole = np.concatenate([self._history, samples])
        self._history = whole[whole.size - self._history.size :]
        return np.convolve(whole, self._taps, "valid")[:: self._by]


class Line:
    """The last ``size`` samples at RATE of a sound that may have holes, by position."""

    def __init__(self, size: int) -> None:
        self.end = 0
        """The sample after the last one there is."""
        self._kept = np.zeros(size, np.float32)

    def put(self, samples: Samples, position: int) -> None:
        """``samples`` begin at ``position``: after ``end`` with silence in between, before it in place of what is there
        from then on."""
        back = min(self.end - position, self._kept.size)
        if back > 0:
            self._kept[back:] = self._kept[: self._kept.size - back]
            self._kept[:back] = 0
            self.end = position
        shift = min(position + samples.size - self.end, self._kept.size)
        self._kept[: self._kept.size - shift] = self._kept[shift:]
        self._kept[self._kept.size - shift :] = 0
        self._kept[self._kept.size - samples.size :] = samples
        self.end = position + samples.size

    def last(self, count: int) -> Samples:
        """The ``count`` samples before ``end``."""
        return self._kept[self._kept.size - count :]

    def before(self, end: int, count: int) -> Samples:
        """The ``count`` samples before ``end``, silence where there is nothing (any more, or yet)."""
        out = np.zeros(count, np.float32)
        first = self.end - self._kept.size
        low, high = max(end - count, first), min(end, self.end)
        if low < high:
            out[low - (end - count) : high - (end - count)] = self._kept[low - first : high - first]
        return out


class Coupling:
    """How loud an echo is, measured by what was played."""

    def __init__(self) -> None:
        self._gain_db = 0.0
        self.blocks = 0
        """How many were learned from."""

    def above(self, heard: Samples, played: Samples) -> float | None:
        """By how many dB the last STEP of ``heard`` (n,) is louder than an echo of ``played`` (m,), which ends where
        its own would. None where that is not known yet. What is much softer is learned from."""
        if self.blocks < LEARNT:
            return None
        expected = _db(_falling(played)[-1]) + self._gain_db
        above = _db(float(_energies(heard)[-1])) - expected
        if above < -MISSING_DB and expected > SILENT_DBFS + MISSING_DB:
            self._gain_db -= DOWN_DB
        return above

    def learn(self, heard: Samples, played: Samples, above: float | None) -> None:
        """All of ``heard`` (n,) is an echo; ``played`` ends where it would, and begins before."""
        if above is not None and above > LOUDER_DB:
            self._gain_db += UP_DB
            return
        steps = _energies(heard)
        if _db(float(np.mean(steps))) < SILENT_DBFS + MISSING_DB:
            return  # noise is as much in it as echo
        self.blocks += 1
        seen = _db(float(np.mean(steps))) - _db(float(np.mean(_falling(played)[-steps.size :])))
        self._gain_db += max(LEARNING, 1 / self.blocks) * (seen - self._gain_db)


class EchoGuard:
    """For one call. ``played`` is told what leaves, ``guard`` is given what comes in; positions are the call's."""

    def __init__(self) -> None:
        self.delay: int | None = None
        """Samples at RATE by which the echo followed last, if there ever was one."""
        self._played = Line(SEARCH + LONGEST_DELAY + EARLY + RATE)
        self._heard = Line(SEARCH)
        self._thin_played = Decimator(SPOKEN_RATE // RATE)
        self._thin_heard = Decimator(HEARD_RATE // RATE)
        self._coupling = Coupling()
        self._first_delay = -MS - 1
        self._in_a_row = 0
        self._usual = 0.0  # of what is explained of an echo in this call

    def played(self, samples: Samples, position: int) -> None:
        """A packet (n,) at 24 kHz left at sample ``position`` of the call's clock, more or less: what follows within
        EARLY of the packet before it is taken to have followed at once."""
        at = position * RATE // HEARD_RATE
        if abs(at - self._played.end) <= EARLY:
            at = self._played.end
        self._played.put(self._thin_played(samples), at)

    def guard(self, block: Block) -> Block:
        """``block``, marked where it is an echo."""
        position = block.position * RATE // HEARD_RATE
        self._heard.put(self._thin_heard(block.samples), max(position, self._heard.end))
        return replace(block, echo=True) if self._is_echo() else block

    def _is_echo(self) -> bool:
        if self._heard.end - self._played.end > LONGEST_DELAY + WINDOW:
            return False
        above = None
        if self.delay is not None:
            above = self._coupling.above(self._heard.last(STEP), self._played_for(self.delay, 0))
        if _db(float(np.mean(np.square(self._heard.last(2 * STEP))))) < SILENT_DBFS:
            return self.delay is not None  # what there may be is too soft to tell, and to be understood
        explained = 0.0 if self.delay is None else self._explained(self.delay)
        if explained < ECHO and (above is None or above > SOFTER_DB):
            explained = self._look_again()
        enough = min(SURE, max(ECHO, 1 - WORSE * (1 - self._usual)))
        if explained >= ECHO and self.delay is not None:
            self._coupling.learn(self._heard.last(WINDOW), self._played_for(self.delay, WINDOW), above)
            self._usual += max(LEARNING, 1 / (1 + self._coupling.blocks)) * (explained - self._usual)
        if above is None:
            return explained >= enough
        return above <= SOFTER_DB or explained >= (SURE if above > LOUDER_DB else enough)

    def _played_for(self, delay: int, count: int) -> Samples:
        """What comes back in the last ``count`` samples after ``delay``, and so much before as to still be heard."""
        return self._played.before(self._heard.end - delay + BEFORE, count + DECAYING * STEP)

    def _look_again(self) -> float:
        """Search for the delay; returns how much it explains."""
        for delay in self._search():
            explained = self._explained(delay)
            if explained >= ECHO and (self.delay is not None or self._believes(delay)):
                self.delay = delay
                return explained
        return 0.0

    def _believes(self, delay: int) -> bool:
        """Whether there is an echo in this call, whose first sign this would be."""
        again = abs(delay - self._first_delay) <= MS
        self._first_delay = delay
        self._in_a_row = self._in_a_row + 1 if again else 1
        return self._in_a_row >= IN_A_ROW or self._explained(delay, EMPHASIS) >= FIRST

    def _search(self) -> list[int]:
        """The delays at which what was heard is most like what was played, as far as they stand out."""
        heard = self._heard.last(SEARCH)
        played = self._played.before(self._heard.end + EARLY, SEARCH + LONGEST_DELAY + EARLY)
        cross = np.conj(np.fft.rfft(heard, _FFT)) * np.fft.rfft(played, _FFT)
        size = np.abs(cross)
        mean = float(size.mean())
        if mean == 0.0:
            return []
        likeness = np.fft.irfft(cross / (size + 1e-3 * mean), _FFT)[: LONGEST_DELAY + EARLY + 1]
        least = CERTAIN * math.sqrt(float(np.mean(np.square(likeness))))
        delays: list[int] = []
        while len(delays) < PEAKS and likeness[best := int(np.argmax(likeness))] >= least:
            delays.append(LONGEST_DELAY - best)
            likeness[max(0, best - BEFORE) : best + BEFORE] = 0.0
        return delays

    def _explained(self, delay: int, emphasis: float = 0.0) -> float:
        """The share of the energy of the last WINDOW that the best filter of TAPS makes of what was played."""
        heard = _brighter(self._heard.last(WINDOW + 1), emphasis)
        played = _brighter(self._played.before(self._heard.end - delay + BEFORE, WINDOW + TAPS + 1), emphasis)
        spectrum = np.fft.rfft(played, _SOLVE)
        own = np.fft.irfft(np.square(np.abs(spectrum)), _SOLVE)[:TAPS]
        energy = float(heard @ heard)
        if own[0] <= 1e-9 or energy <= 0.0:
            return 0.0
        # shared[k]: heard with what was played k samples before the earliest.
        shared = np.fft.irfft(np.conj(np.fft.rfft(heard, _SOLVE)) * spectrum, _SOLVE)[TAPS::-1][:TAPS]
        lags = np.arange(TAPS)
        own[0] *= 1 + RIDGE
        taps = np.linalg.solve(own[np.abs(lags[:, None] - lags)], shared)
        return float(taps @ shared) / energy


def _brighter(samples: Samples, emphasis: float) -> Real:
    """``samples`` (n + 1,) with so much of the sample before taken from each, (n,)."""
    exact = samples.astype(np.float64)
    return exact[1:] - emphasis * exact[:-1]


def _energies(samples: Samples) -> Real:
    """Of each STEP of ``samples`` (n,), (n / STEP,)."""
    energies: Real = np.mean(np.square(samples.reshape(-1, STEP), dtype=np.float64), axis=1)
    return energies


def _falling(samples: Samples) -> list[float]:
    """As ``_energies``, but none falls faster than by DECAY_DB."""
    falling: list[float] = []
    level = 0.0
    for energy in _energies(samples):
        level = max(float(energy), level * 10 ** (-DECAY_DB / 10))
        falling.append(level)
    return falling


def _db(energy: float) -> float:
    return 10.0 * math.log10(energy + 1e-12)
