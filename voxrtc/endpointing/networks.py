"""The small networks that listen for the ends of turns, in the server's own process, shared by all its calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxrtc.endpointing import waits
from voxrtc.endpointing.prosody import Prosody
from voxrtc.endpointing.vad import SileroModel
from voxrtc.models import store
from voxrtc.settings import Settings


@dataclass(frozen=True, slots=True)
class Networks:
    """``prosody`` only where the configured strategy asks for it."""

    silero: SileroModel
    prosody: Prosody | None = None

    @classmethod
    def load(cls, settings: Settings) -> Networks:
        """Load what ``settings.endpointing`` needs; fetches what is missing. Blocks. Raises StoreError, ConfigError."""
        wanted = waits.make(settings.endpointing).uses
        silero = SileroModel(_file("silero-vad", settings))
        return cls(silero, Prosody(_file("smart-turn-v3.2", settings)) if "voice" in wanted else None)

    def close(self) -> None:
        if self.prosody is not None:
            self.prosody.close()


def _file(name: str, settings: Settings) -> Path:
    return next(store.ensure(name, settings.models.cache_path, lambda what, fraction: None).glob("*.onnx"))
