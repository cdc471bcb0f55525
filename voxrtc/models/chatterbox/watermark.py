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
    def mark(self, samples: Tensor) -> Tensor:
        """What to add to ``samples`` (n,) at 24 kHz, SHORTEST or more, so that they are marked: (n,)."""
        spectrum = torch.stft(samples, SIZE, HOP, window=self._window, return_complex=True)
        decibels = 20.0 * (spectrum.abs() * LOUDER).clamp(min=10.0 ** (QUIETEST_DB / 20.0)).log10()
        levels = (decibels - QUIETEST_DB) / (HEADROOM_DB - QUIETEST_DB)
        loudness = levels.sum(0)
        x = levels[None, : self._layers[0][0].shape[1]]
        for number, (weight, bias) in enumerate(self._layers):
            x = functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)
            if number + 1 < len(self._layers):
                x = functional.leaky_relu(x)
        added = x[0] * (loudness > QUIET * loudness.max())
        gain = 10.0 ** (added * (HEADROOM_DB - QUIETEST_DB) / 20.0)
        change = torch.zeros_like(spectrum)
        change[: added.shape[0]] = spectrum[: added.shape[0]] * (gain - 1.0)
        return torch.istft(change, SIZE, HOP, window=self._window, length=samples.shape[0])

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
        return [self._mark(own, samples) for own, samples in zip(ours, self._sound.sound(bare), strict=True)]

    def _mark(self, stream: MarkedStream, samples: Samples) -> Samples:
        known = np.concatenate([stream.before, samples])
        stream.before = known[-BEFORE:]
        if samples.size < 2 * FADE or known.size < SHORTEST:
            return samples
        mark = self._perth.mark(torch.from_numpy(known).to(self._perth.device))[-samples.size :].cpu().numpy()
        ramp = np.linspace(0.0, 1.0, FADE, dtype=np.float32)
        mark[:FADE] *= ramp
        mark[-FADE:] *= ramp[::-1]
        marked: Samples = np.clip(samples + mark, -1.0, 1.0).astype(np.float32)
        return marked


def load(cache: Path, device: torch.device, progress: Progress) -> Perth:
    """Fetches its weights where they are not here. Raises StoreError, ModelsError."""
    path = store.ensure(MODEL, cache, progress) / FILE
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        return Perth(kept["model"], device)
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise ModelsError(f"{path} cannot be read as weights of PerTh") from error
