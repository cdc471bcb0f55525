"""What a listener has of one reply: when its sound came, whether it ran dry, and where the joints in it are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """``samples`` (n,) at 24 kHz of the clause number ``clause``, which came at ``at``, seconds."""

    at: float
    clause: int
    samples: Samples


@dataclass(eq=False, slots=True)
class Reply:
    """One reply. ``asked``: when it was asked for, in the seconds that its blocks' are."""

    asked: float
    blocks: list[Block] = field(default_factory=list)

    @property
    def first_audio_ms(self) -> float:
        """From the ask to the first samples."""
        return 1e3 * (self.blocks[0].at - self.asked)

    @property
    def took_s(self) -> float:
        """From the ask to the last samples."""
        return self.blocks[-1].at - self.asked

    @property
    def seconds(self) -> float:
        """Of sound."""
        return sum(block.samples.size for block in self.blocks) / SPOKEN_RATE

    @property
    def sound(self) -> Samples:
        return np.concatenate([block.samples for block in self.blocks]) if self.blocks else np.zeros(0, np.float32)

    def joints(self) -> tuple[list[int], list[int]]:
        """Where one block ends and the next begins: within a clause, and between two."""
        within: list[int] = []
        between: list[int] = []
        at = 0
        for before, after in zip(self.blocks, self.blocks[1:], strict=False):
            at += before.samples.size
            (within if before.clause == after.clause else between).append(at)
        return within, between

    def dry_ms(self) -> list[float]:
        """How long the listener, who plays from the first samples on, had nothing to play: each time that it was so."""
        return dry_ms([(block.at, block.samples.size / SPOKEN_RATE) for block in self.blocks])

    def plays_until(self) -> float:
        """When the listener has heard it all."""
        return self.blocks[-1].at if not self.blocks else self.blocks[0].at + self.seconds + sum(self.dry_ms()) / 1e3


def dry_ms(blocks: Sequence[tuple[float, float]]) -> list[float]:
    """The gaps, in ms, of a listener to whom (when it came, how long it is) come, both in seconds."""
    gaps: list[float] = []
    end = blocks[0][0] if blocks else 0.0
    for at, seconds in blocks:
        if at > end:
            gaps.append(1e3 * (at - end))
        end = max(at, end) + seconds
    return gaps
