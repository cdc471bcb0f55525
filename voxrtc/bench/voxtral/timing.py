"""How a step is timed: warm, many times, the device waited for at the edges only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TypeAlias

import numpy as np

Wait: TypeAlias = Callable[[], None]
"""Returns when the device has nothing left to do."""


def waiter(device: str) -> Wait:
    """How the device is waited for; nothing to do on the CPU."""
    if device == "cpu":
        return lambda: None
    import torch

    return torch.cuda.synchronize


def timed(work: Callable[[], object], wait: Wait, repeat: int, warm: int = 3) -> list[float]:
    """The ms that each of ``repeat`` runs of ``work`` took, after ``warm`` runs that do not count."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeat):
        wait()
        began = perf_counter()
        work()
        wait()
        times.append(1_000.0 * (perf_counter() - began))
    return times


def median(times: Sequence[float]) -> float:
    """Rounded to a microsecond."""
    return round(float(np.median(times)), 3)


def spread(times: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (linear between ranks) and maximum."""
    p50, p95 = np.percentile(times, (50, 95))
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "max": round(max(times), 3)}
