"""A profile: which models a host runs, and how they share it. Lives inside the host process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import (
    Answer,
    Clone,
    Cloned,
    Ending,
    Ends,
    Heard,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    ToolCall,
    Transcribe,
)
from voxrtc.settings import Settings

Progress = Callable[[str, float], None]
"""Called with what is being done ("loading qwen2.5-1.5b") and how far it is, 0..1."""


class Profile(Protocol):
    """The models of one host. Native work runs in threads of the profile's own, so that the host's loop stays free.

    Each verb is an async generator: the host closes it to cancel, and the native work then stops at its next step.
    Where a caller waits for something, a guess (``urgency``) raises GaveWay, within a native step.
    """

    async def load(self, progress: Progress) -> Ready:
        """Load and warm everything: after this the first request is as fast as any other. Raises ModelsError."""

    def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]: ...

    def answer(self, ask: Answer, urgency: Urgency) -> AsyncGenerator[Heard | Said | ToolCall, None]: ...

    def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]: ...

    def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]: ...

    def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]: ...

    def clone(self, ask: Clone) -> AsyncGenerator[Cloned, None]:
        """One Cloned, once the voice can be spoken with. Raises BadClip, ModelsError."""

    def forget(self, name: str) -> None:
        """Forget a voice that clone() made, if there is one. Those who speak with it do so to the end."""

    async def close(self) -> None: ...


def make(settings: Settings) -> Profile:
    """The profile that ``models.profile`` names. Imports its runtimes only now."""
    match settings.models.profile:
        case "embedded":
            from voxrtc.models.embedded import Embedded

            return Embedded(settings)
        case "voxtral":
            from voxrtc.models.voxtral.profile import Voxtral

            return Voxtral(settings)
        case "remote":
            from voxrtc.models.remote.profile import Remote

            return Remote(settings)
