"""The caller's microphone: Opus packets, one every 20 ms, on absolute deadlines, whichever line takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from voxrtc.client.packets import FRAME_S, OPUS_FRAME, OPUS_RATE, Stream

TIMER_S = 0.0008
"""Timers of the event loop are in whole milliseconds, rounded up: set this much early they are right in the mean."""
TIME_BASE = Fraction(1, OPUS_RATE)


class Microphone:
    """Sends the room's noise, and the clip that ``play`` was given, or what comes from a ``stream``.

    Frame n holds what is captured from n x 20 ms on and is sent when it is complete, at (n + 1) x 20 ms after the
    first. Whatever delays one frame delays no other: deadlines are counted from the first, and a late frame is sent
    at once. ``late_s`` is the worst of those delays: it tells whether this caller kept time, and so whether what it
    measured can be believed. While there is no line nothing is sent, and a clip waits where it is.
    """

    def __init__(self, room: Sequence[bytes]) -> None:
        self._room = room
        self._track: _Track | None = None
        self._began: float | None = None
        self._frame = 0
        self._clip: Sequence[bytes] = ()
        self._clip_at = 0
        self._stream: Stream | None = None
        self._sent = asyncio.Event()
        self._sent.set()
        self._on = asyncio.Event()
        self.late_s = 0.0

    @property
    def running(self) -> bool:
        """Its packets are being sent."""
        return self._began is not None

    @property
    def playing(self) -> bool:
        """Something is being said."""
        return not self._sent.is_set()

    def track(self) -> MediaStreamTrack:
        """What a new line sends: from its first packet on the packets are its own, and no other line's any more."""
        return _Track(self)

    def play(self, packets: Sequence[bytes]) -> float:
        """Send ``packets`` from the next whole frame on, in place of what was being said; returns the ``loop.time()``
        of its first sample."""
        if self._began is None:
            raise RuntimeError("the microphone is not being sent yet")
        self._stream = None
        self._clip, self._clip_at = packets, self._frame + 1
        self._sent.clear()
        return self._began + self._clip_at * FRAME_S

    def stream(self, stream: Stream) -> None:
        """Send what comes from ``stream`` from the next frame on, in place of what was being said."""
        self._clip, self._stream = (), stream
        self._sent.clear()

    def stop(self) -> None:
        """Say nothing more."""
        self._clip, self._stream = (), None
        self._sent.set()

    async def started(self) -> None:
        """Return when its packets are being sent."""
        await self._on.wait()

    async def sent(self) -> None:
        """Return when all that was to be said is sent."""
        await self._sent.wait()

    async def capture(self, track: _Track) -> av.Packet[Any]:
        """The next packet, when it is due, for ``track``. Raises MediaStreamError where another one has taken over."""
        loop = asyncio.get_running_loop()
        if not track.begun:
            track.begun, self._track = True, track
            self._began = loop.time() - self._frame * FRAME_S
            self._on.set()
        if self._track is not track or self._began is None:
            raise MediaStreamError
        due = self._began + (self._frame + 1) * FRAME_S
        await asyncio.sleep(max(0.0, due - TIMER_S - loop.time()))
        if self._track is not track:
            raise MediaStreamError
        self.late_s = max(self.late_s, loop.time() - due)
        packet = av.Packet(self._payload(self._frame))
        packet.pts = self._frame * OPUS_FRAME
        packet.time_base = TIME_BASE
        self._frame += 1
        return packet

    def _payload(self, frame: int) -> bytes:
        if self._stream is not None:
            if (packet := self._stream.next()) is not None:
                return packet
            self.stop()
        into = frame - self._clip_at
        if 0 <= into < len(self._clip):
            return self._clip[into]
        if into >= len(self._clip):
            self._sent.set()
        return self._room[frame % len(self._room)]


class _Track(MediaStreamTrack):
    """The microphone as one line takes it; aiortc stops it with the line."""

    kind = "audio"

    def __init__(self, microphone: Microphone) -> None:
        super().__init__()
        self._microphone = microphone
        self.begun = False

    async def recv(self) -> av.Packet[Any]:
        if self.readyState != "live":
            raise MediaStreamError
        return await self._microphone.capture(self)
