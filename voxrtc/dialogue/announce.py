"""The call's clock, and the events that are stamped with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from voxrtc.audio import BLOCK, HEARD_RATE, Block
from voxrtc.events import Event

Emit = Callable[[Event], None]


class CallClock:
    """Counts the samples heard in a call, over all the peers it has had."""

    def __init__(self) -> None:
        self.now = 0
        """Samples heard so far: the position of the next one."""
        self._offset: int | None = None
        self._ticked: float | None = None

    def join(self) -> None:
        """A new peer is heard from now on; its positions, wherever they begin, follow those of the last."""
        self._offset = None
        if self._ticked is None:  # who types may be answered before anything is heard
            self._ticked = asyncio.get_running_loop().time()

    def tick(self, block: Block) -> Block:
        """The time of ``block`` has come; returns it with its position in the call."""
        if self._offset is None:
            self._offset = self.now - block.position
        if self._offset:
            block = replace(block, position=block.position + self._offset)
        self.now = block.position + BLOCK
        self._ticked = asyncio.get_running_loop().time()
        return block

    def time_of(self, position: int) -> float:
        """``loop.time()`` when the sample at ``position`` came in."""
        assert self._ticked is not None  # whoever has a position has a line
        return self._ticked - (self.now - position) / HEARD_RATE

    def position_at(self, time: float) -> int:
        """The sample that comes in at ``loop.time()`` ``time``."""
        return self.now if self._ticked is None else self.now + round((time - self._ticked) * HEARD_RATE)


class Announcer:
    """Makes events of one call, stamped with its name, position and the wall time."""

    def __init__(self, call: str, clock: CallClock, emit: Emit) -> None:
        self._call = call
        self._clock = clock
        self._emit = emit

    def say(self, kind: type[Event], **fields: Any) -> None:
        """Emit an event of ``kind``."""
        self._emit(kind(call=self._call, at=self._clock.now, time=time.time(), **fields))
