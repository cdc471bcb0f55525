"""The product as a scene meets it: a real session with the real detector, by one rule for the ends of turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxrtc.config import Settings
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.vad import SileroModel
from voxrtc.events import Event
from voxrtc.models import store
from voxrtc.models.verbs import Models

RULES = ("vad", "smart_turn", "fused")


@dataclass(frozen=True, slots=True)
class Product:
    """Makes sessions. Loaded once for a process."""

    settings: Settings
    silero: SileroModel

    def session(self, models: Models, emit: Callable[[Event], None]) -> Session:
        """A session that nobody has talked to yet."""
        return Session(
            call="bench",
            settings=self.settings,
            models=models,
            detector=Detector(self.settings.endpointing, self.silero),
            emit=emit,
            phrases=Phrases(),
        )


def load(settings: Settings, rule: str) -> Product:
    """The product with ``settings``, but for the rule, and without a greeting."""
    dialogue = settings.dialogue.model_copy(update={"greeting": ""})
    endpointing = settings.endpointing.model_copy(update={"strategy": rule})
    settings = settings.model_copy(update={"dialogue": dialogue, "endpointing": endpointing})
    folder = store.ensure("silero-vad", settings.models.cache_path, lambda what, fraction: None)
    return Product(settings, SileroModel(next(folder.glob("*.onnx"))))
