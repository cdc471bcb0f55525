"""What the assistant says to a caller who takes samples over an ordered stream, a little ahead of time (AudioOut)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Ducking, Mark, Recording, Samples, Sent, Tap
from voxrtc.media.pieces import Piece, Taken, harmless, take
from voxrtc.settings import Media

LEAD_S = 0.2
"""So far ahead sound is sent: more than the jitter of a connection that is fit to talk over."""
TICK_S = 0.04


@dataclass(slots=True)
class _Coming:
    """One block that was sent, and will be heard at ``at``."""

    at: float
    samples: Samples
    whose: list[tuple[Mark, int]]


class StreamMouth:
    """AudioOut of a stream: hands ``sound`` on a little ahead of time, and tells ``clear`` where that was in vain."""

    def __init__(self, settings: Media, sound: Callable[[Samples], None], clear: Callable[[], None]) -> None:
        self.tap: Tap | None = None
        self._sound = sound
        self._clear = clear
        self._loop = asyncio.get_running_loop()
        self._bound = int(settings.play_ahead_s * SPOKEN_RATE)
        self._sent = Sent(settings.lost_after_s + 1.0)
        self._ducking = Ducking()
        self._pieces: deque[Piece] = deque()
        self._queued = 0
        self._coming: deque[_Coming] = deque()
        self._ends = 0.0  # when what was sent will have been heard
        self._flushes = 0
        self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    # -- AudioOut ----------------------------------------------------------------------------------------

    async def play(self, samples: Samples | Recording, mark: Mark) -> None:
        """Queue ``samples`` (n,) at 24 kHz; waits while more than media.play_ahead_s is queued already."""
        if isinstance(samples, Recording):
            samples = samples.samples
        flushes = self._flushes
        while self._queued > self._bound and flushes == self._flushes and not self._over:
            await self._change()
        if flushes != self._flushes or self._over or not samples.size:
            return
        self._pieces.append(Piece(harmless(samples), mark))
        self._queued += samples.size
        mark.queued += samples.size
        if self._timer is None:
            self._tick()

    def flush(self) -> None:
        """Drop everything not yet heard; the caller is told to do the same with what it was sent."""
        self._flushes += 1
        self._arrive()
        self._pieces.clear()
        self._queued = 0
        if self._coming:
            self._coming.clear()
            self._ends = 0.0
            self._clear()
        self._signal()

    def duck(self, on: bool) -> None:
        """Speak DUCK_DB softer from what is sent next on, or as loud as before again."""
        self._ducking.on = on

    async def drained(self) -> None:
        """Return when everything queued was heard, or was flushed, or the line is gone."""
        while (self._queued or self._coming) and not self._over:
            await self._change()

    # -- for the line ------------------------------------------------------------------------------------

    def take_back(self, since: float) -> None:
        """The line was broken: what was to be heard at ``loop.time()`` ``since`` or later was not."""
        self._sent.take_back(since)

    def stop(self) -> None:
        """Nothing more is sent, and nobody waits any longer."""
        self._over = True
        self._arrive()
        self._pieces.clear()
        self._coming.clear()
        self._queued = 0
        if self._timer is not None:
            self._timer.cancel()
        self._signal()

    # -- inside ------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._timer = None
        self._arrive()
        self._send()
        if (self._pieces or self._coming) and not self._over:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def _arrive(self) -> None:
        """Count what is being heard by now."""
        now = self._loop.time()
        came = False
        while self._coming and self._coming[0].at <= now:
            block = self._coming.popleft()
            came = True
            for mark, count in block.whose:
                mark.heard += count
                if mark.begun_at is None:
                    mark.begun_at = block.at
                    mark.begun.set()
            self._sent.add(block.at, block.whose)
            if self.tap is not None:
                self.tap(block.samples, block.at)
        if came:
            self._signal()

    def _send(self) -> None:
        """Hand on what is to be heard within LEAD_S, as one stretch."""
        now = self._loop.time()
        self._ends = max(self._ends, now)
        parts: list[Samples] = []
        while self._pieces and self._ends - now < LEAD_S:
            block = self._take()
            self._coming.append(_Coming(self._ends, block[0], block[1]))
            self._ends += block[0].size / SPOKEN_RATE
            parts.append(block[0])
        if parts:
            self._sound(np.concatenate(parts))
            self._arrive()

    def _take(self) -> Taken:
        block, whose = take(self._pieces)
        self._queued -= sum(count for _, count in whose)
        return self._ducking.apply(block), whose

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _signal(self) -> None:
        self._changed.set()
