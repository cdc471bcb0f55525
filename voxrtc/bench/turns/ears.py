"""The microphone of a scene: silence of a quiet room, what the scene puts in, and the echo of what the mouth plays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import av
import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_RATE, Block, Samples
from voxrtc.bench.turns.noises import room
from voxrtc.bench.turns.scene import Echo
from voxrtc.bench.virtual import VirtualMouth
from voxrtc.client.packets import ROOM_DBFS


class SceneEars:
    """AudioIn in virtual time, like VirtualEars, that also hears ``mouth``. All it gave is kept in ``sound``."""

    def __init__(self, mouth: VirtualMouth, echo: Echo | None, seed: int) -> None:
        self.position = 0
        """Samples given so far."""
        self._parts: list[tuple[int, Samples]] = []
        self._noise = np.float32(10 ** (ROOM_DBFS / 20))
        self._random = np.random.default_rng(seed)
        self._echo = EchoPath(mouth, echo, seed) if echo is not None else None
        self._given: list[Samples] = []
        self._until: int | None = None

    @property
    def sound(self) -> Samples:
        """All samples that were given."""
        return np.concatenate(self._given) if self._given else np.zeros(0, np.float32)

    def add(self, samples: Samples, at: int) -> None:
        """Mix ``samples`` (n,) at 16 kHz in from sample ``at`` on. Raises ValueError where that has been given."""
        if at < self.position:
            raise ValueError(f"sample {at} has been given already (now at {self.position})")
        self._parts.append((at, samples))

    def hang_up(self, at: int) -> None:
        """End the iteration once sample ``at`` is reached."""
        self._until = at

    async def __aiter__(self) -> AsyncIterator[Block]:
        loop = asyncio.get_running_loop()
        began = loop.time() - self.position / HEARD_RATE
        while self._until is None or self.position < self._until:
            await asyncio.sleep(began + (self.position + BLOCK) / HEARD_RATE - loop.time())
            block = Block(self.position, self._next())
            self._given.append(block.samples)
            self.position += BLOCK
            yield block

    def _next(self) -> Samples:
        first, after = self.position, self.position + BLOCK
        samples = self._random.standard_normal(BLOCK, np.float32) * self._noise
        for at, part in self._parts:
            low, high = max(first, at), min(after, at + part.size)
            if low < high:
                samples[low - first : high - first] += part[low - at : high - at]
        self._parts = [(at, part) for at, part in self._parts if at + part.size > after]
        if self._echo is not None:
            samples += self._echo.next(first)
        clipped: Samples = np.clip(samples, -1, 1)
        return clipped


class EchoPath:
    """From the mouth to the microphone: late, softer, through a room; 20 ms at a time."""

    def __init__(self, mouth: VirtualMouth, echo: Echo, seed: int) -> None:
        self._mouth = mouth
        self._delay = echo.delay_ms / 1000
        self._gain = 10 ** (echo.db / 20)
        walls = room(np.random.default_rng([seed, 1])) if echo.room else np.ones(1, np.float32)
        self._walls = walls * np.float32(self._gain)
        self._tail = np.zeros(walls.size - 1, np.float32)
        self._air = np.zeros(0, np.float32)  # what left the mouth, on the mouth's clock, from sample _from on
        self._from = 0
        self._seen = 0  # packets
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=HEARD_RATE)
        self._ready = np.zeros(0, np.float32)

    def next(self, position: int) -> Samples:
        """The echo (BLOCK,) in the block that begins at ``position``; blocks are asked for in order, none left out."""
        self._gather()
        step = BLOCK * SPOKEN_RATE // HEARD_RATE
        played = self._played(round((position / HEARD_RATE - self._delay) * SPOKEN_RATE), step)
        frame = av.AudioFrame.from_ndarray(played[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = SPOKEN_RATE
        parts = [f.to_ndarray()[0] for f in self._resampler.resample(frame)]
        self._ready = np.concatenate([self._ready, *parts])
        heard, self._ready = self._ready[:BLOCK], self._ready[BLOCK:]
        heard = np.concatenate([np.zeros(BLOCK - heard.size, np.float32), heard])  # the filter's own delay, at first
        return self._through_the_room(heard)

    def _gather(self) -> None:
        """Put the packets that have left since into the air."""
        for packet in self._mouth.packets[self._seen :]:
            start = round(packet.at * SPOKEN_RATE) - self._from
            if start + packet.samples.size > self._air.size:
                self._air = np.concatenate(
                    [self._air, np.zeros(start + packet.samples.size - self._air.size, np.float32)]
                )
            self._air[start : start + packet.samples.size] += packet.samples
        self._seen = len(self._mouth.packets)

    def _played(self, start: int, size: int) -> Samples:
        """What the mouth played in those samples; forgets what was before."""
        out = np.zeros(size, np.float32)
        low, high = max(start, self._from), start + size
        part = self._air[low - self._from : max(0, high - self._from)] if high > low else self._air[:0]
        out[low - start : low - start + part.size] = part
        if start > self._from:
            self._air = self._air[start - self._from :]
            self._from = start
        return out

    def _through_the_room(self, heard: Samples) -> Samples:
        size = heard.size + self._walls.size - 1
        whole = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(self._walls, size), size).astype(np.float32)
        whole[: self._tail.size] += self._tail[:size]
        self._tail = whole[heard.size :]
        return whole[: heard.size]
