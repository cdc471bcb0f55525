"""How an emotion sounds: the numbers of a voice, from the table in the configuration and the intensity of a clause."""

from __future__ import annotations

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.settings import EMOTIONS, Delivery, Emotion

FASTEST, SLOWEST = 2.0, 0.5
MOST_PAUSE_MS = 1_000


def delivery(table: Emotion, emotion: str, intensity: float) -> Delivery:
    """The numbers for ``emotion`` at ``intensity`` (0.5..2): that much of the way from neutral to what the table says
    at 1, and beyond, as far as each may go. Neutral for an emotion that the table has not, and where it is off."""
    calm: Delivery = table.neutral
    if not table.enabled or emotion not in EMOTIONS or emotion == "neutral":
        return calm
    full: Delivery = getattr(table, emotion)
    return Delivery(
        exaggeration=_between(0.25, calm.exaggeration + (full.exaggeration - calm.exaggeration) * intensity, 2.0),
        cfg_weight=_between(0.0, calm.cfg_weight + (full.cfg_weight - calm.cfg_weight) * intensity, 1.0),
        speed=_between(SLOWEST, calm.speed * (full.speed / calm.speed) ** intensity, FASTEST),
        pause_ms=round(_between(0.0, calm.pause_ms + (full.pause_ms - calm.pause_ms) * intensity, MOST_PAUSE_MS)),
    )


def speed(wanted: float, sound: Delivery) -> float:
    """``wanted``, the speed that was asked for, as it is in this delivery: 0.5..2."""
    return _between(SLOWEST, wanted * sound.speed, FASTEST)


def silence(sound: Delivery) -> Samples:
    """The pause after a clause, at 24 kHz."""
    return np.zeros(SPOKEN_RATE * sound.pause_ms // 1000, np.float32)


def _between(least: float, value: float, most: float) -> float:
    return min(most, max(least, value))
