"""What is no voice, or no one voice: hiss, babble, doors, coughs, and the room that sends a loudspeaker's sound back.

All of it is made from a seed, at 16 kHz, with its loud parts at the level asked for; nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.turns.recordings import Recording

VOICES = 8
"""In a babble: so many that no single one can be followed."""
ROOM_S = 0.2
RT60_S = 0.25
"""A furnished room: seconds until its reverberation has fallen by 60 dB; and how much of it is kept."""
DIRECT_DB = 6.0
"""How much more energy comes to the microphone straight than by way of the walls."""


def at_level(samples: Samples, dbfs: float) -> Samples:
    """``samples`` (n,) amplified so that the RMS of their loud half-second (or all, if shorter) is ``dbfs``."""
    level = loud_level(samples)
    if level <= -120.0:
        return samples
    return (samples * np.float32(10 ** ((dbfs - level) / 20))).astype(np.float32, copy=False)


def loud_level(samples: Samples) -> float:
    """RMS in dBFS of those 20 ms frames of ``samples`` that are no more than 20 dB softer than the loudest; -120 for
    silence. Pauses do not count, so a voice has the same level however long it pauses."""
    frame = HEARD_RATE // 50
    power = np.square(samples[: samples.size // frame * frame or None], dtype=np.float64)
    frames = (
        power.reshape(-1, frame).mean(axis=1) if power.size >= frame else np.array([power.mean()] if power.size else [])
    )
    if not frames.size or frames.max() < 1e-12:
        return -120.0
    return float(10 * np.log10(frames[frames > frames.max() / 100].mean()))


def white(random: np.random.Generator, size: int) -> Samples:
    """Hiss."""
    return random.standard_normal(size, np.float32)


def babble(random: np.random.Generator, size: int, voices: Sequence[Recording]) -> Samples:
    """VOICES of the recordings at once, all as loud, each from somewhere in it on, over and over."""
    mixed = np.zeros(size, np.float32)
    for n in range(VOICES):
        speech = at_level(voices[n % len(voices)].speech, -20.0)
        mixed += np.resize(np.roll(speech, int(random.integers(speech.size))), size)
    return mixed


def door(random: np.random.Generator) -> Samples:
    """A door falls shut: the latch's click, then a thud that dies away within a quarter of a second."""
    thud = _decaying(shaped(random, _ms(250), 40, 400), attack_ms=2, fall_ms=45)
    latch = _decaying(shaped(random, _ms(40), 1_000, 6_000), attack_ms=1, fall_ms=6) * np.float32(0.5)
    return _one_after_the_other([latch, thud], _ms(35))


def knocks(random: np.random.Generator) -> Samples:
    """Three knocks on wood."""
    return _one_after_the_other(
        [_decaying(shaped(random, _ms(120), 150, 1_500), attack_ms=1, fall_ms=18) for _ in range(3)],
        _ms(random.uniform(140, 200)),
    )


def cough(random: np.random.Generator) -> Samples:
    """Two coughs: bursts of breath through a throat, without a pitch."""
    bursts = []
    for _ in range(2):
        size = _ms(random.uniform(160, 260))
        throat = shaped(random, size, 300, 1_200) + np.float32(0.6) * shaped(random, size, 1_200, 4_000)
        bursts.append(_decaying(throat, attack_ms=8, fall_ms=55))
    return _one_after_the_other(bursts, _ms(random.uniform(320, 420)))


def keys(random: np.random.Generator) -> Samples:
    """A second of typing."""
    strokes = [_decaying(shaped(random, _ms(25), 1_500, 7_000), attack_ms=1, fall_ms=4) for _ in range(8)]
    return _one_after_the_other(strokes, _ms(random.uniform(90, 150)))


BURSTS = {"door": door, "knocks": knocks, "cough": cough, "keys": keys}


def room(random: np.random.Generator) -> Samples:
    """How a room answers to a click: the straight way, and walls that decay exponentially. Energy 1: it changes the
    colour and the length of a sound, not its level."""
    size = int(ROOM_S * HEARD_RATE)
    times = np.arange(size) / HEARD_RATE
    walls = random.standard_normal(size) * 10 ** (-3 * times / RT60_S)
    walls[: _ms(3)] = 0.0
    walls *= np.sqrt(10 ** (-DIRECT_DB / 10) / np.square(walls).sum())
    walls[0] = 1.0
    scaled: Samples = (walls / np.sqrt(np.square(walls).sum())).astype(np.float32)
    return scaled


def shaped(random: np.random.Generator, size: int, low: float, high: float) -> Samples:
    """Noise (size,) between ``low`` and ``high`` Hz, with edges of half an octave."""
    spectrum = np.fft.rfft(random.standard_normal(size))
    hertz = np.fft.rfftfreq(size, 1 / HEARD_RATE)
    octaves = np.minimum(np.log2(np.maximum(hertz, 1) / low), np.log2(high / np.maximum(hertz, 1)))
    gain = np.clip(1 + 2 * octaves, 0, 1)
    made = np.fft.irfft(spectrum * gain, size)
    return (made / max(1e-9, float(np.abs(made).max()))).astype(np.float32)


def _decaying(samples: Samples, attack_ms: float, fall_ms: float) -> Samples:
    """``samples`` with the loudness of something struck: up in ``attack_ms``, then down by 1/e each ``fall_ms``."""
    ms = np.arange(samples.size) * 1000 / HEARD_RATE
    return np.asarray(
        samples * np.minimum(1, ms / attack_ms) * np.exp(-np.maximum(0, ms - attack_ms) / fall_ms), np.float32
    )


def _one_after_the_other(sounds: Sequence[Samples], step: int) -> Samples:
    """``sounds`` mixed, each beginning ``step`` samples after the one before."""
    whole = np.zeros((len(sounds) - 1) * step + max(s.size for s in sounds), np.float32)
    for n, sound in enumerate(sounds):
        whole[n * step : n * step + sound.size] += sound
    return whole


def _ms(milliseconds: float) -> int:
    return round(milliseconds * HEARD_RATE / 1000)
