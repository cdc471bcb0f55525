"""What the bench's callers say: tones that hop in a known order, so that every 20 ms of it tell when they were said.

Two tones at once, each sliding to another pitch every 5 ms, between 300 and 3000 Hz: speech to a codec (Opus adds its
in-band FEC to it, which it does not to noise), and yet unlike itself at any other place, so that a matched filter finds
20 ms of it to the sample, after being coded twice.
"""

from __future__ import annotations

import ctypes
from functools import cache
from itertools import pairwise

import numpy as np
import opuslib_next
from numpy.typing import NDArray
from opuslib_next.api.decoder import libopus_decode_float
from opuslib_next.exceptions import OpusError

from voxrtc.audio import Samples

RATE = 8_000
"""Hz at which the signal is looked at."""

STRETCH = RATE // 50
"""Samples of 20 ms, one packet."""

LOOP = 256
"""Packets until the signal repeats itself (5.12 s): longer than any delay that is looked for."""

SENT_RATE = 48_000
SENT_STRETCH = SENT_RATE // 50
BITRATE = 32_000
EXPECTED_LOSS = 10
"""Percent of loss the packets are made for: libwebrtc turns FEC on when losses are reported to it."""

LEVEL = 0.1
HOPS = 4
TONES = 2
BAND_HZ = (300.0, 3_000.0)


class Decoder:
    """Opus packets of any kind to mono float32 at RATE; keeps state from packet to packet."""

    def __init__(self) -> None:
        self._decoder = opuslib_next.Decoder(RATE, 1)
        self._buffer = np.zeros(RATE * 120 // 1000, dtype=np.float32)
        self._pointer = self._buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def decode(self, payload: bytes) -> Samples:
        """Samples (n,) of ``payload``; none at all of what is no Opus."""
        try:
            count = libopus_decode_float(
                self._decoder.decoder_state, payload, len(payload), self._pointer, self._buffer.size, 0
            )
        except OpusError:
            count = 0
        return self._buffer[: max(0, count)].copy()


class Signal:
    """``packets``: LOOP of 20 ms each, to be sent round and round. ``sound``: what they hold, (LOOP, STRETCH) at RATE.

    ``sound`` is what a decoder makes of the packets, so the delay of the encoder that made them is in no measurement.
    """

    def __init__(self, seed: int = 1) -> None:
        encoder = opuslib_next.Encoder(SENT_RATE, 1, opuslib_next.APPLICATION_VOIP)
        encoder.bitrate = BITRATE
        encoder.inband_fec = 1
        encoder.packet_loss_perc = EXPECTED_LOSS
        pcm = (np.tile(_tones(seed), 2) * 32_767).astype("<i2").reshape(2 * LOOP, SENT_STRETCH)
        # Of two rounds the second: its first packet follows its last.
        self.packets: list[bytes] = [encoder.encode(block.tobytes(), SENT_STRETCH) for block in pcm][LOOP:]
        decoder = Decoder()
        self.sound: NDArray[np.float32] = np.stack([decoder.decode(p) for p in self.packets * 2][LOOP:])
        self.level = float(np.sqrt(np.mean(np.square(self.sound))))


@cache
def signal() -> Signal:
    """The signal of every caller; each begins it elsewhere."""
    return Signal()


def _tones(seed: int) -> NDArray[np.float64]:
    """One round, (LOOP * SENT_STRETCH,) at SENT_RATE, that can be joined to itself."""
    rng = np.random.default_rng(seed)
    count = LOOP * SENT_STRETCH
    sum_ = np.zeros(count)
    for _ in range(TONES):
        pitches = rng.uniform(*BAND_HZ, LOOP * HOPS)
        ends = pairwise([*pitches, pitches[0]])
        hz = np.concatenate([np.linspace(a, b, SENT_STRETCH // HOPS, endpoint=False) for a, b in ends])
        sum_ += np.sin(2 * np.pi * np.cumsum(hz) / SENT_RATE)
    loudness: NDArray[np.float64] = sum_ * LEVEL / np.sqrt(np.mean(np.square(sum_)))
    return loudness
