"""Whether the server can take calls, and if not yet, how far its start has got."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from voxrtc.models.verbs import Models
from voxrtc.models.wire import Ready


@dataclass(slots=True)
class Status:
    """Written by serve as the start goes on; read by /health and /ready."""

    models: Models
    what: str = "starting"
    fraction: float = 0.0
    warm: bool = False
    """Everything that comes after the models (fixed phrases) is done, too."""
    draining: bool = False
    began: float = field(default_factory=monotonic)

    def progress(self, what: str, fraction: float) -> None:
        """As models.profiles.Progress."""
        self.what, self.fraction = what, fraction

    def drain(self) -> None:
        """The end has begun."""
        self.draining = True

    @property
    def ready(self) -> Ready | None:
        """What runs, or None while a call could not be answered as it should."""
        return self.models.ready if self.warm and not self.draining else None

    @property
    def doing(self) -> tuple[str, float]:
        """What is under way while not ready, and how far it is, 0..1."""
        if self.draining:
            return "ending", 0.0
        if self.warm and self.models.ready is None:
            return "starting the models again", 0.0
        return self.what, self.fraction

    @property
    def uptime_s(self) -> float:
        return monotonic() - self.began
