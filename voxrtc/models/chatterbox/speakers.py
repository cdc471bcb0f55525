"""Who speaks in a clip: the two embeddings that Chatterbox has for it.

T3's is of Resemble AI's voice encoder (an LSTM over 1.6 s stretches; Wan et al., arXiv:1710.10467), S3Gen's of CAM++
(Wang et al., arXiv:2303.00332; 3D-Speaker). Both over the checkpoint's weights, with its names.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxrtc.models.chatterbox.spectra import filter_bank, speaker_mel

STRETCH = 160
"""Mel frames that the voice encoder reads at once."""
STEP = 77
"""Mel frames between the beginnings of two stretches: 1.3 stretches a second."""
COVERED = 0.8
"""Share of the last stretch that has to be there."""
CAMPPLUS = "speaker_encoder."


class VoiceEncoder:
    """``weights``: of ve.pt."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        of_lstm = {name.removeprefix("lstm."): one for name, one in weights.items() if name.startswith("lstm.")}
        first = of_lstm["weight_ih_l0"]
        layers = sum(name.startswith("weight_ih_l") for name in of_lstm)
        with torch.device("meta"):
            self._lstm = nn.LSTM(first.shape[1], of_lstm["weight_hh_l0"].shape[1], layers, batch_first=True)
        self._lstm.load_state_dict(of_lstm, assign=True)
        self._weight, self._bias = weights["proj.weight"], weights["proj.bias"]

    @torch.inference_mode()
    def embed(self, samples: Tensor) -> Tensor:
        """``samples`` (n,) of speech at 16 kHz, without silence at its ends, as (1, 256), of length 1."""
        mel = speaker_mel(samples)
        count, rest = divmod(max(mel.shape[0] - STRETCH + STEP, 0), STEP)
        if not count or (rest + STRETCH - STEP) / STRETCH >= COVERED:
            count += 1
        wanted = STRETCH + STEP * (count - 1)
        mel = functional.pad(mel, (0, 0, 0, max(0, wanted - mel.shape[0])))[:wanted]
        stretches = mel.unfold(0, STRETCH, STEP).transpose(1, 2)
        _, (hidden, _) = self._lstm(stretches)
        each = functional.normalize(functional.linear(hidden[-1], self._weight, self._bias).relu())
        return functional.normalize(each.mean(0, keepdim=True))


class CamPlus:
    """``weights``: S3Gen's, those that begin with ``speaker_encoder.`` are used."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = {n.removeprefix(CAMPPLUS): one for n, one in weights.items() if n.startswith(CAMPPLUS)}

    @torch.inference_mode()
    def embed(self, samples: Tensor) -> Tensor:
        """``samples`` (n,) of speech at 16 kHz as (1, 192)."""
        x = self._head(filter_bank(samples).T[None, None])
        x = self._norm("xvector.tdnn.nonlinear.batchnorm", self._convolve("xvector.tdnn.linear", x, 2, 2)).relu()
        for block, dilation in ((1, 1), (2, 2), (3, 2)):
            x = self._dense(f"xvector.block{block}.", x, dilation)
            x = self._norm(f"xvector.transit{block}.nonlinear.batchnorm", x).relu()
            x = self._convolve(f"xvector.transit{block}.linear", x)
        x = self._norm("xvector.out_nonlinear.batchnorm", x).relu()
        statistics = torch.cat([x.mean(-1), x.std(-1)], dim=-1)[..., None]
        embedding = self._convolve("xvector.dense.linear", statistics)[..., 0]
        return self._norm("xvector.dense.nonlinear.batchnorm", embedding)

    def _head(self, x: Tensor) -> Tensor:
        """(1, 1, 80, t) as (1, channels, t)."""
        x = self._norm("head.bn1", self._convolve2("head.conv1", x)).relu()
        for layer in ("head.layer1", "head.layer2"):
            for n, stride in ((0, 2), (1, 1)):
                block = f"{layer}.{n}."
                y = self._norm(block + "bn1", self._convolve2(block + "conv1", x, stride)).relu()
                y = self._norm(block + "bn2", self._convolve2(block + "conv2", y))
                if block + "shortcut.0.weight" in self._weights:
                    kernel = self._weights[block + "shortcut.0.weight"]
                    x = self._norm(block + "shortcut.1", functional.conv2d(x, kernel, stride=(stride, 1)))
                x = (x + y).relu()
        return self._norm("head.bn2", self._convolve2("head.conv2", x, 2)).relu().flatten(1, 2)

    def _dense(self, name: str, x: Tensor, dilation: int) -> Tensor:
        """Layers that each read all before them, with a mask made of their surroundings (context-aware masking)."""
        n = 1
        while f"{name}tdnnd{n}.linear1.weight" in self._weights:
            layer = f"{name}tdnnd{n}."
            y = self._convolve(layer + "linear1", self._norm(layer + "nonlinear1.batchnorm", x).relu())
            y = self._norm(layer + "nonlinear2.batchnorm", y).relu()
            local = self._convolve(layer + "cam_layer.linear_local", y, 1, dilation, dilation)
            near = functional.avg_pool1d(y, 100, 100, ceil_mode=True)
            near = near.repeat_interleave(100, dim=-1)[..., : y.shape[-1]]
            context = self._convolve(layer + "cam_layer.linear1", y.mean(-1, keepdim=True) + near).relu()
            x = torch.cat([x, local * self._convolve(layer + "cam_layer.linear2", context).sigmoid()], dim=1)
            n += 1
        return x

    def _convolve(self, name: str, x: Tensor, stride: int = 1, padding: int = 0, dilation: int = 1) -> Tensor:
        kernel, bias = self._weights[name + ".weight"], self._weights.get(name + ".bias")
        return functional.conv1d(x, kernel, bias, stride, padding, dilation)

    def _convolve2(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return functional.conv2d(x, self._weights[name + ".weight"], stride=(stride, 1), padding=1)

    def _norm(self, name: str, x: Tensor) -> Tensor:
        w = self._weights
        mean, variance = w[name + ".running_mean"], w[name + ".running_var"]
        return functional.batch_norm(x, mean, variance, w.get(name + ".weight"), w.get(name + ".bias"))
