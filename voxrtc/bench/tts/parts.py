"""The parts of a bench: one that fails is told, and does not take the others with it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias, TypeVar

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, float], None]
"""What is done, and how much of the whole is (0 to 1)."""
Found = TypeVar("Found")


class Parts:
    """``failed``: why a part was not measured, by its name."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}

    def take(self, name: str, work: Callable[[], Found]) -> Found | None:
        """What ``work`` gives; None where it fails, and why is kept."""
        try:
            return work()
        except Exception as error:  # whatever it is, the other figures are still wanted, and this is told
            logger.exception("%s was not measured", name)
            lines = str(error).strip().splitlines()
            self.failed[name] = f"{type(error).__name__}: {lines[0] if lines else ''}"
            return None
