"""voxrtc: a voice assistant server that you can call."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxrtc.client.client import Client as Client
    from voxrtc.client.failed import CallFailed as CallFailed
    from voxrtc.sources import process_audio_from_url as process_audio_from_url
    from voxrtc.transcription.files import transcribe_from_url as transcribe_from_url

__version__ = "0.1.0"

_HOMES = {
    "Client": "voxrtc.client.client",
    "CallFailed": "voxrtc.client.failed",
    "process_audio_from_url": "voxrtc.sources",
    "transcribe_from_url": "voxrtc.transcription.files",
}
"""Where the names live that programs use; each is imported when it is asked for."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
