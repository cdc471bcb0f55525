"""The caller's ear: stamps and decodes packets as they arrive, and says when there was sound.

No jitter buffer stands before it: a packet counts from the moment it is here. What one caller hears over several lines
is one ear's, the lines' packets one after another. Audible is a run of six 10 ms windows
over -45 dBFS; its onset is the start of the first. Sample k of a packet that arrived at t could be heard at
t + k / rate.
"""

from __future__ import annotations

import wave
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import opuslib_next
from aiortc import RTCRtpReceiver
from aiortc.rtp import RtpPacket
from numpy.typing import NDArray
from opuslib_next.exceptions import OpusError

from voxrtc.audio import SPOKEN_RATE

WINDOW = SPOKEN_RATE // 100
WINDOW_S = 0.01
IN_A_ROW = 6
AUDIBLE_DBFS = -45.0
AUDIBLE_ENERGY = WINDOW * (32768.0 * 10.0 ** (AUDIBLE_DBFS / 20.0)) ** 2
GAP_S = 0.4
"""Quiet for this long ends a sound; what comes after it is a new one."""
LONGEST_FRAME = SPOKEN_RATE * 120 // 1000
KEEP_S = 900.0
"""Of the audio kept for a recording, no more than this: the oldest goes first."""
RTP_RATE = 48_000


@dataclass(slots=True)
class Sound:
    """One stretch of audible sound: ``onset`` and ``end`` in ``loop.time()``."""

    onset: float
    end: float


class Ear:
    """What one caller hears. Times are ``loop.time()``; samples are 24 kHz mono."""

    def __init__(self, clock: Callable[[], float], keep: bool = False) -> None:
        self._clock = clock
        self._decoder = opuslib_next.Decoder(SPOKEN_RATE, 1)
        self._keep = keep
        self._kept: deque[tuple[float, NDArray[np.int16]]] = deque(maxlen=round(KEEP_S / 0.02))
        self._sequence: int | None = None
        self._next_stamp: int | None = None
        self._rest: NDArray[np.int16] = np.empty(0, np.int16)
        self._rest_at = 0.0
        self._streak = 0
        self._streak_at = 0.0
        self._sounding = False
        self.sounds: deque[Sound] = deque(maxlen=1_000)
        self._receiver: RTCRtpReceiver | None = None
        self._on_first: Callable[[], None] | None = None
        self.first_packet_at: float | None = None
        self.last_packet_at: float | None = None
        self.packets = 0
        self.lost = 0
        self.damaged = 0

    def attach(
        self, receiver: RTCRtpReceiver, payload_type: Callable[[], int | None], on_first: Callable[[], None]
    ) -> None:
        """Take the packets of ``receiver`` ahead of its jitter buffer, and no other's any more; ``on_first`` is called
        with the first. The one place that reaches into aiortc.

        The method that its DTLS transport awaits for each packet is replaced on this instance; its own buffer,
        decoder and receiver reports see nothing.
        """
        if not callable(getattr(receiver, "_handle_rtp_packet", None)):
            raise RuntimeError("this aiortc hands packets to its receivers in another way than 1.16.0")
        self._receiver, self._on_first = receiver, on_first
        self._sequence = self._next_stamp = None

        async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
            if self._receiver is receiver and packet.payload_type == payload_type() and packet.payload:
                self.hear(packet.payload, packet.sequence_number, packet.timestamp, self._clock())

        receiver._handle_rtp_packet = handle  # type: ignore[method-assign]

    @property
    def last_audible_at(self) -> float | None:
        """When sound was last audible."""
        return self.sounds[-1].end if self.sounds else None

    def onset_after(self, instant: float) -> float | None:
        """The onset of the first sound that began at or after ``instant``."""
        return next((s.onset for s in self.sounds if s.onset >= instant), None)

    def hear(self, payload: bytes, sequence: int, timestamp: int, now: float) -> None:
        """Take one Opus payload with its RTP sequence number and timestamp, arrived at ``now``."""
        self.packets += 1
        if self.first_packet_at is None:
            self.first_packet_at = now
        if self._on_first is not None:
            self._on_first()
            self._on_first = None
        self.last_packet_at = now
        if not self._in_order(sequence):
            return
        try:
            pcm = np.frombuffer(self._decoder.decode(payload, LONGEST_FRAME), np.int16)
        except OpusError:
            self.damaged += 1
            return
        if timestamp != self._next_stamp:  # something is missing: no window reaches across
            self._streak, self._rest = 0, self._rest[:0]
        self._next_stamp = (timestamp + pcm.size * RTP_RATE // SPOKEN_RATE) & 0xFFFF_FFFF
        if self._keep:
            self._kept.append((now, pcm))
        self._listen(pcm, now)

    def _in_order(self, sequence: int) -> bool:
        """False for what comes too late; counts what is missing."""
        ahead = 1 if self._sequence is None else (sequence - self._sequence) & 0xFFFF
        if not 0 < ahead < 0x8000:
            return False
        self.lost += ahead - 1
        self._sequence = sequence
        return True

    def _listen(self, pcm: NDArray[np.int16], now: float) -> None:
        """Go through the whole windows of what is at hand; the rest waits for the next packet."""
        waiting = self._rest.size
        begun_at = self._rest_at if waiting else now
        pcm = np.concatenate([self._rest, pcm]) if waiting else pcm
        count = pcm.size // WINDOW
        windows = pcm[: count * WINDOW].reshape(count, WINDOW).astype(np.float32)
        for i, energy in enumerate(np.einsum("ij,ij->i", windows, windows).tolist()):
            at = begun_at if i == 0 else now + (i * WINDOW - waiting) / SPOKEN_RATE
            self._window(energy > AUDIBLE_ENERGY, at)
        self._rest = pcm[count * WINDOW :]
        self._rest_at = now + (count * WINDOW - waiting) / SPOKEN_RATE if count else begun_at

    def _window(self, loud: bool, at: float) -> None:
        if self._sounding and at - self.sounds[-1].end > GAP_S:
            self._sounding = False
        if not loud:
            self._streak = 0
            return
        if self._streak == 0:
            self._streak_at = at
        self._streak += 1
        if self._sounding:
            self.sounds[-1].end = at + WINDOW_S
        elif self._streak == IN_A_ROW:
            self._sounding = True
            self.sounds.append(Sound(self._streak_at, at + WINDOW_S))

    # -- the recording --------------------------------------------------------------------------------------

    def recording(self, since: float) -> NDArray[np.int16]:
        """What was heard from the first sound after ``since`` to the last one (n,), 24 kHz; empty if there was none.

        Packets stand where they arrived: a pause between them is silence. Arrivals that waver by less than 100 ms
        are one stream and follow each other without a seam.
        """
        heard = [s for s in self.sounds if s.onset >= since]
        if not heard:
            return np.empty(0, np.int16)
        pieces: list[NDArray[np.int16]] = []
        until: float | None = None
        for at, pcm in self._kept:
            if at < heard[0].onset - 0.1 or at > heard[-1].end + 0.2:
                continue
            if until is not None and at > until + 0.1:
                pieces.append(np.zeros(round((at - until) * SPOKEN_RATE), np.int16))
                until = at
            pieces.append(pcm)
            until = (at if until is None else until) + pcm.size / SPOKEN_RATE
        return np.concatenate(pieces) if pieces else np.empty(0, np.int16)


def write_wav(file: Path, pcm: NDArray[Any]) -> None:
    """Write 16-bit samples (n,) as 24 kHz mono."""
    with file.open("wb") as raw, wave.open(raw, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SPOKEN_RATE)
        out.writeframes(pcm.astype("<i2").tobytes())
