"""Which engine of voices settings mean. Imports none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from voxrtc.settings import Settings

Name = Literal["hibari", "espeak", "chatterbox"]

AUTO = "auto"
"""As a voice: the first one of the engine."""


def engine(settings: Settings) -> Name:
    """The engine that speaks: the one that is named, or whose voice is; else Chatterbox where there is a GPU."""
    tts = settings.tts
    if tts.engine != "auto":
        return tts.engine
    match tts.voice:
        case "hibari":
            return "hibari"
        case "espeak":
            return "espeak"
        case name if name != AUTO:
            return "chatterbox"  # it has voices of other names
    on_gpu = settings.models.profile == "voxtral" and settings.models.device == "cuda"
    return "chatterbox" if on_gpu else "hibari"
