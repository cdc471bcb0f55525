"""How many threads an engine gets: as many as there are cores this process may run on."""

from __future__ import annotations

import os


def count(configured: int = 0) -> int:
    """``configured``, or (where that is 0) the cores this process may use."""
    return configured or len(os.sched_getaffinity(0))
