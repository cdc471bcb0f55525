"""Samples to the bytes of a file, as they come: WAV, raw PCM, and what FFmpeg encodes."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples, to_pcm16

UNKNOWN = 0xFFFF_FFFF
"""The size of a WAV file that is not known when it begins; players read to the end of the stream."""


class Encoder(Protocol):
    """Makes a file of 24 kHz mono float32 samples: ``feed`` (n,), then ``finish``; both give the next bytes of it."""

    def feed(self, samples: Samples) -> bytes: ...

    def finish(self) -> bytes: ...


class Plain:
    """Little-endian 16 bit samples, behind ``header``."""

    def __init__(self, header: bytes = b"") -> None:
        self._header = header

    def feed(self, samples: Samples) -> bytes:
        header, self._header = self._header, b""
        return header + to_pcm16(samples)

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header


class _Sink:
    """A file that is written once from its beginning to its end."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self.written)
        self.written.clear()
        return data


class Compressed:
    """By FFmpeg: ``codec`` in ``container``, with ``bit_rate`` bits a second where that can be chosen."""

    def __init__(self, container: str, codec: str, bit_rate: int = 0) -> None:
        self._sink = _Sink()
        self._file = av.open(self._sink, "w", format=container)
        stream = self._file.add_stream(codec, rate=SPOKEN_RATE)
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        self._stream.layout = "mono"
        if bit_rate:
            self._stream.bit_rate = bit_rate
        self._at = 0

    def feed(self, samples: Samples) -> bytes:
        whole = np.frombuffer(to_pcm16(samples), "<i2")[np.newaxis]
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SPOKEN_RATE, self._at, Fraction(1, SPOKEN_RATE)
        self._at += samples.size
        self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        if self._at:
            self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.take()


TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""The formats of OpenAI's speech endpoint, and what they are called."""


def encoder(form: str) -> Encoder:
    """One of TYPES. PCM is 24 kHz, 16 bit, mono, as OpenAI's is."""
    match form:
        case "mp3":
            return Compressed("mp3", "libmp3lame", 64_000)
        case "opus":
            return Compressed("ogg", "libopus", 32_000)
        case "aac":
            return Compressed("adts", "aac", 64_000)
        case "flac":
            return Compressed("flac", "flac")
        case "wav":
            return Plain(wav_header())
        case _:
            return Plain()


def wav_header() -> bytes:
    """44 bytes, of 24 kHz mono 16 bit samples of which there may be any number."""
    fmt = struct.pack("<HHIIHH", 1, 1, SPOKEN_RATE, 2 * SPOKEN_RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", UNKNOWN) + b"WAVEfmt \x10\0\0\0" + fmt + b"data" + struct.pack("<I", UNKNOWN)
