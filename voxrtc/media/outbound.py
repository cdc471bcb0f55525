"""What the assistant says: 24 kHz samples in, one Opus packet every 20 ms out, paced on the loop's clock (AudioOut).

Each packet is encoded once, when it is due (about 0.05 ms), so a flush loses nothing that was sent, what was heard is
known to the sample, and level, bitrate and protection are those of this moment. Silence is a ready packet.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import NamedTuple

import numpy as np

from voxrtc.audio import BLOCK_MS, SPOKEN_BLOCK, SPOKEN_RATE, Ducking, Mark, Recording, Samples, Sent, Tap
from voxrtc.media import opus
from voxrtc.media.pieces import Piece, Taken, harmless, take
from voxrtc.media.reel import Reel
from voxrtc.media.sending import Sending
from voxrtc.settings import Media

PACKET_S = BLOCK_MS / 1000
PACKET_TICKS = opus.RTP_RATE * BLOCK_MS // 1000
STALL_S = 0.1
"""A packet later than this is not made up for by a burst: the stream skips ahead instead."""

TAIL = 10
"""Packets of silence still encoded after speech, until the far decoder has come to rest; then ready ones are sent."""

_QUIET = np.zeros(SPOKEN_BLOCK, dtype=np.float32)
_FADE = (0.5 + 0.5 * np.cos(np.linspace(0.0, math.pi, SPOKEN_BLOCK))).astype(np.float32)


class Outgoing(NamedTuple):
    """One packet on its way: ``ticks`` of the RTP clock since the first one; ``begins``: sound after silence, which
    RFC 3551 (4.1) wants marked."""

    payload: bytes
    ticks: int
    begins: bool


class Outbound:
    """AudioOut of one peer, and the ``packets`` that it becomes.

    After ``stop()`` everything played is dropped and nobody is kept waiting.
    """

    def __init__(self, settings: Media) -> None:
        self.tap: Tap | None = None
        self._over = False
        self._ducking = Ducking()
        self._sent = Sent(settings.lost_after_s + 1.0)
        self._bound = int(settings.play_ahead_s * SPOKEN_RATE)
        self.sending = Sending(settings)
        """What is known of the way to the caller."""
        self._encoder = opus.Encoder(bitrate=settings.opus_bitrate, complexity=settings.opus_complexity)
        self._now = asyncio.get_running_loop().time
        self._pieces: deque[Piece] = deque()
        self._queued = 0
        self._flushes = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._fade: Taken | None = None
        self._reel: Reel | None = None
        """Of the recording that is being played, where all of it leaves as it is."""
        self._sounding = 0  # TAIL while speech leaves, then counts down to the ready silence
        self._due: float | None = None
        self._ticks = 0

    # -- AudioOut ----------------------------------------------------------------------------------------

    async def play(self, samples: Samples | Recording, mark: Mark) -> None:
        """Queue ``samples`` (n,) at 24 kHz; waits while more than media.play_ahead_s is queued already."""
        recording = samples if isinstance(samples, Recording) else None
        if isinstance(samples, Recording):
            samples = samples.samples
        flushes = self._flushes
        while self._queued > self._bound and flushes == self._flushes and not self._over:
            await self._change()
        if flushes != self._flushes or self._over or not samples.size:
            return
        self._pieces.append(Piece(harmless(samples), mark, recording))
        self._queued += samples.size
        mark.queued += samples.size

    def flush(self) -> None:
        """Drop everything not yet sent, and what waits in ``play()``; one packet fades out what is being said."""
        if self._sounding == TAIL and self._pieces:
            samples, heard = self._take()
            self._fade = (samples * _FADE, heard)
        self._drop()

    def duck(self, on: bool) -> None:
        """Speak DUCK_DB softer from the next packet on, or as loud as before again; one packet leads over."""
        self._ducking.on = on

    async def drained(self) -> None:
        """Return when everything queued has left, or was flushed, or the peer is gone."""
        while self._queued and not self._over:
            await self._change()

    # -- for the peer ------------------------------------------------------------------------------------

    def take_back(self, since: float) -> None:
        """The line was broken: what left at ``loop.time()`` ``since`` or later was not heard."""
        self._sent.take_back(since)

    def stop(self) -> None:
        """Nothing more is sent, and nobody waits any longer."""
        self._over = True
        self._fade = None
        self._drop()

    async def next(self) -> Outgoing | None:
        """The next packet, when it is due; None once it is over. Raises AudioError where none can be made."""
        await self._pace()
        sounded = self._sounding == TAIL
        payload, heard = self._next()
        if self._over:
            return None
        self._left(heard)
        return Outgoing(payload, self._ticks, begins=not sounded and self._sounding == TAIL)

    # -- inside ------------------------------------------------------------------------------------------

    async def _pace(self) -> None:
        """Wait until the next packet is due; after a stall, go on from now with the timestamp to match."""
        now = self._now()
        if self._due is None:
            self._due = now
            return
        self._due += PACKET_S
        self._ticks += PACKET_TICKS
        if now - self._due > STALL_S:
            skipped = int((now - self._due) / PACKET_S)
            self._due += skipped * PACKET_S
            self._ticks += skipped * PACKET_TICKS
        if self._due > now:
            await asyncio.sleep(self._due - now)

    def _next(self) -> tuple[bytes, list[tuple[Mark, int]]]:
        if self._fade is not None:
            (samples, heard), self._fade = self._fade, None
        elif self._pieces:
            self._thread()
            samples, heard = self._take()
        elif self._sounding:
            self._sounding -= 1
            return self._encoder.encode(_QUIET), []
        else:
            return opus.SILENCE, []
        self._sounding = TAIL
        level = self._ducking.apply(samples)
        if self.tap is not None:
            self.tap(level, self._now())
        if self._reel is not None and level is samples:
            payload = self._reel.next(lambda: self._encoder.encode(samples))
            if self._reel.over:
                self._unthread()
            return payload, heard
        self._unthread()
        self.sending.tune(self._encoder)
        return self._encoder.encode(level), heard

    def _thread(self) -> None:
        """Where a recording begins after silence, on a line that asks for no more than the usual: put on its reel."""
        recording = self._pieces[0].recording
        if recording is not None and not self._sounding and self.sending.usual:
            self._reel = Reel(recording, round(self.sending.bitrate))
            if not self._reel.ready:
                self.sending.tune(self._encoder)
                self._encoder.reset()  # the first time is like every other

    def _unthread(self) -> None:
        """The encoder goes on from here, which has not seen what was ready."""
        if self._reel is not None and self._reel.ready:
            self._encoder.reset()
        self._reel = None

    def _take(self) -> Taken:
        taken = take(self._pieces)
        self._queued -= sum(count for _, count in taken[1])
        return taken

    def _left(self, heard: list[tuple[Mark, int]]) -> None:
        for mark, count in heard:
            mark.heard += count
            if mark.begun_at is None:
                mark.begun_at = self._now()
                mark.begun.set()
        if heard:
            self._sent.add(self._now(), heard)
            self._wake()

    def _drop(self) -> None:
        self._flushes += 1
        self._unthread()
        self._pieces.clear()
        self._queued = 0
        self._wake()

    async def _change(self) -> None:
        """Return after the queue has next become shorter, or the track has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
