"""What a voice is to a profile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from voxrtc.audio import Samples

Spoken = tuple[Samples, int, int]
"""24 kHz samples (n,), and the characters ``start``..``end`` of the clause that they say."""


class Voice(Protocol):
    """One engine. ``speak`` is for one thread at a time; what it yields is trimmed and faded."""

    languages: Sequence[str]
    """ISO 639-1 codes it speaks."""

    def speak(self, text: str, language: str, speed: float) -> Iterator[Spoken]:
        """Say ``text``, a stretch at a time; nothing where there is nothing to say. Raises ModelsError."""
