"""Virtual time: an event loop whose clock jumps to whatever is due next, and the two ends of a call in it.

A minute of conversation takes as long as the computing in it, and comes out the same every time. For code that
waits only by the loop's clock and for its own tasks: no sockets, no child processes. A thread pool is not used;
what is sent to one is computed on the spot, in no time.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from voxrtc.audio import (
    BLOCK,
    BLOCK_MS,
    HEARD_RATE,
    SPOKEN_BLOCK,
    SPOKEN_RATE,
    Block,
    Ducking,
    Mark,
    Recording,
    Samples,
    Sent,
    Tap,
)

T = TypeVar("T")
P = ParamSpec("P")


KEPT_S = 10.0
"""What left longer ago than this is not taken back."""


class Stuck(RuntimeError):
    """Every task waits and nothing is due: in real time this would hang for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timeout, moves the clock on by it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise Stuck("nothing is due and nothing can happen any more")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Compute on the spot."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever awaits it, as an executor would
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` in virtual time. Raises Stuck where it would never return."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorator: call the coroutine function from synchronous code, in a virtual loop of its own."""

    @functools.wraps(test)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(test(*args, **kwargs))

    return wrapper


class VirtualEars:
    """A caller's microphone (AudioIn): silence, but for what ``say`` mixes in. Goes on until ``hang_up``.

    Block n is given when its last sample has been spoken: (n + 1) x 20 ms after the iteration began.
    """

    def __init__(self, noise_dbfs: float | None = None, seed: int = 0) -> None:
        self._sound: Samples = np.zeros(0, np.float32)
        self._noise = 0.0 if noise_dbfs is None else float(10 ** (noise_dbfs / 20))
        self._random = np.random.default_rng(seed)
        self._until: int | None = None
        self.position = 0
        """Samples given so far."""

    def say(self, samples: Samples, at: int | None = None) -> int:
        """Mix ``samples`` (n,) at 16 kHz in from sample ``at`` on (now, if None); returns the sample after the last."""
        start = self.position if at is None else at
        if start < self.position:
            raise ValueError(f"sample {start} has been given already (now at {self.position})")
        end = start + samples.size
        if end > self._sound.size:
            self._sound = np.concatenate([self._sound, np.zeros(end - self._sound.size, np.float32)])
        self._sound[start:end] += samples
        return end

    def hang_up(self, at: int | None = None) -> None:
        """End the iteration once sample ``at`` (now, if None) is reached."""
        self._until = self.position if at is None else at

    async def __aiter__(self) -> AsyncIterator[Block]:
        loop = asyncio.get_running_loop()
        began = loop.time() - self.position / HEARD_RATE
        while self._until is None or self.position < self._until:
            due = began + (self.position + BLOCK) / HEARD_RATE
            await asyncio.sleep(due - loop.time())
            block = Block(self.position, self._next())
            self.position += BLOCK
            yield block

    def _next(self) -> Samples:
        part = self._sound[self.position : self.position + BLOCK]
        samples = np.zeros(BLOCK, np.float32)
        samples[: part.size] = part
        if self._noise:
            samples += (self._random.standard_normal(BLOCK) * self._noise).astype(np.float32)
        return samples


@dataclass(frozen=True, slots=True)
class Packet:
    """20 ms that left for the caller's ear at ``loop.time()`` ``at``: ``samples`` (480,) at 24 kHz."""

    at: float
    samples: Samples


class VirtualMouth:
    """A caller's loudspeaker (AudioOut): takes one packet of 20 ms at a time, and keeps what it took in ``packets``.

    An async context manager: it is open within, and drops what is queued on leaving.
    """

    def __init__(self, ahead_s: float = 30.0) -> None:
        self.packets: list[Packet] = []
        self.flushes: list[float] = []
        self.tap: Tap | None = None
        self._ducking = Ducking()
        self._sent = Sent(KEPT_S)
        self._ahead = int(ahead_s * SPOKEN_RATE)
        self._queue: deque[tuple[Samples, Mark]] = deque()
        self._queued = 0
        self._changed = asyncio.Event()
        self._player: asyncio.Task[None] | None = None

    async def __aenter__(self) -> VirtualMouth:
        self._player = asyncio.create_task(self._play(), name="virtual mouth")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.flush()
        if self._player is not None:
            self._player.cancel()
            await asyncio.gather(self._player, return_exceptions=True)

    async def play(self, samples: Samples | Recording, mark: Mark) -> None:
        if isinstance(samples, Recording):
            samples = samples.samples
        flushes = len(self.flushes)
        while self._queued > self._ahead and flushes == len(self.flushes):
            await self._change()
        if flushes != len(self.flushes) or not samples.size:
            return
        mark.queued += samples.size
        self._queue.append((samples, mark))
        self._queued += samples.size
        self._signal()

    def flush(self) -> None:
        self.flushes.append(asyncio.get_running_loop().time())
        self._queue.clear()
        self._queued = 0
        self._signal()

    def duck(self, on: bool) -> None:
        self._ducking.on = on

    async def drained(self) -> None:
        while self._queued:
            await self._change()

    def take_back(self, since: float) -> None:
        """The line was broken: what left from then on was not heard. It stays in ``packets``."""
        self._sent.take_back(since)

    @property
    def sound(self) -> Samples:
        """All samples that left, one after the other."""
        return np.concatenate([p.samples for p in self.packets]) if self.packets else np.zeros(0, np.float32)

    async def _change(self) -> None:
        await self._changed.wait()

    def _signal(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            while not self._queue:
                await self._change()
            due = max(due + BLOCK_MS / 1000, loop.time())
            await asyncio.sleep(due - loop.time())
            if self._queue:
                packet = Packet(loop.time(), self._ducking.apply(self._take(loop.time())))
                self.packets.append(packet)
                if self.tap is not None:
                    self.tap(packet.samples, packet.at)
                self._signal()

    def _take(self, now: float) -> Samples:
        packet = np.zeros(SPOKEN_BLOCK, np.float32)
        filled = 0
        whose: list[tuple[Mark, int]] = []
        while self._queue and filled < SPOKEN_BLOCK:
            samples, mark = self._queue.popleft()
            part = samples[: SPOKEN_BLOCK - filled]
            packet[filled : filled + part.size] = part
            filled += part.size
            mark.heard += part.size
            whose.append((mark, part.size))
            if mark.begun_at is None:
                mark.begun_at = now
                mark.begun.set()
            if part.size < samples.size:
                self._queue.appendleft((samples[part.size :], mark))
        self._queued -= filled
        self._sent.add(now, whose)
        return packet
