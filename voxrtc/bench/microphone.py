"""The caller's microphone: ready Opus packets, one every 20 ms, on absolute deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from voxrtc.bench.clip import FRAME_S, OPUS_FRAME, OPUS_RATE

TIMER_S = 0.0008
"""Timers of the event loop are in whole milliseconds, rounded up: set this much early they are right in the mean."""
TIME_BASE = Fraction(1, OPUS_RATE)


class Microphone(MediaStreamTrack):
    """Sends the room's noise, and the clip that ``play`` was given.

    Frame n holds what is captured from n x 20 ms on and is sent when it is complete, at (n + 1) x 20 ms after the
    first. Whatever delays one frame delays no other: deadlines are counted from the first, and a late frame is sent
    at once. ``late_s`` is the worst of those delays: it tells whether this caller kept time, and so whether what it
    measured can be believed.
    """

    kind = "audio"

    def __init__(self, room: Sequence[bytes]) -> None:
        super().__init__()
        self._room = room
        self._began: float | None = None
        self._frame = 0
        self._clip: Sequence[bytes] = ()
        self._clip_at = 0
        self.late_s = 0.0

    @property
    def running(self) -> bool:
        """Its packets are being sent."""
        return self._began is not None

    def play(self, packets: Sequence[bytes]) -> float:
        """Send ``packets`` from the next whole frame on; returns the ``loop.time()`` of its first sample."""
        if self._began is None:
            raise RuntimeError("the microphone is not being sent yet")
        self._clip, self._clip_at = packets, self._frame + 1
        return self._began + self._clip_at * FRAME_S

    async def recv(self) -> av.Packet[Any]:
        """The next packet, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        due = self._began + (self._frame + 1) * FRAME_S
        await asyncio.sleep(max(0.0, due - TIMER_S - loop.time()))
        self.late_s = max(self.late_s, loop.time() - due)
        packet = av.Packet(self._payload(self._frame))
        packet.pts = self._frame * OPUS_FRAME
        packet.time_base = TIME_BASE
        self._frame += 1
        return packet

    def _payload(self, frame: int) -> bytes:
        into = frame - self._clip_at
        if 0 <= into < len(self._clip):
            return self._clip[into]
        return self._room[frame % len(self._room)]
