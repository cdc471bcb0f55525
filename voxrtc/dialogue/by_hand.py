"""Turns that are made by hand: all that is heard until the caller says that it is one."""

from __future__ import annotations

from collections import deque

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples


class ByHand:
    """The sound of the next such turn: what came, and no silence that only fills a gap in it."""

    def __init__(self, longest_s: float) -> None:
        self._blocks: deque[Samples] = deque(maxlen=max(1, round(longest_s * HEARD_RATE / BLOCK)))
        self._lost = False

    def add(self, block: Block) -> None:
        """The next 20 ms; where there is too much, the oldest are lost."""
        if not block.filled:
            self._lost |= len(self._blocks) == self._blocks.maxlen
            self._blocks.append(np.zeros_like(block.samples) if block.echo else block.samples)

    @property
    def size(self) -> int:
        """Samples."""
        return len(self._blocks) * BLOCK

    def take(self) -> tuple[Samples, bool]:
        """The samples (size,), and whether some before them were lost; then there is nothing again."""
        samples, lost = np.concatenate(self._blocks), self._lost
        self.clear()
        return samples, lost

    def clear(self) -> None:
        self._blocks.clear()
        self._lost = False
