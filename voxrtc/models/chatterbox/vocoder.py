"""HiFT: a mel spectrogram to sound (HiFTNet, Li et al. 2023, arXiv:2309.09493), after chatterbox-tts 0.1.7.

The source is brought down to three rates and added where the spectrogram has been brought up to them; what comes out
are the frames of an inverse STFT (Kaneko et al. 2022, arXiv:2203.02395). The STFTs are convolutions with their window
as a weight, not calls that copy a window from the host, so the whole can be captured in a CUDA graph. Rows of one batch
may have different lengths: what lies beyond is zero before every convolution, so each row comes out as it would alone.

Cost: about 0.6 GFLOP a frame (in TF32, as cuDNN convolves by default): 80 frames, 48 GFLOP, take about a millisecond of
an H100; about 700 launches in a CUDA graph take 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.flow_layers import Affine, Tensors, inside
from voxrtc.models.chatterbox.flow_shape import DILATIONS, KERNELS, N_FFT, UPSAMPLE_KERNELS
from voxrtc.models.chatterbox.vocoder_source import HOP, Pitch, pitch
from voxrtc.models.gpu.compiled import Compiled

RATES = (8, 5, 3)
HOP_FFT = 4
LIMIT = 0.99
LOUDEST = 1e2
BINS = N_FFT // 2 + 1


@dataclass(frozen=True, slots=True)
class Residual:
    """Dilated convolutions around Snake activations (Ziyin et al. 2020, arXiv:2006.08195)."""

    convolutions: list[tuple[Tensor, Affine, Tensor, Affine]]
    """Of each: the rate of its activation (channels, 1), the dilated one, the rate after it, the plain one."""
    snake: Callable[[Tensor, Tensor], Tensor]
    """snake(), or what a compiler made of it: one kernel in place of five."""

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """(n, channels, steps) to the same; ``x`` must be zero where ``mask`` is."""
        for dilation, (before, dilated, between, plain) in zip(DILATIONS, self.convolutions, strict=True):
            inner = _same(self.snake(x, before), dilated, dilation) * mask
            x = x + _same(self.snake(inner, between), plain) * mask
        return x


def snake(x: Tensor, rate: Tensor) -> Tensor:
    return x + torch.sin(x * rate).square() / (rate + 1e-9)


def _same(x: Tensor, layer: Affine, dilation: int = 1) -> Tensor:
    """As many steps as there were, zeros around."""
    around = (layer.weight.shape[-1] - 1) * dilation // 2
    return functional.conv1d(x, layer.weight, layer.bias, padding=around, dilation=dilation)


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate: up to it, the source down to it."""

    up: Affine
    times: int
    down: Affine
    from_source: Residual
    residuals: list[Residual]


@dataclass(frozen=True, slots=True)
class Vocoder:
    """Its weights. ``analyse`` and ``synthesise`` (18, 1, 16): an STFT and its inverse; ``window`` (1, 1, 16): the
    square of the window."""

    pitch: Pitch
    merge: Affine
    first: Affine
    rates: list[Rate]
    last: Affine
    analyse: Tensor
    synthesise: Tensor
    window: Tensor

    def __call__(self, mel: Tensor, source: Tensor, frames: Tensor) -> Tensor:
        """(n, 480 * steps) float32 of ``mel`` (n, 80, steps), of each row the first ``frames`` (n,), and ``source``."""
        spectrum = self.spectrum(source, frames)
        steps, long = mel.shape[-1], frames
        mask = inside(long, steps)[:, None]
        x = _same(mel * mask, self.first) * mask
        for number, rate in enumerate(self.rates):
            last = number == len(self.rates) - 1
            steps, long = steps * rate.times, long * rate.times
            x = functional.leaky_relu(x, 0.1)
            kernel = rate.up.weight.shape[-1]
            x = functional.conv_transpose1d(
                x, rate.up.weight, rate.up.bias, stride=rate.times, padding=(kernel - rate.times) // 2
            )
            if last:
                x = torch.cat((x[..., 1:2], x), dim=-1)  # a reflection of one sample
                steps, long = steps + 1, long + 1
            x = self._at_rate(x, rate, spectrum, inside(long, steps)[:, None].to(x.dtype))
        x = _same(functional.leaky_relu(x), self.last)
        return self.sound(x, long)

    @staticmethod
    def _at_rate(x: Tensor, rate: Rate, spectrum: Tensor, mask: Tensor) -> Tensor:
        stride = max(1, rate.down.weight.shape[-1] // 2)
        given = functional.conv1d(spectrum, rate.down.weight, rate.down.bias, stride=stride, padding=stride // 2)
        x = (x + rate.from_source(given * mask, mask)) * mask
        joined = rate.residuals[0](x, mask)
        for residual in rate.residuals[1:]:
            joined = joined + residual(x, mask)
        return joined / len(rate.residuals)

    def spectrum(self, source: Tensor, frames: Tensor) -> Tensor:
        """(n, 18, 120 * steps + 1): real and imaginary parts of the STFT of ``source``, mirrored at each row's end."""
        around = N_FFT // 2
        places = torch.arange(-around, source.shape[1] + around, device=source.device).abs()[None]
        end = 2 * (frames[:, None] * HOP - 1)
        mirrored = torch.where(places * 2 > end, end - places, places).clamp(min=0)
        padded = source.gather(1, mirrored)
        spectrum = functional.conv1d(padded[:, None], self.analyse, stride=HOP_FFT)
        return spectrum * inside(frames * (HOP // HOP_FFT) + 1, spectrum.shape[-1])[:, None]

    def sound(self, x: Tensor, lengths: Tensor) -> Tensor:
        """``x`` (n, 18, m + 1): log magnitudes and phases of the frames, of each row ``lengths`` (n,); to (n, 4 m)."""
        mask = inside(lengths, x.shape[-1])[:, None].to(x.dtype)
        loudness = torch.exp(x[:, :BINS]).clamp(max=LOUDEST) * mask
        angle = torch.sin(x[:, BINS:])
        parts = torch.cat((loudness * torch.cos(angle), loudness * torch.sin(angle)), dim=1)
        wave = functional.conv_transpose1d(parts, self.synthesise, stride=HOP_FFT)[:, 0]
        weight = functional.conv_transpose1d(mask, self.window, stride=HOP_FFT)[:, 0]
        around = N_FFT // 2
        wave = wave / weight.clamp(min=1e-11)
        return wave[:, around:-around].clamp(-LIMIT, LIMIT)


def vocoder(state: Mapping[str, Tensor], device: torch.device, compiled: Compiled | None = None) -> Vocoder:
    """Of a checkpoint: float32."""
    activation = (compiled or Compiled(False))(snake)
    tensors = Tensors(state, torch.float32, device)
    at, count = "mel2wav", len(KERNELS)

    def rate(number: int) -> Rate:
        return Rate(
            up=tensors.normed(f"{at}.ups.{number}"),
            times=RATES[number],
            down=tensors.affine(f"{at}.source_downs.{number}"),
            from_source=_residual(tensors, f"{at}.source_resblocks.{number}", activation),
            residuals=[
                _residual(tensors, f"{at}.resblocks.{count * number + place}", activation) for place in range(count)
            ],
        )

    window = torch.hann_window(N_FFT, periodic=True, device=device)
    analyse, synthesise = _fourier(device)
    return Vocoder(
        pitch=pitch(tensors),
        merge=tensors.affine(f"{at}.m_source.l_linear"),
        first=tensors.normed(f"{at}.conv_pre"),
        rates=[rate(number) for number in range(len(UPSAMPLE_KERNELS))],
        last=tensors.normed(f"{at}.conv_post"),
        analyse=(analyse * window)[:, None],
        synthesise=(synthesise * window)[:, None],
        window=window.square()[None, None],
    )


def _residual(tensors: Tensors, at: str, activation: Callable[[Tensor, Tensor], Tensor]) -> Residual:
    return Residual(
        [
            (
                tensors(f"{at}.activations1.{number}.alpha")[:, None],
                tensors.normed(f"{at}.convs1.{number}"),
                tensors(f"{at}.activations2.{number}.alpha")[:, None],
                tensors.normed(f"{at}.convs2.{number}"),
            )
            for number in range(len(DILATIONS))
        ],
        activation,
    )


def _fourier(device: torch.device) -> tuple[Tensor, Tensor]:
    """Two of (18, 16): samples to the real and imaginary parts of their spectrum, and back."""
    bins = torch.arange(BINS, dtype=torch.float64, device=device)[:, None]
    angles = 2 * math.pi / N_FFT * bins * torch.arange(N_FFT, dtype=torch.float64, device=device)
    waves = torch.cat((angles.cos(), -angles.sin()))
    twice = torch.full((BINS,), 2.0, dtype=torch.float64, device=device)
    twice[[0, -1]] = 1.0  # all others stand for their mirror images, too
    return waves.float(), (waves * twice.repeat(2)[:, None] / N_FFT).float()
