"""A caller's line over an ordered stream of messages (WebSocket, TCP), where sound comes and goes as samples.

Nothing is lost or reordered there, so there is no jitter buffer; but nothing paces it either. What is said is sent a
little ahead of when it is to be heard (LEAD_S), never more: so what was heard is known as well as on a WebRTC line, and
an interruption has little to take back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import av
import numpy as np

from voxrtc.audio import (
    BLOCK,
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
from voxrtc.errors import AudioError, frames
from voxrtc.lines import Gone, Message
from voxrtc.settings import Media

logger = logging.getLogger(__name__)

LEAD_S = 0.2
"""So far ahead sound is sent: more than the jitter of a connection that is fit to talk over."""
TICK_S = 0.04
BLOCK_S = BLOCK / HEARD_RATE
PATIENCE_S = 0.3
"""Seconds without sound before silence flows in its place: who sends all the time is only held up."""
QUEUE = 3_000
"""Blocks (60 s) that may wait to be heard; of more, the oldest are dropped and counted."""
AT_ONCE = 8
"""Blocks heard before other callers have their turn: sound may come much faster than it was spoken."""
UNSENT = 512
"""Messages that may wait for a caller who does not read; of more, the oldest are dropped and counted."""
FINISH_S = 1.0
RATES = (8_000, 48_000)


class Order(Enum):
    """What a caller is told of the sound that it was sent."""

    CLEAR = "clear"
    """What has not been played yet is void."""


Outgoing = str | Samples | Order
"""A message, sound (n,) at 24 kHz, or what is to become of the sound before."""


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
        if self._timer is not None:
            self._timer.cancel()
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[Block]:
        given = 0
        while True:
            while self._blocks:
                yield self._blocks.popleft()
                given += 1
                if given % AT_ONCE == 0:
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

    def _add(self, samples: Samples) -> None:
        samples = np.concatenate([self._rest, samples]) if self._rest.size else samples
        whole = samples.size - samples.size % BLOCK
        for start in range(0, whole, BLOCK):
            self.dropped += len(self._blocks) == QUEUE
            self._blocks.append(Block(self._position, samples[start : start + BLOCK]))
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
            self._add(np.zeros(min(owed, QUEUE) * BLOCK, np.float32))
        self._arm()


@dataclass(slots=True)
class _Piece:
    """What is left to send of one ``play()``."""

    samples: Samples
    mark: Mark


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
        self._pieces: deque[_Piece] = deque()
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
        self._pieces.append(_Piece(np.clip(np.nan_to_num(samples), -1.0, 1.0), mark))
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

    def _take(self) -> tuple[Samples, list[tuple[Mark, int]]]:
        """The next 20 ms of what is queued, (480,), filled up with silence at the end, and whose they are."""
        block = np.zeros(SPOKEN_BLOCK, np.float32)
        whose: list[tuple[Mark, int]] = []
        filled = 0
        while self._pieces and filled < SPOKEN_BLOCK:
            piece = self._pieces[0]
            count = min(piece.samples.size, SPOKEN_BLOCK - filled)
            block[filled : filled + count] = piece.samples[:count]
            piece.samples = piece.samples[count:]
            if not piece.samples.size:
                self._pieces.popleft()
            whose.append((piece.mark, count))
            filled += count
        self._queued -= filled
        return self._ducking.apply(block), whose

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _signal(self) -> None:
        self._changed.set()


class Stream:
    """voxrtc.lines.Line. Whoever owns the connection gives it what comes (``hear``, ``receive``), sends what
    ``outgoing`` yields until that ends, and says when the connection is gone (``end``)."""

    def __init__(self, settings: Media) -> None:
        self.on_message: Callable[[Message], None] = _ignore
        self.on_bad_message: Callable[[str], None] = _ignore
        self.on_change: Callable[[], None] = _nothing
        self.detail = ""
        self.unsent = 0
        """Messages dropped because the caller did not take them."""
        self._ears = StreamEars()
        self._mouth = StreamMouth(settings, self._put, self._void)
        self._outgoing: deque[Outgoing] = deque()
        self._waiting = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()
        self._reason: Gone | None = None
        self._gone = asyncio.Event()
        self._closing = False

    # -- for who owns the connection ---------------------------------------------------------------------

    def hear(self, samples: Samples, rate: int) -> None:
        """The caller's next samples (n,) at ``rate`` Hz. Raises AudioError where that cannot be heard."""
        self._ears.hear(samples, rate)

    def receive(self, message: Message) -> None:
        """A message that is not sound."""
        if self.gone:
            return
        try:
            self.on_message(message)
        except Exception as error:  # noqa: BLE001 - it ends this line, and says so
            logger.error("a message handler failed: %s", frames(error))  # noqa: TRY400 - its message may hold words
            self.end("error", f"A message could not be handled ({type(error).__name__}).")

    def refuse(self, why: str) -> None:
        """What came was no message that can be taken; ``why`` is a sentence."""
        if not self.gone:
            self.on_bad_message(why)

    async def outgoing(self) -> AsyncIterator[Outgoing]:
        """What is to be sent, in order; ends with the line. One item counts as sent when the next is asked for."""
        while True:
            while self._outgoing:
                yield self._outgoing.popleft()
            self._written.set()
            if self.gone:
                return
            self._waiting.clear()
            await self._waiting.wait()

    def end(self, reason: Gone, detail: str = "") -> None:
        """The connection is gone, or to be ended."""
        if self._reason is None:
            self._reason, self.detail = reason, detail
            self._ears.close()
            self._mouth.stop()
            self._waiting.set()
            self._gone.set()
            self.on_change()

    # -- Line --------------------------------------------------------------------------------------------

    @property
    def ears(self) -> StreamEars:
        return self._ears

    @property
    def mouth(self) -> StreamMouth:
        return self._mouth

    @property
    def up(self) -> bool:
        return self._reason is None

    @property
    def gone(self) -> bool:
        return self._reason is not None

    def send(self, message: str) -> None:
        """One message to the caller, in order; dropped once the line is over."""
        if self.gone or self._closing:
            return
        if len(self._outgoing) >= UNSENT:
            self._outgoing.popleft()
            self.unsent += 1
        self._append(message)

    async def connected(self) -> None:
        """At once: a stream is up when it is made."""

    async def closed(self) -> Gone:
        await self._gone.wait()
        assert self._reason is not None
        return self._reason

    def stats(self) -> dict[str, Any] | None:
        """None: there are no packets to count."""
        return None

    def missed(self, silent_s: float) -> None:
        self._mouth.take_back(asyncio.get_running_loop().time() - silent_s)

    async def ask(self, timeout: float) -> None:
        """Nothing: TCP tells when nobody is there."""

    def leave(self) -> None:
        self._mouth.stop()

    async def finish(self) -> None:
        """Return once the caller was sent everything, after FINISH_S at the most."""
        self._closing = True
        try:
            async with asyncio.timeout(FINISH_S):
                await self._written.wait()
        except TimeoutError:
            logger.debug("a caller did not take its last messages")

    async def close(self) -> None:
        self.end("closed")

    # -- inside ------------------------------------------------------------------------------------------

    def _put(self, samples: Samples) -> None:
        if len(self._outgoing) >= UNSENT:
            self.end("lost", "The caller does not take what it is sent.")
        elif not self.gone:
            self._append(samples)

    def _void(self) -> None:
        """Sound that is still here is not sent any more; what was sent is not to be played."""
        kept = [item for item in self._outgoing if not isinstance(item, np.ndarray)]
        self._outgoing.clear()
        self._outgoing.extend(kept)
        self._append(Order.CLEAR)

    def _append(self, item: Outgoing) -> None:
        self._outgoing.append(item)
        self._written.clear()
        self._waiting.set()


def _ignore(_: object) -> None:
    pass


def _nothing() -> None:
    pass
