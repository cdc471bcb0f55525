"""The caller's utterances: which one is being said, and the sound of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples

PRE_ROLL = HEARD_RATE * 300 // 1000
"""Samples before the first voice that go with a turn: soft onsets lie there, and recognisers want a run-up."""
POST_ROLL = HEARD_RATE * 200 // 1000
"""Samples after the last voice that go with it, as far as they are there."""
KEPT = 2 * HEARD_RATE
"""Samples kept while nobody speaks: more than it takes to be sure that somebody began, and the pre-roll."""


@dataclass(slots=True)
class Turn:
    """One utterance. ``start``, ``end``: samples of the first and after the last voice; ``end`` moves as it goes on."""

    number: int
    start: int
    end: int
    paused: bool = False
    text: str | None = None
    """Set where it was typed."""
    contended: bool = False
    """Begun over a reply, and not (yet) let through."""
    voiced: bool = True
    """Whether there is voice in it. Push-to-talk begins a turn before that is known."""
    decided: int = 0
    """Sample at which it was known to be over."""
    words: str | None = None
    """What was said until the pause that is going on; None where that is not known (yet)."""
    forgotten: bool = False
    """Whether its words, once they are known, are neither told nor remembered."""

    @property
    def voice_ms(self) -> float:
        """From the first voice to the last."""
        return (self.end - self.start) * 1000 / HEARD_RATE


class TurnAudio:
    """The last of what was heard: enough for the turn that is on, never more than ``longest_s``."""

    def __init__(self, longest_s: float) -> None:
        self._blocks: deque[Block] = deque()
        self._longest = int(longest_s * HEARD_RATE) + KEPT

    def add(self, block: Block, needed_from: int | None) -> None:
        """Append a block, silence if it is an echo; of the older ones, keep what may still be asked for: from
        ``needed_from`` on."""
        self._blocks.append(replace(block, samples=np.zeros_like(block.samples)) if block.echo else block)
        now = block.position + block.samples.size
        keep = now - KEPT if needed_from is None else min(now - KEPT, needed_from - PRE_ROLL)
        keep = max(keep, now - self._longest)
        while self._blocks[0].position + BLOCK <= keep:
            self._blocks.popleft()

    def cut(self, start: int, end: int) -> Samples:
        """Samples (end - start,) of that stretch, cut to what is there; zeros where there was a hole."""
        if not self._blocks:
            return np.zeros(0, np.float32)
        last = self._blocks[-1]
        start = max(start, self._blocks[0].position)
        end = min(end, last.position + last.samples.size)
        samples = np.zeros(max(0, end - start), np.float32)
        for block in self._blocks:
            low, high = max(start, block.position), min(end, block.position + block.samples.size)
            if low < high:
                samples[low - start : high - start] = block.samples[low - block.position : high - block.position]
        return samples

    def of(self, turn: Turn, end: int) -> Samples:
        """The sound of ``turn`` up to ``end``, with what belongs around it."""
        return self.cut(turn.start - PRE_ROLL, end + POST_ROLL)
