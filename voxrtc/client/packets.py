"""Samples to the Opus packets that a caller sends: all at once, or as they come."""

from __future__ import annotations

import asyncio
from collections import deque

import av
import numpy as np
import opuslib_next

from voxrtc.audio import HEARD_RATE, Samples, resample, to_pcm16

FRAME_S = 0.02
OPUS_RATE = 48_000
OPUS_FRAME = 960
BITRATE = 32_000
ROOM_DBFS = -70.0
"""Level of the noise sent between clips: a quiet room. A microphone never gives digital silence."""
AHEAD = OPUS_RATE
"""Bytes (half a second) of a stream that may wait to be sent."""
RUN_OUT = 10
"""Packets of the room after what was said, until an encoder's state is that of the room again."""


def encoder(loss_percent: int = 0) -> opuslib_next.Encoder:
    """As all callers here encode."""
    made = opuslib_next.Encoder(OPUS_RATE, 1, opuslib_next.APPLICATION_VOIP)
    made.bitrate = BITRATE
    made.inband_fec, made.packet_loss_perc = int(loss_percent > 0), loss_percent
    return made


def encode(samples: Samples, loss_percent: int = 0, rate: int = HEARD_RATE) -> list[bytes]:
    """``samples`` (n,) at ``rate`` Hz as mono Opus packets of 20 ms each (48 kHz, 32 kb/s), and 200 ms of the room.

    Opus codes levels as differences: packets of two encoders joined together are wrong by tens of dB unless both were
    in much the same state. So the encoder is run in on the room's noise, and out again, and the joints are there.
    ``loss_percent``: of the packets that are expected to be lost, for which each holds in-band FEC of the one before.
    """
    wide = resample(samples, rate, OPUS_RATE)
    lead, tail = _noise(0.2), _noise(RUN_OUT * FRAME_S + -wide.size % OPUS_FRAME / OPUS_RATE)
    return _encode(np.concatenate([lead, wide, tail]), loss_percent)[lead.size // OPUS_FRAME :]


def room() -> list[bytes]:
    """One second of a quiet room as Opus packets, to be sent over and over between clips."""
    return _encode(_noise(1.2))[10:]


class Stream:
    """Samples that come while they are sent. Where none are there in time, the room is heard."""

    def __init__(self, rate: int) -> None:
        """``rate``: Hz, of the samples that come."""
        self._rate = rate
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=OPUS_RATE)
        self._encoder = encoder()
        self._taken = asyncio.Event()
        self._taken.set()
        self._noise = to_pcm16(_noise(1.0))
        self._at = 0
        self._pieces: deque[bytes] = deque()
        self._have = 0
        self._ended = False
        self._left = RUN_OUT
        for _ in range(RUN_OUT):
            self._encoder.encode(self._room(), OPUS_FRAME)

    def put(self, samples: Samples) -> None:
        """More of the sound (n,); wait for ``taken`` before the next."""
        if not samples.size:
            return
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = self._rate
        pcm = b"".join(to_pcm16(one.to_ndarray()[0]) for one in self._resampler.resample(frame))
        self._pieces.append(pcm)
        self._have += len(pcm)
        if self._have > AHEAD:
            self._taken.clear()

    async def taken(self) -> None:
        """Return when less than half a second of what was put in is still to be sent."""
        await self._taken.wait()

    def end(self) -> None:
        """Nothing more comes."""
        # What the resampler still holds is less than a millisecond.
        self._ended = True

    def next(self) -> bytes | None:
        """The packet of the next 20 ms; None once all was given."""
        wanted = 2 * OPUS_FRAME
        if self._have >= wanted or (self._ended and self._have):
            pcm = b"".join(self._pieces)
            self._pieces.clear()
            self._pieces.append(pcm[wanted:])
            self._have = max(0, self._have - wanted)
            if self._have <= AHEAD:
                self._taken.set()
            return self._packet(pcm[:wanted] + self._room()[len(pcm[:wanted]) :])
        if self._ended:
            self._left -= 1
        return None if self._left < 0 else self._packet(self._room())

    def _packet(self, pcm: bytes) -> bytes:
        return bytes(self._encoder.encode(pcm, OPUS_FRAME))

    def _room(self) -> bytes:
        self._at = (self._at + 2 * OPUS_FRAME) % len(self._noise)
        return self._noise[self._at : self._at + 2 * OPUS_FRAME]


def _noise(seconds: float) -> Samples:
    generator = np.random.default_rng(20)
    scale = 10.0 ** (ROOM_DBFS / 20.0)
    return np.asarray(scale * generator.standard_normal(round(seconds * OPUS_RATE)), np.float32)


def _encode(wide: Samples, loss_percent: int = 0) -> list[bytes]:
    made = encoder(loss_percent)
    pcm = to_pcm16(wide)
    step = OPUS_FRAME * 2
    return [made.encode(pcm[i : i + step], OPUS_FRAME) for i in range(0, len(pcm) - step + 1, step)]
