"""A recording on its way through one encoder: its packets are made once, and are there when it is said again."""

from __future__ import annotations

from collections.abc import Callable

from voxrtc.audio import SPOKEN_BLOCK, Recording


class Reel:
    """One playing of ``recording``, from its first packet on, by an encoder that is at rest.

    ``variant`` tells packets apart that are not interchangeable (the bitrate they were made for).
    """

    def __init__(self, recording: Recording, variant: int) -> None:
        self._recording = recording
        self._variant = variant
        self._ready = recording.packets.get(variant)
        self._made: list[bytes] = []
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether all of it has left."""
        return self._at >= self._recording.samples.size // SPOKEN_BLOCK

    @property
    def ready(self) -> bool:
        """Whether the packets are there: no encoder is asked."""
        return self._ready is not None

    def next(self, encode: Callable[[], bytes]) -> bytes:
        """The next packet: one that was kept, or what ``encode`` makes, which is kept once the recording is whole."""
        self._at += 1
        if self._ready is not None:
            return self._ready[self._at - 1]
        self._made.append(encode())
        if len(self._made) == self._recording.samples.size // SPOKEN_BLOCK:
            self._recording.packets[self._variant] = tuple(self._made)
        return self._made[-1]
