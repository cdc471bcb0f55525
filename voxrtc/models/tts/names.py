"""What a voice that is made of a clip may be called. Imports no runtime."""

from __future__ import annotations

import re
from collections.abc import Container

from voxrtc.models.tts import others
from voxrtc.models.tts.choice import AUTO

POSSIBLE = "a voice's name has 1 to 64 letters (a to z), digits, - and _"
CHATTERBOX = "chatterbox"
"""The name of the voice that comes with Chatterbox's checkpoint."""
RESERVED = frozenset({*others.ENGINES, CHATTERBOX, AUTO})
"""Names of voices that are of no clip, and what means the default voice."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def possible(name: str) -> bool:
    """Whether it is a name at all."""
    return _NAME.fullmatch(name) is not None


def taken(name: str, voices: Container[str] = ()) -> str:
    """Why no clip can make a voice ``name``, beside ``voices``, which are configured; empty where one can."""
    if name in RESERVED:
        return f"the name '{name}' is reserved: it means a voice that is made of no clip"
    return f"there is a configured voice '{name}' already" if name in voices else ""
