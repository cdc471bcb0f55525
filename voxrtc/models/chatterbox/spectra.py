"""The spectra that Chatterbox takes of a reference clip: four, each of its own kind.

As librosa 0.11, torchaudio's kaldi functions and Matcha-TTS compute them, which the models were trained with; held by
tests against figures of these.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.audio import Samples

RATE = 16_000
"""Of what is tokenized and recognised."""


@functools.cache
def mel_filters(rate: int, size: int, bands: int, lowest: float, highest: float) -> Tensor:
    """(bands, size // 2 + 1) float32: triangles on Slaney's mel scale, each of area 1 (librosa.filters.mel)."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(size // 2 + 1, bands, lowest, highest, rate, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(np.ascontiguousarray(bank.T, dtype=np.float32))


def sound_mel(samples: Tensor) -> Tensor:
    """What the flow continues: ``samples`` (n,) at 24 kHz as (n // 480, 80), the log of magnitudes (Matcha-TTS)."""
    size, hop = 1_920, 480
    padded = functional.pad(samples[None], ((size - hop) // 2,) * 2, mode="reflect")[0]
    window = torch.hann_window(size, device=samples.device)
    spectrum = torch.stft(padded, size, hop, size, window, center=False, return_complex=True)
    magnitudes = torch.sqrt(torch.view_as_real(spectrum).square().sum(-1) + 1e-9)
    mel = mel_filters(24_000, size, 80, 0.0, 8_000.0).to(samples.device) @ magnitudes
    return mel.clamp(min=1e-5).log().T


def code_mel(samples: Tensor) -> Tensor:
    """What the tokenizer of speech reads: ``samples`` (n,) at 16 kHz as (128, n // 160) (Whisper's log-mel, over the
    clip as it is)."""
    window = torch.hann_window(400, device=samples.device)
    spectrum = torch.stft(samples, 400, 160, window=window, return_complex=True)
    mel = mel_filters(RATE, 400, 128, 0.0, 8_000.0).to(samples.device) @ spectrum[..., :-1].abs().square()
    log = mel.clamp(min=1e-10).log10()
    return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0


def speaker_mel(samples: Tensor) -> Tensor:
    """What the voice encoder reads: ``samples`` (n,) at 16 kHz as (n // 160 + 1, 40), powers as they are."""
    window = torch.hann_window(400, device=samples.device)
    spectrum = torch.stft(samples, 400, 160, 400, window, pad_mode="reflect", return_complex=True)
    return (mel_filters(RATE, 400, 40, 0.0, 8_000.0).to(samples.device) @ spectrum.abs().square()).T


def filter_bank(samples: Tensor) -> Tensor:
    """What CAM++ reads: ``samples`` (n,) at 16 kHz as (1 + (n - 400) // 160, 80), the log of powers, less its mean
    over time (Kaldi's fbank without dither)."""
    frames = samples.unfold(0, 400, 160)
    frames = frames - frames.mean(1, keepdim=True)
    frames = frames - 0.97 * functional.pad(frames[None], (1, 0), mode="replicate")[0][:, :-1]
    window = torch.hann_window(400, periodic=False, device=samples.device).pow(0.85)  # Povey's
    powers = torch.fft.rfft(frames * window, n=512).abs().square()
    bank = powers @ _kaldi_filters().to(samples.device)
    log: Tensor = bank.clamp(min=torch.finfo(torch.float32).eps).log()
    return log - log.mean(0, keepdim=True)


@functools.cache
def _kaldi_filters() -> Tensor:
    """(257, 80): triangles between 20 Hz and 8 kHz, equally wide in mel = 1127 ln(1 + f / 700)."""

    def mel(hertz: Tensor) -> Tensor:
        return 1_127.0 * torch.log1p(hertz / 700.0)

    low, high = (1_127.0 * math.log1p(hertz / 700.0) for hertz in (20.0, 8_000.0))
    edges = low + torch.arange(82) * (high - low) / 81
    at = mel(torch.arange(256) * (RATE / 512))[:, None]
    rising, falling = (at - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return functional.pad(torch.minimum(rising, falling).clamp(min=0.0), (0, 0, 0, 1))


def trimmed(samples: Samples, below_db: float = 20.0) -> Samples:
    """``samples`` (n,) without what is at both ends more than ``below_db`` below the loudest 128 ms
    (librosa.effects.trim)."""
    size, hop = 2_048, 512
    padded = np.pad(samples, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    powers = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(10.0 * np.log10(np.maximum(powers, 1e-10) / max(powers.max(), 1e-10)) > -below_db)
    if not loud.size:
        return samples[:0]
    return samples[int(loud[0]) * hop : min(samples.size, (int(loud[-1]) + 1) * hop)]
