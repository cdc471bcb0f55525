"""Who goes next: in a step of decoding, in the reading of prompts, and who gives way where memory is short."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from voxrtc.models.urgency import FIRST
from voxrtc.models.voxtral.request import Run


def rows(decoding: Sequence[Run], most: int) -> Sequence[Run]:
    """Which ``most`` of those that decode are in the next step: what a caller waits for, then the others, and among
    equals who was served the longest ago."""
    if len(decoding) <= most:
        return list(decoding)
    return heapq.nsmallest(most, decoding, key=lambda run: (run.level > FIRST, run.served, run.number))


def victims(running: Iterable[Run], level: int, short: int) -> list[Run]:
    """Who gives way for a request of ``level`` that is ``short`` of so many pages: of what is less urgent, the least
    urgent first, then the youngest. Nobody, where all of them together would not do."""
    less = [(run.level, run.number, run) for run in running]
    less = sorted((item for item in less if item[0] > level), key=lambda item: item[:2], reverse=True)
    given: list[Run] = []
    for _, _, run in less:
        if short <= 0:
            break
        given.append(run)
        short -= run.memory.most
    return given if short <= 0 else []
