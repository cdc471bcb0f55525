"""The sizes of S3Gen and HiFT, and every tensor of their checkpoint that making sound needs.

The names are those of the checkpoint ``s3gen.pt`` / ``s3gen.safetensors`` (ResembleAI/chatterbox, chatterbox-tts
0.1.7: ``S3Token2Wav.state_dict()``), so that a file is used as it is and the package is not needed to make sound: no
diffusers, einops, conformer or omegaconf, and no part of it that a newer transformers may break. Of the same file
``speaker_encoder.*`` and ``tokenizer.*`` are not read here: they are of the reference side, making a voice of a clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox.parts import CODES

MELS = 80
XVECTOR = 192
HARMONICS = 9
"""Sines of the vocoder's source: the fundamental and eight more."""
N_FFT = 16
UPSAMPLE_KERNELS = (16, 11, 7)
SOURCE_KERNELS = ((30, 7), (6, 7), (1, 11))
"""Of each rate of the vocoder: the convolution that brings the source down to it, and its residual block."""
KERNELS = (3, 7, 11)
DILATIONS = (1, 3, 5)

Names = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes; the defaults are those of Chatterbox. ``meanflow``: of the two-step model of Chatterbox Turbo."""

    hidden: int = 512
    heads: int = 8
    inner: int = 2_048
    layers: int = 6
    up_layers: int = 4
    channels: int = 256
    blocks: int = 4
    middles: int = 12
    attention: int = 512
    vocoder: int = 512
    pitch: int = 512
    meanflow: bool = False

    def names(self) -> Names:
        """Every tensor: its name and shape. Weight-normalised ones appear as the weight's norm and direction."""
        return dict([*_encoder(self), *_estimator(self), *_vocoder(self)])


def _affine(name: str, out: int, *fan_in: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, *fan_in)
    if bias:
        yield f"{name}.bias", (out,)


def _normed(name: str, first: int, *rest: int, bias: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.parametrizations.weight.original0", (first, 1, 1)
    yield f"{name}.parametrizations.weight.original1", (first, *rest)
    yield f"{name}.bias", (bias,)


def _encoder(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    size = shape.hidden
    yield "flow.input_embedding.weight", (CODES, size)
    yield from _affine("flow.spk_embed_affine_layer", MELS, XVECTOR)
    for embed in ("embed", "up_embed"):
        yield from _affine(f"flow.encoder.{embed}.out.0", size, size)
        yield from _affine(f"flow.encoder.{embed}.out.1", size)
    yield from _affine("flow.encoder.pre_lookahead_layer.conv1", size, size, 4)
    yield from _affine("flow.encoder.pre_lookahead_layer.conv2", size, size, 3)
    yield from _affine("flow.encoder.up_layer.conv", size, size, 5)
    yield from _affine("flow.encoder.after_norm", size)
    yield from _affine("flow.encoder_proj", MELS, size)
    layers = [f"encoders.{n}" for n in range(shape.layers)] + [f"up_encoders.{n}" for n in range(shape.up_layers)]
    for layer in layers:
        at = f"flow.encoder.{layer}"
        for part in ("q", "k", "v", "out"):
            yield from _affine(f"{at}.self_attn.linear_{part}", size, size)
        yield from _affine(f"{at}.self_attn.linear_pos", size, size, bias=False)
        for part in ("u", "v"):
            yield f"{at}.self_attn.pos_bias_{part}", (shape.heads, size // shape.heads)
        yield from _affine(f"{at}.feed_forward.w_1", shape.inner, size)
        yield from _affine(f"{at}.feed_forward.w_2", size, shape.inner)
        yield from _affine(f"{at}.norm_ff", size)
        yield from _affine(f"{at}.norm_mha", size)


def _estimator(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    at, size = "flow.decoder.estimator", shape.channels
    times = 4 * size
    yield from _affine(f"{at}.time_mlp.linear_1", times, 4 * MELS)
    yield from _affine(f"{at}.time_mlp.linear_2", times, times)
    if shape.meanflow:
        yield from _affine(f"{at}.time_embed_mixer", times, 2 * times, bias=False)
    stages = [("down_blocks.0", 4 * MELS), *((f"mid_blocks.{n}", size) for n in range(shape.middles))]
    for stage, fan_in in [*stages, ("up_blocks.0", 2 * size)]:
        yield from _affine(f"{at}.{stage}.0.mlp.1", size, times)
        yield from _affine(f"{at}.{stage}.0.res_conv", size, fan_in, 1)
        for block, channels in (("block1", fan_in), ("block2", size)):
            yield from _affine(f"{at}.{stage}.0.{block}.block.0", size, channels, 3)
            yield from _affine(f"{at}.{stage}.0.{block}.block.2", size)
        for number in range(shape.blocks):
            yield from _transformer(f"{at}.{stage}.1.{number}", size, shape.attention)
    for stage in ("down_blocks.0", "up_blocks.0"):
        yield from _affine(f"{at}.{stage}.2", size, size, 3)
    yield from _affine(f"{at}.final_block.block.0", size, size, 3)
    yield from _affine(f"{at}.final_block.block.2", size)
    yield from _affine(f"{at}.final_proj", MELS, size, 1)


def _transformer(at: str, size: int, attention: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _affine(f"{at}.norm1", size)
    yield from _affine(f"{at}.norm3", size)
    for part in ("q", "k", "v"):
        yield from _affine(f"{at}.attn1.to_{part}", attention, size, bias=False)
    yield from _affine(f"{at}.attn1.to_out.0", size, attention)
    yield from _affine(f"{at}.ff.net.0.proj", 4 * size, size)
    yield from _affine(f"{at}.ff.net.2", size, 4 * size)


def _vocoder(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    at, base = "mel2wav", shape.vocoder
    yield from _normed(f"{at}.conv_pre", base, MELS, 7, bias=base)
    yield from _affine(f"{at}.m_source.l_linear", 1, HARMONICS)
    for number, (up, (down, kernel)) in enumerate(zip(UPSAMPLE_KERNELS, SOURCE_KERNELS, strict=True)):
        size = base >> (number + 1)
        yield from _normed(f"{at}.ups.{number}", 2 * size, size, up, bias=size)
        yield from _affine(f"{at}.source_downs.{number}", size, N_FFT + 2, down)
        yield from _residual(f"{at}.source_resblocks.{number}", size, kernel)
        for place, kernel in enumerate(KERNELS):
            yield from _residual(f"{at}.resblocks.{len(KERNELS) * number + place}", size, kernel)
    yield from _normed(f"{at}.conv_post", N_FFT + 2, base >> 3, 7, bias=N_FFT + 2)
    for number in range(5):
        fan_in = MELS if number == 0 else shape.pitch
        yield from _normed(f"{at}.f0_predictor.condnet.{2 * number}", shape.pitch, fan_in, 3, bias=shape.pitch)
    yield from _affine(f"{at}.f0_predictor.classifier", 1, shape.pitch)


def _residual(at: str, size: int, kernel: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for number in range(len(DILATIONS)):
        for part in ("1", "2"):
            yield from _normed(f"{at}.convs{part}.{number}", size, size, kernel, bias=size)
            yield f"{at}.activations{part}.{number}.alpha", (size,)


def shape_of(state: Mapping[str, Tensor]) -> Shape:
    """The sizes of a checkpoint. Raises ModelsError, with what is wrong, where it is not one of S3Gen."""

    def size(name: str, axis: int) -> int:
        if name not in state:
            raise ModelsError(f"not a checkpoint of S3Gen: it has no tensor {name}")
        return state[name].shape[axis]

    def count(prefix: str) -> int:
        starts = {name[len(prefix) :].split(".", 1)[0] for name in state if name.startswith(prefix)}
        return len(starts)

    estimator = "flow.decoder.estimator"
    first = "flow.encoder.encoders.0"
    shape = Shape(
        hidden=size("flow.input_embedding.weight", 1),
        heads=size(f"{first}.self_attn.pos_bias_u", 0),
        inner=size(f"{first}.feed_forward.w_1.weight", 0),
        layers=count("flow.encoder.encoders."),
        up_layers=count("flow.encoder.up_encoders."),
        channels=size(f"{estimator}.final_proj.weight", 1),
        blocks=count(f"{estimator}.down_blocks.0.1."),
        middles=count(f"{estimator}.mid_blocks."),
        attention=size(f"{estimator}.down_blocks.0.1.0.attn1.to_q.weight", 0),
        vocoder=size("mel2wav.conv_pre.bias", 0),
        pitch=size("mel2wav.f0_predictor.classifier.weight", 1),
        meanflow=f"{estimator}.time_embed_mixer.weight" in state,
    )
    wrong = [name for name, wanted in shape.names().items() if name not in state or state[name].shape != wanted]
    if wrong:
        raise ModelsError(f"not a checkpoint of S3Gen: {len(wrong)} tensors lack or have another shape ({wrong[0]}, …)")
    return shape


def random_state(
    shape: Shape, seed: int = 0, device: torch.device | str = "cpu", gain: float = 1.0
) -> dict[str, Tensor]:
    """A checkpoint of ``shape`` with random weights, float32: for tests, and to measure without the real ones.

    Weights are normal with deviation ``gain`` / sqrt(fan in), biases 0, norms 1: sizes stay about the same from layer
    to layer. What is added to a residual stream is a quarter of that, so that, as in a trained model, no layer turns
    small differences into large ones; the last layer of the pitch is such that most frames are voiced.
    """
    generator = torch.Generator(device).manual_seed(seed)

    def make(name: str, size: tuple[int, ...]) -> Tensor:
        tensor = torch.empty(size, device=device)
        if name.endswith("f0_predictor.classifier.bias"):
            return tensor.fill_(120.0)
        if name.endswith(".bias"):
            return tensor.zero_()
        if len(size) == 1 or name.endswith("original0"):
            return tensor.fill_(1.0)
        fan_in = math.prod(size[1:]) if "input_embedding" not in name else 1
        return tensor.normal_(0.0, gain * _share(name) / math.sqrt(fan_in), generator=generator)

    state = {name: make(name, size) for name, size in shape.names().items()}
    for name in [name for name in state if name.endswith("original0")]:
        direction = state[f"{name[:-1]}1"]
        state[name] = direction.flatten(1).norm(dim=1)[:, None, None]
    return state


ADDED = ("linear_out.weight", "w_2.weight", "to_out.0.weight", "net.2.weight", "convs2.")


def _share(name: str) -> float:
    if "f0_predictor.classifier" in name:
        return 10.0
    return 0.25 if any(part in name for part in ADDED) else 1.0
