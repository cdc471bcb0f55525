"""How long a pause may last before the turn is over. One strategy a class; the detector asks while the pause lasts.

A strategy is chosen by its name, ``endpointing.strategy``. To add one, write its class here and name it in STRATEGIES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from voxrtc.audio import HEARD_RATE
from voxrtc.endpointing.words import hangs
from voxrtc.errors import ConfigError
from voxrtc.settings import Endpointing


@dataclass(slots=True)
class Pause:
    """A pause that is going on: the turn began at sample ``start``, its voice stopped at ``end``, it is ``now``.

    What else is known of it comes while it lasts, from whoever listens (dialogue.evidence); None until then.
    """

    start: int
    end: int
    now: int
    prosody: float | None = None
    """The probability that the turn is over, by the sound of the voice (endpointing.prosody)."""
    words: str | None = None
    """What was said in the turn, up to this pause."""
    language: str = "en"
    """Of the words."""
    ends: float | None = None
    """The probability that the turn is over, by its words (models.verbs: ``ends``); negative where there is none."""

    @property
    def lasted_ms(self) -> float:
        return (self.now - self.end) * 1000 / HEARD_RATE


class Wait(Protocol):
    """A strategy. Asked every 10 ms of a pause, so it may change its mind as it learns more."""

    uses: frozenset[str]
    """What it wants to know of a pause beside its length: "voice" (Pause.prosody), "words" (Pause.words and ends)."""

    def wait_ms(self, pause: Pause) -> float:
        """Milliseconds of silence after which this pause ends the turn."""


class FixedWait:
    """By silence alone: the same wait for every pause."""

    uses: frozenset[str] = frozenset()

    def __init__(self, settings: Endpointing) -> None:
        self._silence_ms = settings.end_silence_ms

    def wait_ms(self, pause: Pause) -> float:
        return self._silence_ms


class SmartTurnWait:
    """By the voice alone, as Smart Turn is commonly used: short where it sounds finished, else long."""

    uses = frozenset({"voice"})

    def __init__(self, settings: Endpointing) -> None:
        self._settings = settings

    def wait_ms(self, pause: Pause) -> float:
        done = pause.prosody is not None and pause.prosody >= self._settings.threshold
        return self._settings.min_silence_ms if done else self._settings.max_silence_ms


class FusedWait:
    """The turn is over if the voice sounds finished *and* the words may be: voice x min(1, words / COMPLETE).

    From ``sure`` on the wait is the shortest, up to ``doubt`` the longest, between the two in proportion.
    """

    uses = frozenset({"voice", "words"})

    def __init__(self, settings: Endpointing) -> None:
        self._settings = settings

    def wait_ms(self, pause: Pause) -> float:
        settings = self._settings
        probability = self.probability(pause)
        if probability is None:
            return settings.max_silence_ms
        certainty = (probability - settings.doubt) / (settings.sure - settings.doubt)
        span = settings.max_silence_ms - settings.min_silence_ms
        return settings.max_silence_ms - span * min(1.0, max(0.0, certainty))

    def probability(self, pause: Pause) -> float | None:
        """That the turn is over; None while it is worth waiting for more evidence."""
        complete = pause.ends is not None and pause.ends >= COMPLETE
        if pause.words is not None and hangs(pause.words, pause.language, complete):
            return 0.0
        if pause.lasted_ms < self._settings.evidence_ms and (pause.prosody is None or pause.ends is None):
            return None
        voice = UNKNOWN_VOICE if pause.prosody is None else pause.prosody
        if pause.ends is None or pause.ends < 0:
            return voice
        return voice * min(1.0, pause.ends / COMPLETE)


COMPLETE = 0.2
"""Words from this probability on may be a whole turn: one sentence in five goes on where it could end. Above it, the
voice decides."""
UNKNOWN_VOICE = 0.5

STRATEGIES: dict[str, Callable[[Endpointing], Wait]] = {
    "fused": FusedWait,
    "smart_turn": SmartTurnWait,
    "vad": FixedWait,
}


def make(settings: Endpointing) -> Wait:
    """The strategy that ``endpointing.strategy`` names. Raises ConfigError where there is none of that name."""
    if settings.strategy not in STRATEGIES:
        there = ", ".join(STRATEGIES)
        raise ConfigError(f"endpointing.strategy: '{settings.strategy}' is not a strategy; there are {there}")
    return STRATEGIES[settings.strategy](settings)
