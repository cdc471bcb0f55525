"""Opus (RFC 6716) through libopus: the caller's packets to 16 kHz samples, the assistant's 24 kHz samples to packets.

libopus and its ctypes declarations come from ``opuslib-next-bundled``. The package's own ``decode`` takes no null
packet, which is how libopus is asked to conceal a loss, so decoding goes through its declared C function.
"""

from __future__ import annotations

import ctypes

import numpy as np
from opuslib_next import APPLICATION_AUDIO, OpusError
from opuslib_next import Decoder as LibDecoder
from opuslib_next import Encoder as LibEncoder
from opuslib_next import constants as ctls
from opuslib_next.api import ctl, libopus
from opuslib_next.api.decoder import libopus_decode_float
from opuslib_next.api.encoder import encoder_ctl, libopus_encode_float

from voxrtc.audio import HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, Samples
from voxrtc.errors import AudioError

RTP_RATE = 48_000
"""Hz. The RTP clock of Opus, whatever the audio bandwidth (RFC 7587, 4.1)."""

SILENCE = b"\xf8\xff\xfe"
"""20 ms of digital silence as a ready packet: CELT, fullband, mono, the silence flag set."""

MAX_PACKET = 1_275
"""Bytes of the longest single Opus frame (RFC 6716, 3.4)."""

_SET_PREDICTION_DISABLED = ctl.ctl_set(ctls.SET_PREDICTION_DISABLED_REQUEST)
_MAX_HEARD = HEARD_RATE * 120 // 1000
_SILK_US = (10_000, 20_000, 40_000, 60_000)
_HYBRID_US = (10_000, 20_000)
_CELT_US = (2_500, 5_000, 10_000, 20_000)


def frame_us(payload: bytes) -> int:
    """Duration in microseconds (2 500 to 60 000) of each frame of a packet, from its TOC byte (RFC 6716, 3.1).

    Raises AudioError on an empty packet.
    """
    if not payload:
        raise AudioError("An Opus packet is empty.")
    config = payload[0] >> 3
    if config < 12:
        return _SILK_US[config & 3]
    return _HYBRID_US[config & 1] if config < 16 else _CELT_US[config & 3]


def packet_us(payload: bytes) -> int:
    """Duration in microseconds (2 500 to 120 000) of a packet of one or more frames (RFC 6716, 3.2).

    Raises AudioError on an empty packet, a missing frame count or more than 120 ms.
    """
    frame, code = frame_us(payload), payload[0] & 3
    if code < 3:
        return frame if code == 0 else 2 * frame
    if len(payload) < 2 or not 0 < frame * (payload[1] & 0x3F) <= 120_000:
        raise AudioError("An Opus packet has no valid frame count.")
    return frame * (payload[1] & 0x3F)


def has_fec(payload: bytes) -> bool:
    """True where the packet carries a second, coarser copy of the one before it (LBRR, RFC 6716, 2.1.7)."""
    return bool(payload) and int(libopus.opus_packet_has_lbrr(payload, len(payload))) == 1


class Decoder:
    """Packets of one caller to mono float32 at 16 kHz; keeps state from packet to packet."""

    def __init__(self) -> None:
        self._decoder = LibDecoder(HEARD_RATE, 1)
        self._buffer = np.zeros(_MAX_HEARD, dtype=np.float32)
        self._pcm = self._buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def decode(self, payload: bytes) -> Samples:
        """Samples (16 a ms of the packet,). Raises AudioError on bytes that are no Opus packet."""
        packet_us(payload)
        return self._decode(payload, _MAX_HEARD, fec=False)

    def decode_before(self, payload: bytes, samples: int) -> Samples:
        """The ``samples`` (a multiple of 40, at most 1920) before ``payload``, from its in-band FEC.

        What the FEC does not reach, and all of it if there is none, is concealed.
        """
        packet_us(payload)
        return self._decode(payload, samples, fec=True)

    def conceal(self, samples: int) -> Samples:
        """``samples`` (a multiple of 40, at most 1920) made up to go on from what was decoded last."""
        return self._decode(None, samples, fec=False)

    def _decode(self, payload: bytes | None, samples: int, *, fec: bool) -> Samples:
        length = len(payload) if payload else 0
        count = libopus_decode_float(self._decoder.decoder_state, payload, length, self._pcm, samples, int(fec))
        if count < 0:
            raise AudioError(f"An Opus packet of {length} bytes cannot be decoded: {OpusError(count)}.")
        return self._buffer[:count].copy()


class Encoder:
    """Mono float32 at 24 kHz to packets of 20 ms.

    ``APPLICATION_AUDIO``: on a line that loses nothing libopus then codes speech at 32 kb/s by CELT, which is nearer to
    the original than the hybrid of VOIP (1.2 against 1.7 dB of mel spectrum) for a third of the work; where loss is to
    be expected it takes SILK, which has the in-band FEC.
    """

    def __init__(self, *, bitrate: int = 32_000, complexity: int = 5, fec: bool = True) -> None:
        self._encoder = LibEncoder(SPOKEN_RATE, 1, APPLICATION_AUDIO)
        self._encoder.bitrate = bitrate
        self._encoder.complexity = complexity
        self._encoder.inband_fec = int(fec)
        self._alone = False
        """The next packet is to refer to none before it."""
        self._packet = ctypes.create_string_buffer(MAX_PACKET)
        self._buffer = np.zeros(SPOKEN_BLOCK, dtype=np.float32)
        self._pcm = self._buffer.ctypes.data_as(ctypes.POINTER(ctypes.c_float))  # once: it takes as long as a copy

    @property
    def complexity(self) -> int:
        """0 to 10: work spent on a packet."""
        return int(self._encoder.complexity)

    @complexity.setter
    def complexity(self, wanted: int) -> None:
        self._encoder.complexity = wanted

    @property
    def bitrate(self) -> int:
        """Bits per second."""
        return int(self._encoder.bitrate)

    @bitrate.setter
    def bitrate(self, wanted: int) -> None:
        self._encoder.bitrate = wanted

    def expect_loss(self, percent: int) -> None:
        """Tell the encoder how many packets of a hundred are lost on the way: from about 5 on it adds FEC."""
        self._encoder.packet_loss_perc = percent

    def encode(self, samples: Samples) -> bytes:
        """One packet of ``samples`` (480,). Raises AudioError on any other shape or a failure of libopus."""
        if samples.shape != (SPOKEN_BLOCK,):
            raise AudioError(f"The encoder takes {SPOKEN_BLOCK} samples at a time, not {samples.shape}.")
        self._buffer[:] = samples
        length = libopus_encode_float(self._encoder.encoder_state, self._pcm, SPOKEN_BLOCK, self._packet, MAX_PACKET)
        if length < 0:
            raise AudioError(f"Audio cannot be encoded: {OpusError(length)}.")
        if self._alone:
            self._predict(True)
        return ctypes.string_at(self._packet, length)

    def reset(self) -> None:
        """Forget all that was encoded. The next packet will refer to none before it: whatever the far decoder has
        heard last, it can go on with it (RFC 6716, 4.3.2.1)."""
        self._encoder.reset_state()
        self._predict(False)

    def _predict(self, on: bool) -> None:
        self._alone = not on
        encoder_ctl(self._encoder.encoder_state, _SET_PREDICTION_DISABLED, int(not on))
