"""What the caller says: RTP packets to 20 ms blocks at 16 kHz on the call's own, gapless sample clock (AudioIn).

Packets drive it: what is in order is decoded and handed on as it comes. A timer does the rest:

- It gives holes up at their deadline.
- Where packets are overdue and none has come that shows them lost, the sound goes on in time, for BRIDGE_MS. If they
  were only delayed they come too late, as one that was given up does.
- While nothing comes at all (DTX, a replaced microphone, a stalled network) silence flows in real time, because
  endpointing counts it. If packets were only delayed, all that was not bridged is still heard: the clock is then ahead
  of the sender's by the silence that was put in, until a later pause is so much shorter; it is never behind.

Nothing here runs on a clock of its own while packets come, so a caller's clock that is fast or slow (drift) neither
fills the queue nor empties it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples
from voxrtc.errors import AudioError
from voxrtc.media import opus
from voxrtc.media.jitter import Hole, JitterBuffer, Packet

logger = logging.getLogger(__name__)

QUEUE = 250
"""Blocks (5 s) kept for a consumer that lags; after that the oldest are dropped and counted."""

PATIENCE_S = 0.3
"""Seconds without a packet before silence flows in its place: a caller who sends all the time is only held up."""

DTX_PATIENCE_S = 0.06
"""The same after a packet that announced a pause: at most DTX_BYTES long (RFC 7587, 3.1.3)."""

DTX_BYTES = 2

MAX_GAP_S = 2.0
"""A step of the RTP timestamp larger than this, either way, is a new origin and not a gap."""

CONCEAL_MS = 100
"""Longest stretch libopus makes up for; it fades to nothing about there, and silence follows."""

BRIDGE_MS = 60
"""Longest stretch that is made up for while nothing comes. What comes late of a longer one is worth waiting for."""

STALL_S = 0.002
"""A timer that comes later than this says that the event loop was held up."""

AFTER_STALL_S = 0.003
RESOLUTION_S = 0.001

BRIDGE = BRIDGE_MS * HEARD_RATE // 1000
_TICKS = opus.RTP_RATE // HEARD_RATE
_STEP = HEARD_RATE // 400
"""Samples in 2.5 ms, the grain of Opus."""


class Inbound:
    """AudioIn of one peer. ``start()`` when connected, ``receive()`` every packet, ``close()`` at the end.

    ``on_error`` is told if a packet or the clock could not be dealt with; the iteration is over then.
    """

    def __init__(self, start_ms: int, max_ms: int, on_error: Callable[[str], None]) -> None:
        self.jitter = JitterBuffer(start_ms, max_ms)
        self.concealed = 0
        """Blocks with samples made up for lost packets."""
        self.recovered = 0
        """Lost packets restored from the in-band FEC of the next one."""
        self.dropped = 0
        """Blocks dropped because the consumer lagged."""
        self.broken = 0
        """Packets that were no Opus."""
        self.heard_at: float | None = None
        """``loop.time()`` of the last packet."""
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._decoder = opus.Decoder()
        self._ssrc: int | None = None
        self._cursor = 0  # RTP timestamp that follows the last packet
        self._filled = 0  # samples of silence put in since then
        self._bridged = 0  # of these, those that were made up in place of packets that are overdue
        self._ahead = 0  # samples of silence put in for which the sender's clock left no room
        self._covered = 0.0  # loop time up to which there are samples
        self._patience = PATIENCE_S
        self._frame = BLOCK  # samples of the last packet
        self._position = 0
        self._parts: list[Samples] = []
        self._pending = 0
        self._made_up = False
        self._blocks: deque[Block] = deque(maxlen=QUEUE)
        self._waiting: asyncio.Future[None] | None = None
        """Whoever iterates waits for this."""
        self._closed = False
        self._timer: asyncio.Handle | None = None
        self._set_for = 0.0  # when the timer is due; uvloop's handle for what is due already does not know it
        self._stalled = False

    # -- the two ends ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the call's clock run from now on."""
        if not self._closed and self._timer is None:
            self._covered = self._loop.time()
            self._arm()

    def receive(self, packet: Packet) -> None:
        """Take in one RTP packet of Opus, now."""
        if self._closed:
            return
        now = self._loop.time()
        self.start()
        self.heard_at = now
        with self._fault():
            self.jitter.put(packet, now)
            self._play(self.jitter.take(now), now)
        if self._timer is not None and self._due() < self._set_for:
            self._arm()

    def close(self) -> None:
        """End the iteration, after the blocks that are ready."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake()

    async def __aiter__(self) -> AsyncIterator[Block]:
        while True:
            while self._blocks:
                yield self._blocks.popleft()
            if self._closed:
                return
            self._waiting = self._loop.create_future()
            await self._waiting

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    @contextmanager
    def _fault(self) -> Iterator[None]:
        """Report what fails in a callback of the loop, where it would be one line in a log and a deaf call."""
        try:
            yield
        except Exception as error:
            logger.exception("the caller's audio failed")
            self._on_error(f"The caller's audio stopped: {error}")
            self.close()

    # -- time --------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._closed:
            return
        self._set_for = max(self._due(), self._loop.time())
        self._timer = self._loop.call_at(self._set_for, self._tick)

    def _due(self) -> float:
        """When something is to be done if no packet comes."""
        deadline = self.jitter.deadline
        if deadline is not None:
            return deadline
        silence = self._covered + self._patience
        return min(silence, self._overdue_at()) if self._bridges() else silence

    def _bridges(self) -> bool:
        """Whether a packet that is overdue is to be made up for: where the caller spoke when the last one came."""
        return self._ssrc is not None and self._patience == PATIENCE_S and self._filled < BRIDGE

    def _overdue_at(self) -> float:
        return self.jitter.missed_at + self._filled / HEARD_RATE

    def _tick(self) -> None:
        now = max(self._loop.time(), self._set_for)  # a timer may come a clock tick early
        if now - self._set_for > STALL_S and not self._stalled:
            # It was the loop that slept, not the caller: the packets wait in the socket, let them in first.
            self._stalled = True
            self._set_for = now + AFTER_STALL_S
            self._timer = self._loop.call_at(self._set_for, self._tick)
            return
        self._stalled = False
        with self._fault():
            self._play(self.jitter.take(now), now)
            if self.jitter.deadline is None:
                while self._bridges() and now >= self._overdue_at():
                    self._bridge()
                self._fill(now)
        self._arm()

    def _bridge(self) -> None:
        """Go on in place of a packet that is overdue."""
        samples = min(self._frame, BRIDGE - self._filled)
        self._emit(self._decoder.conceal(samples), made_up=True)
        self._filled += samples
        self._bridged += samples
        self._covered += samples / HEARD_RATE

    def _fill(self, now: float) -> None:
        """Silence for the time in which nothing came, in whole blocks."""
        owed = now - self._patience - self._covered + RESOLUTION_S
        if owed < 0:
            return
        blocks = int(owed * HEARD_RATE) // BLOCK + 1
        self._covered += blocks * BLOCK / HEARD_RATE
        blocks = min(blocks, QUEUE)
        self._silence(blocks * BLOCK)
        self._filled += blocks * BLOCK

    # -- packets to samples ------------------------------------------------------------------------------

    def _play(self, items: list[Packet | Hole], now: float) -> None:
        for item in items:
            if isinstance(item, Hole):
                self._follow(item.follower, item.count)
            elif item.payload:
                self._follow(item, 0)
                self._decode(item)
                self._covered = max(self._covered, now)
                self._patience = DTX_PATIENCE_S if len(item.payload) <= DTX_BYTES else PATIENCE_S

    def _follow(self, packet: Packet, lost: int) -> None:
        """Bring the clock to where ``packet`` begins: fill the gap before it, in which ``lost`` packets are missing."""
        if packet.ssrc != self._ssrc:
            if self._ssrc is not None:
                self._decoder = opus.Decoder()
            self._ssrc = packet.ssrc
            self._begin(packet)
            return
        gap = _signed32(packet.timestamp - self._cursor) // _TICKS
        if abs(gap - self._filled) > MAX_GAP_S * HEARD_RATE:
            self._begin(packet)
            return
        self._cursor = packet.timestamp
        filled, bridged = self._filled, self._bridged
        restored = self._restorable(gap - filled, packet.payload) if lost else 0
        left = gap - filled - restored
        self._filled = self._bridged = max(0, min(bridged, -left))
        if left < 0:
            self._pause(left + self._bridged)
        elif lost and filled == bridged:
            self._make_up(left, lost * self._frame - filled - restored)
        else:
            self._pause(left)
        if restored:
            self.recovered += 1
            self._emit(self._decoder.decode_before(packet.payload, restored))

    def _begin(self, packet: Packet) -> None:
        """What was before says nothing of where ``packet`` is."""
        self._cursor = packet.timestamp
        self._filled = self._bridged = self._ahead = 0

    def _pause(self, samples: int) -> None:
        """Silence, less what was put in too much before; fewer than none are so many too much."""
        due = samples - self._ahead
        self._ahead = max(0, -due)
        self._silence(due)

    def _make_up(self, gap: int, missing: int) -> None:
        """``gap`` samples, of which the packets that are ``missing`` held no more than so many: the rest was a pause.

        libopus goes on from what was decoded last, for CONCEAL_MS; what it makes begins and ends at its grain.
        """
        gap -= gap % _STEP
        missing = max(0, min(gap, missing - missing % _STEP))
        made_up = min(missing, CONCEAL_MS * HEARD_RATE // 1000)
        if made_up:
            self._emit(self._decoder.conceal(made_up), made_up=True)
        self._silence(missing - made_up, made_up=True)
        self._silence(gap - missing)

    def _decode(self, packet: Packet) -> None:
        try:
            samples = self._decoder.decode(packet.payload)
        except AudioError:
            self.broken += 1
            samples = self._decoder.conceal(self._frame)
            self._emit(samples, made_up=True)
        else:
            self._frame = samples.size
            self._emit(samples[self._passed_by(samples.size) :])
        self._cursor = (packet.timestamp + samples.size * _TICKS) & 0xFFFFFFFF

    def _passed_by(self, samples: int) -> int:
        """How many of the ``samples`` of a packet come too late, because they were made up for."""
        if not self._bridged:
            return 0
        passed = min(self._bridged, samples)
        self._bridged -= passed
        self._filled -= passed
        self.jitter.late += 1
        return passed

    @staticmethod
    def _restorable(gap: int, follower: bytes) -> int:
        """Samples right before ``follower`` that it holds a copy of: one frame or none."""
        try:
            frame = opus.frame_us(follower) * HEARD_RATE // 1_000_000 if opus.has_fec(follower) else 0
        except AudioError:
            return 0
        return frame if frame <= gap else 0

    # -- samples to blocks -------------------------------------------------------------------------------

    def _silence(self, samples: int, *, made_up: bool = False) -> None:
        if samples > 0:
            self._emit(np.zeros(samples, dtype=np.float32), made_up=made_up)

    def _emit(self, samples: Samples, *, made_up: bool = False) -> None:
        self._parts.append(samples)
        self._pending += samples.size
        self._made_up |= made_up
        if self._pending < BLOCK:
            return
        joined = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        whole = self._pending - self._pending % BLOCK
        for start in range(0, whole, BLOCK):
            self._hand_on(joined[start : start + BLOCK])
        self._parts = [joined[whole:]] if whole < joined.size else []
        self._pending = joined.size - whole
        self._made_up = made_up and self._pending > 0

    def _hand_on(self, samples: Samples) -> None:
        if len(self._blocks) == QUEUE:
            self.dropped += 1
        self.concealed += self._made_up
        self._blocks.append(Block(self._position, samples, concealed=self._made_up))
        self._position += BLOCK
        self._wake()


def _signed32(difference: int) -> int:
    """``difference`` of two 32-bit timestamps as the shorter way round."""
    return ((difference + 0x80000000) & 0xFFFFFFFF) - 0x80000000
