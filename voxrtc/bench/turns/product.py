"""The product as a scene meets it: a real session with the real detector, by one rule for the ends of turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.networks import Networks
from voxrtc.events import Event
from voxrtc.models.verbs import Models
from voxrtc.settings import Settings

RULES = ("vad", "smart_turn", "fused")
LONG_S = 3_600.0
"""More than any scene lasts."""


@dataclass(frozen=True, slots=True)
class Product:
    """Makes sessions. Loaded once for a process."""

    settings: Settings
    networks: Networks

    def session(self, models: Models, emit: Callable[[Event], None]) -> Session:
        """A session that nobody has talked to yet."""
        return Session(
            call="bench",
            settings=self.settings,
            models=models,
            detector=Detector(self.settings.endpointing, self.networks.silero),
            emit=emit,
            phrases=Phrases(),
            prosody=self.networks.prosody,
        )


def load(settings: Settings, rule: str) -> Product:
    """The product with ``settings``, but for the rule; it does not speak unasked. Raises StoreError."""
    quiet = {"greeting": "", "idle_prompt_s": LONG_S, "idle_hangup_s": LONG_S}
    dialogue = settings.dialogue.model_copy(update=quiet)
    endpointing = settings.endpointing.model_copy(update={"strategy": rule})
    settings = settings.model_copy(update={"dialogue": dialogue, "endpointing": endpointing})
    return Product(settings, Networks.load(settings))
