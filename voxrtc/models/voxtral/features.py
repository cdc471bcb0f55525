"""Voxtral's front end: log-mel spectrograms of whole windows of 30 s, in torch on the runner's device.

It is Whisper large-v3's (voxrtc.models.asr.features has the sources), and what transformers' VoxtralProcessor gives,
without its way through a WAV file. A clip of several windows is one spectrogram that is cut: its loudest point sets
the level of all of them, and frames at the borders hear both sides.
"""

from __future__ import annotations

import numpy as np
import torch

from voxrtc.audio import Samples
from voxrtc.models.asr.features import DYNAMIC_RANGE, FLOOR, HOP, WINDOW, hann, mel_filters
from voxrtc.models.voxtral.sequence import WINDOW_SAMPLES

BANDS = 128
FRAMES = WINDOW_SAMPLES // HOP
"""Frames of one window of the encoder, 10 ms each."""


class LogMel:
    """The spectrograms of clips, computed on ``device``."""

    def __init__(self, device: torch.device | str, bands: int = BANDS) -> None:
        self._device = torch.device(device)
        self._hann = torch.from_numpy(hann()).to(self._device)
        # In double precision, so that the TF32 that may be allowed elsewhere does not reach it: that would be 1e-4 off.
        self._filters = torch.from_numpy(mel_filters(bands)).to(self._device, torch.float64)

    @torch.inference_mode()
    def __call__(self, samples: Samples | torch.Tensor) -> torch.Tensor:
        """Spectrograms (windows, bands, FRAMES), float32 on the device, of ``samples`` (n,), n > 0, float32 at 16 kHz.

        They are padded with silence to whole windows; only the samples themselves are copied to the device.
        """
        sound = self._padded(samples)
        spectrum = torch.stft(sound, WINDOW, HOP, window=self._hann, return_complex=True)[:, :-1]
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = (self._filters @ power.double()).float()
        log = mel.clamp_(min=FLOOR).log10_()
        log = torch.maximum(log, log.max() - DYNAMIC_RANGE).add_(4.0).div_(4.0)
        return log.view(log.shape[0], -1, FRAMES).transpose(0, 1).contiguous()

    def _padded(self, samples: Samples | torch.Tensor) -> torch.Tensor:
        """(windows * WINDOW_SAMPLES,) on the device."""
        if isinstance(samples, np.ndarray):  # what came over the wire is read-only, which torch does not have
            samples = torch.from_numpy(samples if samples.flags.writeable else samples.copy())
        windows = -(-samples.numel() // WINDOW_SAMPLES)
        padded = torch.zeros(windows * WINDOW_SAMPLES, device=self._device)
        padded[: samples.numel()].copy_(samples)
        return padded
