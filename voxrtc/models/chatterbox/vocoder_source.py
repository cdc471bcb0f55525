"""What the vocoder shapes into speech: sines at the pitch and its multiples where speech is voiced, else noise.

The harmonic-plus-noise source of HiFTNet (Li et al. 2023, arXiv:2309.09493) after chatterbox-tts 0.1.7. It is
made of the pitch of each frame, the phase at the first one, and noise that depends on a seed and the sample's place in
the utterance only: windows of one utterance go on from each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.flow_layers import Affine, Tensors
from voxrtc.models.chatterbox.flow_noise import normal, uniform
from voxrtc.models.chatterbox.flow_shape import HARMONICS

RATE = 24_000
HOP = 480
"""Samples of a mel frame."""
AMPLITUDE = 0.1
VOICED_NOISE = 0.003
VOICED_HZ = 10.0
"""A pitch above this is voiced."""
_PHASE_SEED, _NOISE_SEED = 0x51ED270B, 0x2545F491


@dataclass(frozen=True, slots=True)
class Pitch:
    """Fundamental frequency by five convolutions."""

    layers: list[Affine]
    last: Affine

    def __call__(self, mel: Tensor, mask: Tensor) -> Tensor:
        """``mel`` (n, 80, frames), ``mask`` (n, 1, frames), to (n, frames) Hz."""
        x = mel * mask
        for layer in self.layers:
            x = functional.elu(functional.conv1d(x, layer.weight, layer.bias, padding=1)) * mask
        return self.last.linear(x.transpose(1, 2))[..., 0].abs()


@dataclass(frozen=True, slots=True)
class Randomness:
    """What a source is drawn with: ``phases`` (n, 9) of the sines in radians; ``noise`` (n, samples, 9), normal."""

    phases: Tensor
    noise: Tensor


def randomness(seeds: Tensor, first: Tensor, frames: int) -> Randomness:
    """Of the utterances with ``seeds`` (n,), from their frame ``first`` (n,) on."""
    places = first[:, None] * HOP + torch.arange(frames * HOP, device=first.device)
    shares = uniform(seeds ^ _PHASE_SEED, torch.zeros_like(first)[:, None], HARMONICS)[:, 0]
    phases = (shares * 2.0 - 1.0) * math.pi
    phases = functional.pad(phases[:, 1:], (1, 0))  # the fundamental begins at 0
    return Randomness(phases, normal(seeds ^ _NOISE_SEED, places, HARMONICS))


def phases_of(pitch: Tensor, start: Tensor) -> Tensor:
    """(n, frames + 1) float64: cycles of the fundamental, modulo 1, at the edges of frames of ``pitch`` (n, frames) Hz
    that begin at ``start`` (n,)."""
    cycles = (pitch.double() * (HOP / RATE)).cumsum(1)
    return (functional.pad(cycles, (1, 0)) + start[:, None]) % 1.0


def source(pitch: Tensor, start: Tensor, drawn: Randomness, merge: Affine) -> Tensor:
    """(n, samples) of ``pitch`` (n, frames) Hz from ``start`` (n,) float64 cycles on; ``merge``: nine sines to one."""
    steps = torch.arange(1, HOP + 1, dtype=torch.float64, device=pitch.device)
    cycles = phases_of(pitch, start)[:, :-1, None] + pitch.double()[..., None] * (steps / RATE)
    harmonics = torch.arange(1, HARMONICS + 1, dtype=torch.float64, device=pitch.device)
    turns = ((cycles.flatten(1)[..., None] * harmonics) % 1.0).float()
    sines = AMPLITUDE * torch.sin(2 * math.pi * turns + drawn.phases[:, None])
    voiced = (pitch > VOICED_HZ).float().repeat_interleave(HOP, dim=1)[..., None]
    loudness = voiced * VOICED_NOISE + (1.0 - voiced) * (AMPLITUDE / 3.0)
    return torch.tanh(merge.linear(sines * voiced + loudness * drawn.noise))[..., 0]


def pitch(tensors: Tensors) -> Pitch:
    """Of the checkpoint's tensors."""
    at = "mel2wav.f0_predictor"
    layers = [tensors.normed(f"{at}.condnet.{2 * number}") for number in range(5)]
    return Pitch(layers, tensors.affine(f"{at}.classifier"))
