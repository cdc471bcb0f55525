"""The weights of a Voxtral: read by transformers from a hub's checkpoint, or random, in the form that layers.py takes.

Names of weights are those of transformers' VoxtralForConditionalGeneration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voxrtc.errors import ModelsError
from voxrtc.models.gpu.llama import TextLayer, TextShape, linear
from voxrtc.models.voxtral.layers import AudioLayer, AudioShape, layer_norm

Take = Callable[[str], Tensor]
"""Gives the weight of a name, to be used once; the tensor becomes the receiver's own."""
Place = Callable[[Any], Any]
"""Puts the linear maps of a module into fewer bits, or leaves them as they are."""
Progress = Callable[[str, float], None]

_TEXT = "model.language_model"
_AUDIO = "model.audio_tower"


@dataclass(eq=False, slots=True)
class Weights:
    """A whole Voxtral, ready to work."""

    text: TextShape
    audio: AudioShape
    embedding: Tensor
    """(vocabulary, hidden)"""
    layers: list[TextLayer]
    norm: Tensor
    head: nn.Linear
    conv: tuple[nn.Conv1d, nn.Conv1d]
    positions: Tensor
    """(positions, hidden of the encoder), float32 as in transformers"""
    encoder: list[AudioLayer]
    encoder_norm: nn.LayerNorm
    projector: tuple[nn.Linear, nn.Linear]

    @property
    def bytes(self) -> int:
        """What the weights take, those in fewer bits as such."""
        modules = [*self.layers, self.head, *self.conv, *self.encoder, self.encoder_norm, *self.projector]
        loose = [self.embedding, self.norm, self.positions]
        return sum(map(_size, loose)) + sum(_size(p) for module in modules for p in module.parameters())


def read(name: str, dtype: torch.dtype) -> tuple[Any, Take]:
    """The configuration and the weights of the checkpoint ``name``: of a hub, or a folder. Raises ModelsError.

    Weights are read into main memory; each is let go as it is taken.
    """
    from safetensors import SafetensorError
    from transformers import VoxtralForConditionalGeneration
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    _check_kind(name)
    kind: Any = VoxtralForConditionalGeneration
    try:
        model, report = kind.from_pretrained(name, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelsError(_sentence(name, f"{type(error).__name__}: {_first_line(error)}")) from error
    lacking = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if lacking:
        raise ModelsError(
            _sentence(name, f"{len(lacking)} weights are missing or of the wrong size, such as {lacking[0]}")
        )
    _check_arithmetic(name, model.config)
    state = model.state_dict()
    config = model.config
    del model
    return config, lambda key: state.pop(key).detach()


def _check_kind(name: str) -> None:
    """Of anything else transformers would make a Voxtral of random weights."""
    from transformers import PreTrainedConfig

    try:
        found, _ = PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        raise ModelsError(_sentence(name, _first_line(error))) from error
    if found.get("model_type") != "voxtral":
        raise ModelsError(_sentence(name, f"its config.json is that of {found.get('model_type') or 'no model'!r}"))


def _check_arithmetic(name: str, config: Any) -> None:
    """What layers.py and gpu/llama.py do not do must not be asked for."""
    text, audio = config.text_config, config.audio_config
    asked = {
        "rope_type": (text.rope_parameters.get("rope_type", "default"), "default"),
        "attention_bias": (bool(getattr(text, "attention_bias", False)), False),
        "mlp_bias": (bool(getattr(text, "mlp_bias", False)), False),
        "hidden_act": (text.hidden_act, "silu"),
        "activation_function": (audio.activation_function, "gelu"),
        "scale_embedding": (bool(getattr(audio, "scale_embedding", False)), False),
        "projector_hidden_act": (config.projector_hidden_act, "gelu"),
    }
    for key, (found, known) in asked.items():
        if found != known:
            raise ModelsError(_sentence(name, f"its config.json has {key} = {found!r}; only {known!r} is known here"))


def _sentence(name: str, why: str) -> str:
    return (
        f"models.voxtral = {name!r} cannot be loaded: {why} - it must be the name of a Voxtral checkpoint on the hub"
        " (HF_TOKEN where it asks for one), or a folder that holds one"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def random(config: Any, dtype: torch.dtype, device: torch.device, seed: int = 0) -> Take:
    """Random weights for a configuration, made on ``device``: each by its name, in whatever order they are taken."""
    from transformers import VoxtralForConditionalGeneration

    with torch.device("meta"):
        sizes = {key: tuple(w.shape) for key, w in VoxtralForConditionalGeneration(config).state_dict().items()}
    numbers = {key: number for number, key in enumerate(sorted(sizes))}

    def take(key: str) -> Tensor:
        generator = torch.Generator(device).manual_seed(seed * 100_003 + numbers[key])
        size = sizes[key]
        if len(size) == 1:
            fill = torch.ones if key.endswith("norm.weight") else torch.zeros
            return fill(size, dtype=dtype, device=device)
        return torch.empty(size, dtype=dtype, device=device).normal_(0.0, 0.02, generator=generator)

    return take


def assemble(
    config: Any, take: Take, place: Place, device: torch.device, dtype: torch.dtype, progress: Progress
) -> Weights:
    """The weights that ``take`` gives, joined as layers.py wants them and placed, one layer after the other."""
    text, audio = _text_shape(config.text_config), _audio_shape(config)
    total = text.layers + audio.layers

    def own(key: str) -> Tensor:
        return take(key).to(device, dtype)

    def steps(count: int, before: int) -> Iterator[int]:
        for number in range(count):
            progress("loading Voxtral", (before + number) / total)
            yield number

    head = "lm_head.weight"
    if getattr(config.text_config, "tie_word_embeddings", False) or getattr(config, "tie_word_embeddings", False):
        head = f"{_TEXT}.embed_tokens.weight"
    embedding = own(f"{_TEXT}.embed_tokens.weight")
    # The head first, while there is room: putting it into fewer bits takes several times its size.
    out = place(linear(embedding if head.startswith(_TEXT) else own(head)))
    layers = [place(_text_layer(own, number)) for number in steps(text.layers, 0)]
    encoder = [_audio_layer(own, number) for number in steps(audio.layers, text.layers)]
    return Weights(
        text=text,
        audio=audio,
        embedding=embedding,
        layers=layers,
        norm=own(f"{_TEXT}.norm.weight"),
        head=out,
        conv=(_conv(own, "conv1", 1), _conv(own, "conv2", 2)),
        positions=take(f"{_AUDIO}.embed_positions.weight").to(device, torch.float32),
        encoder=encoder,
        encoder_norm=_norm(own, f"{_AUDIO}.layer_norm"),
        projector=(
            linear(own("model.multi_modal_projector.linear_1.weight")),
            linear(own("model.multi_modal_projector.linear_2.weight")),
        ),
    )


def _text_layer(own: Take, number: int) -> TextLayer:
    at = f"{_TEXT}.layers.{number}"
    return TextLayer(
        norm=own(f"{at}.input_layernorm.weight"),
        qkv=torch.cat([own(f"{at}.self_attn.{part}_proj.weight") for part in "qkv"]),
        out=own(f"{at}.self_attn.o_proj.weight"),
        mlp_norm=own(f"{at}.post_attention_layernorm.weight"),
        gate_up=torch.cat([own(f"{at}.mlp.{part}_proj.weight") for part in ("gate", "up")]),
        down=own(f"{at}.mlp.down_proj.weight"),
    )


def _audio_layer(own: Take, number: int) -> AudioLayer:
    at = f"{_AUDIO}.layers.{number}"
    weights = [own(f"{at}.self_attn.{part}_proj.weight") for part in "qkv"]
    query, value = (own(f"{at}.self_attn.{part}_proj.bias") for part in "qv")  # Whisper's keys have none
    return AudioLayer(
        _norm(own, f"{at}.self_attn_layer_norm"),
        linear(torch.cat(weights), torch.cat([query, torch.zeros_like(query), value])),
        _linear(own, f"{at}.self_attn.out_proj"),
        (_norm(own, f"{at}.final_layer_norm"), _linear(own, f"{at}.fc1"), _linear(own, f"{at}.fc2")),
    )


def _linear(own: Take, at: str) -> nn.Linear:
    return linear(own(f"{at}.weight"), own(f"{at}.bias"))


def _norm(own: Take, at: str) -> nn.LayerNorm:
    return layer_norm(own(f"{at}.weight"), own(f"{at}.bias"))


def _conv(own: Take, name: str, stride: int) -> nn.Conv1d:
    weight, bias = own(f"{_AUDIO}.{name}.weight"), own(f"{_AUDIO}.{name}.bias")
    outward, inward, kernel = weight.shape
    made = nn.Conv1d(inward, outward, kernel, stride, padding=1, device="meta", dtype=weight.dtype)
    made.weight, made.bias = (nn.Parameter(w, requires_grad=False) for w in (weight, bias))
    return made


def _text_shape(config: Any) -> TextShape:
    return TextShape(
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        vocabulary=config.vocab_size,
        rope_theta=config.rope_parameters["rope_theta"],
        norm_eps=config.rms_norm_eps,
    )


def _audio_shape(config: Any) -> AudioShape:
    audio = config.audio_config
    return AudioShape(
        hidden=audio.hidden_size,
        layers=audio.num_hidden_layers,
        heads=audio.num_attention_heads,
        bands=audio.num_mel_bins,
        positions=audio.max_source_positions,
        stacked=audio.intermediate_size // audio.hidden_size,
    )


def _size(tensor: Tensor) -> int:
    parts = getattr(tensor, "__tensor_flatten__", None)
    if parts is None or type(tensor) in (Tensor, nn.Parameter):
        return tensor.numel() * tensor.element_size()
    held = [getattr(tensor, name) for name in parts()[0]]
    return sum(_size(part) for part in held if part is not None)
