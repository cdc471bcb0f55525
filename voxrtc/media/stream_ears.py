"""What a caller says who sends samples over an ordered stream: blocks of 20 ms on the call's own clock (AudioIn)."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator

import av
import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples
from voxrtc.errors import AudioError

BLOCK_S = BLOCK / HEARD_RATE
PATIENCE_S = 0.3
"""Seconds without sound before silence flows in its place: who sends all the time is only held up."""
QUEUE = 3_000
"""Blocks (60 s) that may wait to be heard; of more, the oldest are dropped and counted."""
AT_ONCE = 8
"""Blocks heard before other callers have their turn: sound may come much faster than it was spoken."""
RATES = (8_000, 48_000)
"""Hz, the lowest and the highest."""


class StreamEars:
    """AudioIn of a stream: ``hear`` what comes; silence flows while nothing does."""

    def __init__(self) -> None:
        self.dropped = 0
        """Blocks that the session was too busy to hear."""
        self.heard_at: float | None = None
        """``loop.time()`` when sound came last."""
        self._loop = asyncio.get_running_loop()
        self._resampler: av.AudioResampler | None = None
        self._rate = 0
        self._rest: Samples = np.zeros(0, np.float32)
        self._position = 0
        self._given = 0
        """Blocks that were taken, and those that were dropped instead."""
        self._awaited: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._blocks: deque[Block] = deque(maxlen=QUEUE)
        self._more = asyncio.Event()
        self._closed = False
        self._covered = self._loop.time()  # until when there is sound
        self._timer: asyncio.TimerHandle | None = None
        self._arm()

    def hear(self, samples: Samples, rate: int) -> None:
        """Take in ``samples`` (n,) at ``rate`` Hz, which follow those before. Raises AudioError for other rates than
        RATES allow."""
        if not RATES[0] <= rate <= RATES[1]:
            raise AudioError(f"a sample rate of {rate} Hz; {RATES[0]} to {RATES[1]} can be heard")
        if self._closed:
            return
        self.heard_at = self._covered = self._loop.time()
        self._add(self._resampled(samples, rate))

    def close(self) -> None:
        """End the iteration, after the blocks that are ready."""
        self._closed = True
        self._caught_up(math.inf)
        if self._timer is not None:
            self._timer.cancel()
        self._more.set()

    def catch_up(self) -> asyncio.Future[None]:
        """Done once all that has come until now was heard, or never will be. What is no whole block yet becomes one."""
        self._add(np.zeros(-self._rest.size % BLOCK, np.float32))
        self._awaited.append((self._position // BLOCK, caught_up := self._loop.create_future()))
        self._caught_up(math.inf if self._closed else self._given)
        return caught_up

    def _caught_up(self, given: float) -> None:
        while self._awaited and self._awaited[0][0] <= given:
            _, caught_up = self._awaited.popleft()
            if not caught_up.done():
                caught_up.set_result(None)

    async def __aiter__(self) -> AsyncIterator[Block]:
        while True:
            while self._blocks:
                yield self._blocks.popleft()
                self._given += 1
                self._caught_up(self._given)
                if self._given % AT_ONCE == 0:
                    await asyncio.sleep(0)
            if self._closed:
                return
            self._more.clear()
            await self._more.wait()

    def _resampled(self, samples: Samples, rate: int) -> Samples:
        if rate == HEARD_RATE:
            return samples
        if self._resampler is None or rate != self._rate:
            self._resampler, self._rate = av.AudioResampler(format="flt", layout="mono", rate=HEARD_RATE), rate
        if not samples.size:
            return samples
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = rate
        parts = [np.asarray(part.to_ndarray()[0], np.float32) for part in self._resampler.resample(frame)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _add(self, samples: Samples, filled: bool = False) -> None:
        samples = np.concatenate([self._rest, samples]) if self._rest.size else samples
        whole = samples.size - samples.size % BLOCK
        for start in range(0, whole, BLOCK):
            if len(self._blocks) == QUEUE:
                self.dropped += 1
                self._given += 1
            self._blocks.append(Block(self._position, samples[start : start + BLOCK], filled=filled))
            self._position += BLOCK
        self._rest = samples[whole:]
        self._more.set()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._covered + PATIENCE_S + BLOCK_S, self._fill)

    def _fill(self) -> None:
        """Silence for the time in which nothing came, in whole blocks."""
        if self._closed:
            return
        owed = int((self._loop.time() - PATIENCE_S - self._covered) / BLOCK_S + 1e-6)
        if owed > 0:
            self._covered += owed * BLOCK_S
            begun = bool(self._rest.size)  # a block with sound in it is none that was only filled up
            self._add(np.zeros(-self._rest.size % BLOCK, np.float32))
            self._add(np.zeros((min(owed, QUEUE) - begun) * BLOCK, np.float32), filled=True)
        self._arm()
