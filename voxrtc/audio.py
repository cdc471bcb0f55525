"""Sample work: rates, blocks, levels, resampling, and the two ends through which a session hears and speaks.

Audio inside voxrtc is mono float32 in [-1, 1]. The caller is heard at 16 kHz (what every speech
recogniser wants), the assistant speaks at 24 kHz (what every voice gives).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]
"""Mono float32 samples in [-1, 1], shape (n,)."""

HEARD_RATE = 16_000
"""Hz. The call's own clock counts samples at this rate; every position in an event is one."""

SPOKEN_RATE = 24_000
"""Hz. The rate at which voices give, and AudioOut takes, samples."""

BLOCK_MS = 20
BLOCK = HEARD_RATE * BLOCK_MS // 1000
"""Samples in one block of the caller's audio (320)."""

SPOKEN_BLOCK = SPOKEN_RATE * BLOCK_MS // 1000
"""Samples in one packet of the assistant's audio (480)."""


@dataclass(frozen=True, slots=True)
class Block:
    """20 ms of the caller: ``samples`` (BLOCK,) at 16 kHz, the first at ``position`` of the call's clock."""

    position: int
    samples: Samples
    concealed: bool = False
    """True where the samples were made up for a packet that never came."""
    echo: bool = False
    """True where they are the assistant's own voice, coming back, and nothing else."""
    filled: bool = False
    """True where they are silence because the caller sent nothing, on a line where that is no loss."""


class Recording:
    """What is said again and again, from its beginning: a player may keep the packets that it made of it."""

    def __init__(self, samples: Samples) -> None:
        """``samples`` (n,) at 24 kHz; silence fills up the last packet."""
        self.samples: Samples = np.pad(samples, (0, -samples.size % SPOKEN_BLOCK))
        self.packets: dict[int, tuple[bytes, ...]] = {}
        """One for each SPOKEN_BLOCK of ``samples``, by bitrate; the player's own."""


@dataclass(slots=True, eq=False)
class Mark:
    """How far one stretch of played audio (a clause, a greeting) has got, in samples at 24 kHz.

    The player counts ``queued`` up in ``play()`` and ``heard`` as packets leave; ``begun`` is set
    with the first packet. Whoever made the mark only reads it.
    """

    queued: int = 0
    heard: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    begun_at: float | None = None
    """``loop.time()`` when its first packet left."""
    missed: bool = False
    """True where some of what left did not arrive, and was taken back from ``heard`` (see Sent)."""


class AudioIn(Protocol):
    """What the session hears. Iteration ends when the caller is gone."""

    def __aiter__(self) -> AsyncIterator[Block]: ...


Tap: TypeAlias = Callable[[Samples, float], None]
"""Told of each packet with sound as it leaves: its samples (SPOKEN_BLOCK,), and ``loop.time()``."""


class AudioOut(Protocol):
    """What the session speaks with: a bounded, paced player of 24 kHz samples."""

    tap: Tap | None
    """Who is told what leaves, as it leaves."""

    async def play(self, samples: Samples | Recording, mark: Mark) -> None:
        """Queue samples (n,), or a recording; waits while more than the player's bound is queued already."""

    def flush(self) -> None:
        """Drop everything not yet sent. At most one more packet (a fade) leaves after this."""

    def duck(self, on: bool) -> None:
        """Speak DUCK_DB softer from the next packet on, or as loud as before again; one packet leads over."""

    async def drained(self) -> None:
        """Return when everything queued has left, or was flushed."""


class Sent:
    """What left a player in the last ``keep_s`` seconds, and of which marks: on a line that breaks, packets leave for
    a while that nobody hears."""

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._packets: deque[tuple[float, Sequence[tuple[Mark, int]]]] = deque()

    def add(self, at: float, whose: Sequence[tuple[Mark, int]]) -> None:
        """A packet left at ``loop.time()`` ``at``, with so many samples of each mark."""
        while self._packets and self._packets[0][0] < at - self._keep_s:
            self._packets.popleft()
        self._packets.append((at, whose))

    def take_back(self, since: float) -> None:
        """What left at ``loop.time()`` ``since`` or later was not heard."""
        while self._packets and self._packets[-1][0] >= since:
            for mark, samples in self._packets.pop()[1]:
                mark.heard -= samples
                mark.missed = True


DUCK_DB = -12.0
"""The level of a reply while it is not yet known whether the caller takes the word."""


class Ducking:
    """The level of a player's packets: loud or ducked, with a ramp as long as one packet in between."""

    def __init__(self) -> None:
        self.on = False
        self._gain = 1.0

    def apply(self, packet: Samples) -> Samples:
        """``packet`` (n,) at its level. It begins where the one before ended, so what was ducked comes back softly."""
        wanted = 10 ** (DUCK_DB / 20) if self.on else 1.0
        before, self._gain = self._gain, wanted
        if before == wanted:
            return packet if wanted == 1.0 else packet * np.float32(wanted)
        return packet * np.linspace(before, wanted, packet.size, dtype=np.float32)


def resample(samples: Samples, rate: int, to: int) -> Samples:
    """``samples`` (n,) at ``rate`` Hz as (about n * to / rate,) at ``to`` Hz (libswresample)."""
    if rate == to or not samples.size:
        return samples
    import av  # FFmpeg only where it is used: what hears on a GPU takes samples as they are

    resampler = av.AudioResampler(format="flt", layout="mono", rate=to)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :].astype(np.float32), format="flt", layout="mono")
    frame.sample_rate = rate
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([np.asarray(f.to_ndarray()[0], np.float32) for f in frames])


def level_dbfs(samples: Samples) -> float:
    """RMS level of ``samples`` in dB relative to full scale; -120 for silence."""
    if not samples.size:
        return -120.0
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return max(-120.0, 20.0 * float(np.log10(max(rms, 1e-6))))


def to_pcm16(samples: Samples) -> bytes:
    """Little-endian signed 16-bit PCM of ``samples``, clipped."""
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def from_pcm16(data: bytes) -> Samples:
    """Samples (len(data) // 2,) of little-endian signed 16-bit PCM."""
    return np.frombuffer(data[: len(data) & ~1], dtype="<i2").astype(np.float32) / 32768.0
