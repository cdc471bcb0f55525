"""The voice of the replies, which says the same thing the same way every time, and so need say it only once."""

from __future__ import annotations

from voxrtc.models.tts.hibari import Hibari
from voxrtc.models.tts.voice import Spoken


class Voice:
    """hibari, with all that it has said kept: a bench says few things, and those often."""

    def __init__(self) -> None:
        self._engine = Hibari()
        self._said: dict[str, list[Spoken]] = {}

    def speak(self, text: str) -> list[Spoken]:
        """A stretch (samples (n,) at 24 kHz, and the characters they say) for each sentence of ``text``."""
        if text not in self._said:
            self._said[text] = list(self._engine.speak(text))
        return self._said[text]
