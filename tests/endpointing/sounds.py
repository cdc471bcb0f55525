"""Sounds for the tests of turns: the recorded clips, noises made to measure, and where speech lies in them."""

from __future__ import annotations

import functools
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, Block, Samples, from_pcm16
from voxrtc.endpointing.detector import Decision, TurnDetector
from voxrtc.endpointing.vad import SileroModel
from voxrtc.models import store
from voxrtc.settings import Settings

DATA = Path(__file__).parent.parent / "data"
AUSTEN = ("austen-0870", "austen-0880", "austen-0890", "austen-0920", "austen-0930")


@functools.cache
def silero() -> SileroModel:
    """The network, from the store; fetched if it has to be."""
    folder = store.ensure("silero-vad", Settings().models.cache_path, lambda what, fraction: None)
    return SileroModel(folder / "silero_vad.onnx")


def clip(name: str) -> Samples:
    """A clip of tests/data, whole."""
    with wave.open(str(DATA / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (HEARD_RATE, 1)
        return from_pcm16(file.readframes(file.getnframes()))


def speech_span(samples: Samples) -> tuple[int, int]:
    """First and last sample of speech, by the energy rule that calls are timed with: three 10 ms steps in a row
    over max(noise floor + 10 dB, loud parts - 22 dB)."""
    step = HEARD_RATE // 100
    steps = samples[: samples.size // step * step].reshape(-1, step)
    level = 10 * np.log10(np.mean(np.square(steps, dtype=np.float64), axis=1) + 1e-12)
    loud = level > max(np.percentile(level, 10) + 10, np.percentile(level, 95) - 22)
    runs = np.flatnonzero(loud[:-2] & loud[1:-1] & loud[2:])
    return int(runs[0]) * step, int(runs[-1] + 3) * step


def spoken(name: str) -> Samples:
    """A clip without the quiet before and after the speech."""
    samples = clip(name)
    start, end = speech_span(samples)
    return samples[start:end]


def silence(milliseconds: float, dbfs: float = -80.0, seed: int = 0) -> Samples:
    """The quiet of a microphone: white noise."""
    count = round(milliseconds * HEARD_RATE / 1000)
    return noise(count, dbfs, seed)


def noise(count: int, dbfs: float, seed: int = 0) -> Samples:
    """White noise (count,)."""
    return (np.random.default_rng(seed).standard_normal(count) * 10 ** (dbfs / 20)).astype(np.float32)


def hum(count: int, level: float = 0.3) -> Samples:
    """Mains hum with its overtones."""
    t = np.arange(count) / HEARD_RATE
    wave_ = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5))
    return (np.asarray(wave_) * level / 2).astype(np.float32)


def clicks(count: int, each_ms: float = 300, seed: int = 0) -> Samples:
    """Keys, lighters: bursts of 5 ms."""
    random = np.random.default_rng(seed)
    out = noise(count, -70, seed)
    for at in random.integers(0, count - 80, round(count / HEARD_RATE * 1000 / each_ms)):
        out[at : at + 80] += random.standard_normal(80).astype(np.float32) * 0.3
    return np.clip(out, -1, 1)


def doors(count: int, each_ms: float = 1000, seed: int = 0) -> Samples:
    """Doors and knocks: low resonances with noise on them, 100 to 300 ms."""
    random = np.random.default_rng(seed)
    out = noise(count, -65, seed)
    for at in random.integers(0, count - 5000, round(count / HEARD_RATE * 1000 / each_ms)):
        t = np.arange(random.integers(1500, 5000)) / HEARD_RATE
        body = 0.5 * np.sin(2 * np.pi * random.uniform(60, 300) * t) + 0.3 * random.standard_normal(t.size)
        out[at : at + t.size] += (np.exp(-t * random.uniform(10, 30)) * body).astype(np.float32)
    return np.clip(out, -1, 1)


def blocks(samples: Samples, position: int = 0) -> Iterator[Block]:
    """``samples`` as a caller's blocks; what does not fill one is left out."""
    for at in range(0, samples.size - BLOCK + 1, BLOCK):
        yield Block(position + at, samples[at : at + BLOCK])


def decisions(detector: TurnDetector, samples: Samples, position: int = 0) -> list[tuple[int, Decision]]:
    """All decisions on ``samples``, each with the position at which it was taken."""
    return [(b.position + BLOCK, d) for b in blocks(samples, position) for d in detector.feed(b)]
