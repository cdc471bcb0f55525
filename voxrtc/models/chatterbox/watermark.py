"""PerTh: an inaudible mark in all that Chatterbox says, by which it can be told from a person.

Resemble AI (MIT), resemble-perth 1.0.1: a network that adds to the magnitudes below 2 kHz, with the weights out of that
package's wheel. It works at 32 kHz on frames of 64 ms every 10 ms; frames of that length at 24 kHz have the same
frequencies, so nothing is resampled. It marks whole files; here each chunk is marked as it comes, with what was before
it, and the mark fades where chunks meet, so that nothing clicks.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.errors import ModelsError
from voxrtc.models import store
from voxrtc.models.chatterbox.parts import Chunk, SoundModel, Stream, Voice

if TYPE_CHECKING:
    from voxrtc.models.profiles import Progress  # it knows the wire, which marking needs nothing of

MODEL = "perth"
"""In the catalogue."""
FILE = "perth.pth.tar"

SIZE, HOP = SPOKEN_RATE * 64 // 1000, SPOKEN_RATE // 100
LOUDER = 2_048 / SIZE
"""Its frames at 32 kHz sum up so many times as many samples."""
QUIETEST_DB, HEADROOM_DB = -180.0, 15.0
QUIET = 0.05
"""Frames with less than this share of the loudest one's are not marked."""
BEFORE = SPOKEN_RATE * 3 // 10
"""Samples before a chunk that the network sees."""
SHORTEST = SIZE
"""Samples that are marked at least, with those before."""
FADE = SPOKEN_RATE * 5 // 1000


class Perth:
    """The network that marks. ``weights``: of the package's checkpoint, those named ``encoder.``."""

    def __init__(self, weights: Mapping[str, Tensor], device: torch.device) -> None:
        """Raises ModelsError where weights are missing."""
        layers: list[tuple[Tensor, Tensor]] = []
        while (name := f"encoder.layers.{len(layers)}.conv.") + "weight" in weights:
            layers.append((weights[name + "weight"].float().to(device), weights[name + "bias"].float().to(device)))
        if not layers:
            raise ModelsError("these are no weights of PerTh's encoder")
        self._layers = layers
        self._window = torch.hann_window(SIZE, device=device)
        self._device = device

    @torch.inference_mode()
    def mark(self, sounds: Sequence[Samples]) -> list[Samples]:
        """What to add to each of ``sounds``, (n,) at 24 kHz with SHORTEST or more, so that they are marked: (n,) each.

        All at once, padded to the longest; what is behind the end of one is masked, so it is as if each were alone.
        """
        sizes = [sound.size for sound in sounds]
        there = self._there([1 + size // HOP for size in sizes])
        spectrum = torch.fft.rfft(self._frames(sounds, there.shape[1]) * self._window) * there[..., None]
        gain = self._gain(spectrum.abs().transpose(1, 2), there[:, None])
        change = torch.zeros_like(spectrum)
        change[..., : gain.shape[1]] = spectrum[..., : gain.shape[1]] * (gain - 1.0).transpose(1, 2)
        added = _overlapped(torch.fft.irfft(change, SIZE) * self._window)
        envelope = _overlapped(there[..., None] * self._window.square()).clamp(min=1e-8)
        whole = (added / envelope).cpu().numpy()
        return [row[SIZE // 2 : SIZE // 2 + size] for row, size in zip(whole, sizes, strict=True)]

    def _there(self, counts: Sequence[int]) -> Tensor:
        """(b, most) float32: 1 for the frames that a sound has, ``counts`` of them."""
        most = torch.arange(max(counts), device=self._device)
        return (most < torch.tensor(counts, device=self._device)[:, None]).float()

    def _frames(self, sounds: Sequence[Samples], count: int) -> Tensor:
        """(b, count, SIZE): frames whose middles are HOP apart; a sound is reflected at its ends."""
        padded = np.zeros((len(sounds), (count - 1) * HOP + SIZE), np.float32)
        for row, sound in zip(padded, sounds, strict=True):
            reflected = np.pad(sound, SIZE // 2, mode="reflect")[: row.size]
            row[: reflected.size] = reflected
        return torch.from_numpy(padded).to(self._device).unfold(1, SIZE, HOP)

    def _gain(self, magnitudes: Tensor, there: Tensor) -> Tensor:
        """By how much the network changes ``magnitudes`` (b, bins, frames): (b, its bins, frames). ``there`` as in
        _there(), (b, 1, frames)."""
        decibels = 20.0 * (magnitudes * LOUDER).clamp(min=10.0 ** (QUIETEST_DB / 20.0)).log10()
        levels = (decibels - QUIETEST_DB) / (HEADROOM_DB - QUIETEST_DB) * there
        loudness = levels.sum(1, keepdim=True)
        x = levels[:, : self._layers[0][0].shape[1]]
        for number, (weight, bias) in enumerate(self._layers):
            x = functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)
            if number + 1 < len(self._layers):
                x = functional.leaky_relu(x) * there
        added = x * (loudness > QUIET * loudness.amax(2, keepdim=True))
        gain: Tensor = 10.0 ** (added * (HEADROOM_DB - QUIETEST_DB) / 20.0)
        return gain

    @property
    def device(self) -> torch.device:
        return self._device


@dataclass(eq=False, slots=True)
class MarkedStream:
    """A stream of the sound model, and the end of what it gave."""

    inner: Stream
    before: Samples = field(default_factory=lambda: np.zeros(0, np.float32))


class Marked:
    """parts.SoundModel: what ``sound`` gives, marked."""

    def __init__(self, sound: SoundModel, perth: Perth) -> None:
        self._sound = sound
        self._perth = perth

    @property
    def batch(self) -> int:
        return self._sound.batch

    def open(self, voice: Voice, seed: int) -> Stream:
        return MarkedStream(self._sound.open(voice, seed))

    def sound(self, chunks: Sequence[Chunk]) -> list[Samples]:
        streams = [chunk.stream for chunk in chunks]
        ours = [stream for stream in streams if isinstance(stream, MarkedStream)]
        if len(ours) < len(chunks):
            raise ValueError("chunks of streams that open() gave")
        bare = [Chunk(own.inner, chunk.tokens, chunk.last) for own, chunk in zip(ours, chunks, strict=True)]
        given = self._sound.sound(bare)
        known = [np.concatenate([own.before, samples]) for own, samples in zip(ours, given, strict=True)]
        for own, samples in zip(ours, known, strict=True):
            own.before = samples[-BEFORE:]
        long = [n for n, samples in enumerate(given) if samples.size >= 2 * FADE and known[n].size >= SHORTEST]
        for n, mark in zip(long, self._perth.mark([known[n] for n in long]) if long else [], strict=True):
            given[n] = _marked(given[n], mark[-given[n].size :])
        return given


def _marked(samples: Samples, mark: Samples) -> Samples:
    """``samples`` (n,) with ``mark`` (n,), which fades at the ends."""
    faded = mark.copy()
    ramp = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
    faded[:FADE] *= ramp
    faded[-FADE:] *= ramp[::-1]
    marked: Samples = np.clip(samples + faded, -1.0, 1.0).astype(np.float32)
    return marked


def _overlapped(frames: Tensor) -> Tensor:
    """(b, n) of ``frames`` (b, count, SIZE), which are HOP apart, summed up."""
    size = (frames.shape[1] - 1) * HOP + SIZE
    return functional.fold(frames.transpose(1, 2), (1, size), (1, SIZE), stride=(1, HOP))[:, 0, 0]


def load(cache: Path, device: torch.device, progress: Progress) -> Perth:
    """Fetches its weights where they are not here. Raises StoreError, ModelsError."""
    path = store.ensure(MODEL, cache, progress) / FILE
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return Perth(kept["model"], device)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ModelsError(f"{path} cannot be read as weights of PerTh") from error
