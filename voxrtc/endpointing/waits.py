"""How long a pause may last before the turn is over. One strategy a class; the detector asks while the pause lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from voxrtc.audio import HEARD_RATE


@dataclass(slots=True)
class Pause:
    """A pause that is going on: the turn began at sample ``start``, its voice stopped at ``end``, it is ``now``.

    What else is known of it comes while it lasts, from whoever listens (dialogue.caller); None until then.
    """

    start: int
    end: int
    now: int
    prosody: float | None = None
    """The probability that the turn is over, by the sound of the voice (endpointing.prosody)."""
    words: str | None = None
    """What was said in the turn, up to this pause."""

    @property
    def lasted_ms(self) -> float:
        return (self.now - self.end) * 1000 / HEARD_RATE


class Wait(Protocol):
    """A strategy. Asked every 10 ms of a pause, so it may change its mind as it learns more."""

    def wait_ms(self, pause: Pause) -> int:
        """Milliseconds of silence after which this pause ends the turn."""


class FixedWait:
    """The same wait for every pause."""

    def __init__(self, silence_ms: int) -> None:
        self._silence_ms = silence_ms

    def wait_ms(self, pause: Pause) -> int:
        return self._silence_ms
