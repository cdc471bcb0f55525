"""What a voice that is made of a clip may be called. Imports no runtime."""

from __future__ import annotations

import re
from collections.abc import Container

from voxrtc.models.tts import others
from voxrtc.models.tts.choice import AUTO

POSSIBLE = "a voice's name has 1 to 64 letters (a to z), digits, - and _"
TAKEN = "there is another voice '{}' already, which is no clip's"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def possible(name: str) -> bool:
    """Whether it is a name at all."""
    return _NAME.fullmatch(name) is not None


def taken(name: str, voices: Container[str]) -> bool:
    """Whether it is that of one of ``voices``, which are of no clips, or has a meaning of its own."""
    return name in voices or name in others.ENGINES or name == AUTO
