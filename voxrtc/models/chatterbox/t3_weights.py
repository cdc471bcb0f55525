"""The weights of a T3 in the form that its backbone takes; names are those of chatterbox's checkpoints.

Multilingual and English are one shape, a Llama; Turbo is a GPT-2. All sizes but the number of heads are read from the
tensors, so that a checkpoint of another vocabulary is loaded as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxrtc.errors import ModelsError
from voxrtc.models.gpu.llama import TextLayer, TextShape, fixed, linear

HEADS = 16
"""Of attention, in Llama_520M and GPT2_medium alike (chatterbox 0.1.7, llama_configs.py)."""
ENGLISH = 704
"""Text tokens of the English checkpoint, whose attention does not follow the text in the heads that are known."""
ROPE_THETA = 500_000.0
NORM_EPS = 1e-5
_CONDITION = "cond_enc"


class Gpt2Layer(nn.Module):
    """The weights of one layer of a GPT-2: each map (out, in), turned from how GPT-2's Conv1D keeps them."""

    def __init__(self, state: Mapping[str, Tensor], at: str) -> None:
        super().__init__()

        def maps(name: str) -> nn.Linear:
            return linear(state[f"{at}.{name}.weight"].t().contiguous(), state[f"{at}.{name}.bias"])

        self.qkv, self.out = maps("attn.c_attn"), maps("attn.c_proj")
        self.up, self.down = maps("mlp.c_fc"), maps("mlp.c_proj")
        self.norm, self.norm_bias = (fixed(state[f"{at}.ln_1.{part}"]) for part in ("weight", "bias"))
        self.mlp_norm, self.mlp_norm_bias = (fixed(state[f"{at}.ln_2.{part}"]) for part in ("weight", "bias"))


@dataclass(eq=False, slots=True)
class LlamaWeights:
    layers: list[TextLayer]
    norm: Tensor


@dataclass(eq=False, slots=True)
class Gpt2Weights:
    layers: list[Gpt2Layer]
    norm: Tensor
    norm_bias: Tensor
    positions: Tensor
    """(most positions, hidden)"""


@dataclass(eq=False, slots=True)
class T3Weights:
    """A whole T3. ``shape.vocabulary`` are its speech tokens."""

    shape: TextShape
    backbone: LlamaWeights | Gpt2Weights
    text: Tensor
    """(text vocabulary, hidden)"""
    speech: Tensor
    """(speech vocabulary, hidden)"""
    text_positions: Tensor | None
    """(most text tokens, hidden); None in Turbo, which has none of them"""
    speech_positions: Tensor | None
    head: nn.Linear
    conditioning: dict[str, Tensor]
    """What makes a voice into embeddings: float32, by name without "cond_enc." in front."""

    @property
    def turbo(self) -> bool:
        return isinstance(self.backbone, Gpt2Weights)

    @property
    def multilingual(self) -> bool:
        """Whether heads are known whose attention follows the text."""
        return not self.turbo and self.text.shape[0] != ENGLISH

    @property
    def bytes(self) -> int:
        loose = [self.text, self.speech, self.text_positions, self.speech_positions, *self.conditioning.values()]
        tensors = [t for t in loose if t is not None]
        tensors += [p for module in (*self.backbone.layers, self.head) for p in module.parameters()]
        return sum(t.numel() * t.element_size() for t in tensors)


def assemble(state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> T3Weights:
    """The weights of T3's state dict, joined and placed. Raises ModelsError where it is not one."""
    try:
        return _assemble({key: _placed(key, w, device, dtype) for key, w in state.items() if _is_used(key)})
    except KeyError as error:
        raise ModelsError(f"this is not a T3 of Chatterbox: it has no weight {error}") from error


def _assemble(own: Mapping[str, Tensor]) -> T3Weights:
    turbo = "tfmr.wpe.weight" in own
    backbone = _gpt2(own) if turbo else _llama(own)
    speech = own["speech_emb.weight"]
    hidden = speech.shape[1]
    joined = backbone.layers[0].qkv.weight.shape[0]  # of q, k and v: as many heads of each
    shape = TextShape(
        hidden=hidden,
        layers=len(backbone.layers),
        heads=HEADS,
        kv_heads=HEADS,
        head_dim=joined // (3 * HEADS),
        vocabulary=own["speech_head.weight"].shape[0],
        rope_theta=ROPE_THETA,
        norm_eps=NORM_EPS,
    )
    return T3Weights(
        shape=shape,
        backbone=backbone,
        text=own["text_emb.weight"],
        speech=speech,
        text_positions=own.get("text_pos_emb.emb.weight"),
        speech_positions=own.get("speech_pos_emb.emb.weight"),
        head=linear(own["speech_head.weight"], own.get("speech_head.bias")),
        conditioning={key.removeprefix(f"{_CONDITION}."): w for key, w in own.items() if key.startswith(_CONDITION)},
    )


def _is_used(key: str) -> bool:
    return not key.startswith(("text_head.", "tfmr.embed_tokens.", "tfmr.wte."))


def _placed(key: str, weight: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    return weight.detach().to(device, torch.float32 if key.startswith(_CONDITION) else dtype)


def _layers(own: Mapping[str, Tensor], at: str) -> range:
    numbers = [int(key.split(".")[2]) for key in own if key.startswith(f"{at}.")]
    if not numbers:
        raise KeyError(f"{at}.0")
    return range(max(numbers) + 1)


def _llama(own: Mapping[str, Tensor]) -> LlamaWeights:
    def layer(number: int) -> TextLayer:
        at = f"tfmr.layers.{number}"
        return TextLayer(
            norm=own[f"{at}.input_layernorm.weight"],
            qkv=torch.cat([own[f"{at}.self_attn.{part}_proj.weight"] for part in "qkv"]),
            out=own[f"{at}.self_attn.o_proj.weight"],
            mlp_norm=own[f"{at}.post_attention_layernorm.weight"],
            gate_up=torch.cat([own[f"{at}.mlp.{part}_proj.weight"] for part in ("gate", "up")]),
            down=own[f"{at}.mlp.down_proj.weight"],
        )

    return LlamaWeights([layer(number) for number in _layers(own, "tfmr.layers")], own["tfmr.norm.weight"])


def _gpt2(own: Mapping[str, Tensor]) -> Gpt2Weights:
    layers = [Gpt2Layer(own, f"tfmr.h.{number}") for number in _layers(own, "tfmr.h")]
    return Gpt2Weights(layers, own["tfmr.ln_f.weight"], own["tfmr.ln_f.bias"], own["tfmr.wpe.weight"])


# -- random ones, for benchmarks and tests ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a Llama T3 that is made up; the released multilingual one's are the defaults."""

    hidden: int = 1024
    layers: int = 30
    head_dim: int = 64
    wide: int = 4096
    text: int = 2454
    speech: int = 8194


def random(sizes: Sizes, device: torch.device, dtype: torch.dtype, seed: int = 0) -> dict[str, Tensor]:
    """A state dict of random weights, made on ``device``: of the names and sizes of a checkpoint."""
    generator = torch.Generator(device).manual_seed(seed)

    def made(key: str, size: tuple[int, ...]) -> Tensor:
        if len(size) == 1:
            return (torch.ones if "norm.weight" in key or "layernorm" in key else torch.zeros)(
                size, dtype=dtype, device=device
            )
        return torch.empty(size, dtype=dtype, device=device).normal_(0.0, 0.02, generator=generator)

    return {key: made(key, size) for key, size in sizes_of(sizes).items()}


def sizes_of(s: Sizes) -> dict[str, tuple[int, ...]]:
    """The names and sizes of a checkpoint's tensors, but for those that are not used."""
    h, inner, perceiver = s.hidden, HEADS * s.head_dim, f"{_CONDITION}.perceiver"
    sizes: dict[str, tuple[int, ...]] = {
        "text_emb.weight": (s.text, h),
        "speech_emb.weight": (s.speech, h),
        "text_pos_emb.emb.weight": (2050, h),
        "speech_pos_emb.emb.weight": (4100, h),
        "speech_head.weight": (s.speech, h),
        "tfmr.norm.weight": (h,),
        f"{_CONDITION}.spkr_enc.weight": (h, 256),
        f"{_CONDITION}.spkr_enc.bias": (h,),
        f"{_CONDITION}.emotion_adv_fc.weight": (h, 1),
        f"{perceiver}.pre_attention_query": (1, 32, h),
        f"{perceiver}.attn.norm.weight": (h,),
        f"{perceiver}.attn.norm.bias": (h,),
    }
    for part in ("to_q", "to_k", "to_v", "proj_out"):
        sizes |= {f"{perceiver}.attn.{part}.weight": (h, h), f"{perceiver}.attn.{part}.bias": (h,)}
    for number in range(s.layers):
        at = f"tfmr.layers.{number}"
        sizes |= {f"{at}.self_attn.{part}_proj.weight": (inner, h) for part in "qkv"}
        sizes |= {f"{at}.self_attn.o_proj.weight": (h, inner), f"{at}.mlp.down_proj.weight": (h, s.wide)}
        sizes |= {f"{at}.mlp.{part}_proj.weight": (s.wide, h) for part in ("gate", "up")}
        sizes |= {f"{at}.{part}_layernorm.weight": (h,) for part in ("input", "post_attention")}
    return sizes
