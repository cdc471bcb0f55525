"""The sound of input_audio_buffer.append: base64 of PCM16, cut into messages wherever the client likes."""

from __future__ import annotations

from collections.abc import Callable

from voxrtc.audio import Samples, from_pcm16
from voxrtc.server.messages import unbase64
from voxrtc.server.realtime.errors import Refused

RATE = 24_000
"""Hz."""

Hear = Callable[[Samples, int], None]
"""Takes samples (n,), and their rate in Hz, of a client's that sends them as messages."""


class Appended:
    """Of one call."""

    def __init__(self, hear: Hear | None) -> None:
        """``hear``: None where sound does not come as messages."""
        self._hear = hear
        self._half = b""
        """The first byte of a sample whose second one is still to come."""

    def add(self, audio: object) -> None:
        """More of it. Raises Refused, and then nothing was taken."""
        if self._hear is None:
            raise Refused("Sound comes on the track of this call, not in messages.", "unsupported_event", "type")
        if audio is None:
            raise Refused("input_audio_buffer.append needs audio.", "missing_required_parameter", "audio")
        try:
            data = self._half + unbase64(audio)
        except ValueError as error:
            raise Refused(f"audio cannot be taken: {error}.", "invalid_audio", "audio") from None
        whole = len(data) & ~1
        self._half = data[whole:]
        self._hear(from_pcm16(data[:whole]), RATE)

    def restart(self) -> None:
        """What comes now does not go on from what came before."""
        self._half = b""
