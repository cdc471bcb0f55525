"""S3Gen: speech tokens to a mel spectrogram in a voice (Apache-2.0 and MIT parts; ResembleAI/chatterbox, MIT)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox.flow_encoder import LOOK_AHEAD, Encoder, encoder
from voxrtc.models.chatterbox.flow_estimator import Estimator, estimator
from voxrtc.models.chatterbox.flow_layers import Affine, Tensors
from voxrtc.models.chatterbox.flow_noise import normal
from voxrtc.models.chatterbox.flow_shape import MELS, Shape
from voxrtc.models.gpu.compiled import Compiled


@dataclass(frozen=True, slots=True)
class Flow:
    """The whole of it. The encoder works in float32, the estimator in the dtype it was made with."""

    encoder: Encoder
    estimator: Estimator
    speaker: Affine

    def __call__(
        self,
        tokens: Tensor,
        token_lengths: Tensor,
        frame_lengths: Tensor,
        known: Tensor,
        xvectors: Tensor,
        noise: Tensor,
    ) -> Tensor:
        """(n, 2 * steps, 80) float32: the frames of ``tokens`` (n, steps) int64.

        Of each row the first ``token_lengths`` (n,) are tokens: reference, then speech. The first ``frame_lengths``
        (n,) frames are made: all of its tokens' if the speech ends there, else less those of LOOK_AHEAD tokens.
        ``known`` and ``noise`` (n, 2 * steps, 80): the reference's mel, then zeros; what the frames are made from.
        ``xvectors`` (n, 192): who speaks.
        """
        mean = self.encoder(tokens, token_lengths)
        speaker = self.speaker.linear(functional.normalize(xvectors, dim=1))
        return self.estimator(noise, mean, speaker, known, frame_lengths)


def flow(
    state: Mapping[str, Tensor],
    shape: Shape,
    device: torch.device,
    dtype: torch.dtype,
    most: int,
    compiled: Compiled | None = None,
) -> Flow:
    """Of a checkpoint of ``shape``, for up to ``most`` tokens at once."""
    wide, narrow = Tensors(state, torch.float32, device), Tensors(state, dtype, device)
    return Flow(
        encoder(wide, shape, most),
        estimator(narrow, shape, compiled or Compiled(False)),
        wide.affine("flow.spk_embed_affine_layer"),
    )


def frame_noise(seeds: Tensor, positions: Tensor) -> Tensor:
    """(n, frames, 80) of the utterances with ``seeds`` (n,), for their frames ``positions`` (n, frames): those of the
    reference are negative."""
    return normal(seeds, positions, MELS)


__all__ = ["LOOK_AHEAD", "Flow", "flow", "frame_noise"]
