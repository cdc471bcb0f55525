"""Checkpoints of Chatterbox in the form of the hub's files, thin and random."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from tests.models.chatterbox.stock import THIN
from voxrtc.models.chatterbox import t3_weights
from voxrtc.models.chatterbox.flow_shape import random_state

SPECIAL = ["[STOP]", "[UNK]", "[SPACE]", "[PAD]", "[SEP]", "[CLS]", "[MASK]", "[cj_.]"]
T3_SIZES = t3_weights.Sizes(hidden=32, layers=2, head_dim=4, wide=48)


def save(folder: Path, *, voice: bool = True, cangjie: bool = True) -> Path:
    """A multilingual one in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    cpu = torch.device("cpu")
    save_file(t3_weights.random(T3_SIZES, cpu, torch.float32), folder / "t3_mtl23ls_v2.safetensors")
    generator = torch.Generator().manual_seed(1)
    torch.save(random_state(THIN) | reference_state(generator), folder / "s3gen.pt")
    torch.save(voice_encoder_state(generator), folder / "ve.pt")
    vocabulary(folder / "grapheme_mtl_merged_expanded_v1.json")
    if voice:
        torch.save(conditionals(generator), folder / "conds.pt")
    if cangjie:
        entries = ["你\tonf", "好\tvnd", "尔\tonf", "明\tab"]
        (folder / "Cangjie5_TC.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def save_turbo(folder: Path) -> Path:
    """One of Turbo in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    save_file(turbo_state(generator), folder / "t3_turbo_v1.safetensors")
    sound = random_state(dataclasses.replace(THIN, meanflow=True)) | reference_state(generator)
    save_file({name: weight.contiguous() for name, weight in sound.items()}, folder / "s3gen_meanflow.safetensors")
    save_file(voice_encoder_state(generator), folder / "ve.safetensors")
    torch.save(conditionals(generator), folder / "conds.pt")
    signs = [*ByteLevel.alphabet(), "<|endoftext|>"]
    ids = {sign: number for number, sign in enumerate(sorted(signs))}
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}), encoding="utf-8")
    return folder


def turbo_state(generator: torch.Generator, hidden: int = 64, layers: int = 2) -> dict[str, torch.Tensor]:
    """As ``t3_turbo_v1.safetensors``: a GPT-2 whose maps are (in, out)."""
    sizes: dict[str, tuple[int, ...]] = {
        "text_emb.weight": (300, hidden),
        "speech_emb.weight": (6_563, hidden),
        "speech_head.weight": (6_563, hidden),
        "speech_head.bias": (6_563,),
        "cond_enc.spkr_enc.weight": (hidden, 256),
        "cond_enc.spkr_enc.bias": (hidden,),
        "tfmr.wpe.weight": (8_196, hidden),
        "tfmr.ln_f.weight": (hidden,),
        "tfmr.ln_f.bias": (hidden,),
    }
    for at in (f"tfmr.h.{number}" for number in range(layers)):
        sizes |= {f"{at}.{norm}.{part}": (hidden,) for norm in ("ln_1", "ln_2") for part in ("weight", "bias")}
        maps = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1), "mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
        sizes |= {f"{at}.{name}.weight": (hidden * into, hidden * out) for name, (into, out) in maps.items()}
        sizes |= {f"{at}.{name}.bias": (hidden * out,) for name, (_, out) in maps.items()}
    return {name: 0.15 * torch.randn(size, generator=generator) for name, size in sizes.items()}


def vocabulary(path: Path) -> None:
    """Letters, languages and signs, each an id of its own; [START] is 255 and [STOP] 0."""
    signs = [*map(chr, range(33, 127)), *map(chr, range(0x300, 0x30A)), *"。，、？！"]
    signs += [chr(code) for code in (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3))]
    tags = [f"[{code}]" for code in ("en", "es", "fr", "de", "ko", "ja", "zh", "hi", "ms")]
    keys = [f"[cj_{key}]" for key in "abcdefghijklmnopqrstuvwxyz0123456789"]
    names = [*SPECIAL, *tags, *keys, *signs]
    names = [*names[:255], "[START]", *names[255:]] if len(names) > 255 else names
    ids = {name: number for number, name in enumerate(names)}
    ids.setdefault("[START]", 255)
    tokenizer = Tokenizer(BPE(ids, [], unk_token="[UNK]"))
    tokenizer.add_special_tokens([*SPECIAL, "[START]"])
    tokenizer.add_tokens([*tags, *keys])
    tokenizer.save(str(path))


def conditionals(generator: torch.Generator) -> dict[str, object]:
    """As ``conds.pt``: with what Chatterbox keeps beside the tensors that are used."""

    def tokens(count: int) -> torch.Tensor:
        return torch.randint(0, 6_561, (1, count), generator=generator)

    t3 = {
        "speaker_emb": torch.randn(1, 256, generator=generator),
        "clap_emb": None,
        "cond_prompt_speech_tokens": tokens(150),
        "cond_prompt_speech_emb": None,
        "emotion_adv": torch.full((1, 1, 1), 0.5),
    }
    gen = {
        "prompt_token": tokens(40),
        "prompt_token_len": torch.tensor([40]),
        "prompt_feat": torch.randn(1, 80, 80, generator=generator),
        "prompt_feat_len": None,
        "embedding": torch.randn(1, 192, generator=generator),
    }
    return {"t3": t3, "gen": gen}


def voice_encoder_state(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """As ``ve.pt``; 32 wide in place of 256."""
    wide = 32
    names = {"similarity_weight": (1,), "similarity_bias": (1,), "proj.weight": (256, wide), "proj.bias": (256,)}
    for layer in range(3):
        names |= {f"lstm.weight_ih_l{layer}": (4 * wide, wide if layer else 40)}
        names |= {f"lstm.weight_hh_l{layer}": (4 * wide, wide)}
        names |= {f"lstm.bias_{part}_l{layer}": (4 * wide,) for part in ("ih", "hh")}
    return {name: 0.2 * torch.randn(size, generator=generator) for name, size in names.items()}


def reference_state(generator: torch.Generator, blocks: tuple[int, int, int] = (2, 2, 2)) -> dict[str, torch.Tensor]:
    """What S3Gen's checkpoint has for reference clips: the tokenizer and CAM++, thin; of ``blocks`` layers."""
    speakers = {f"speaker_encoder.{name}": size for name, size in _campplus(blocks)}
    names = {**{f"tokenizer.{n}": s for n, s in _codes()}, **speakers}

    def made(name: str, size: tuple[int, ...]) -> torch.Tensor:
        if name.endswith("running_var"):
            return 0.5 + torch.rand(size, generator=generator)
        if name.endswith("num_batches_tracked"):
            return torch.zeros((), dtype=torch.int64)
        fan_in = max(1, int(torch.tensor(size[1:]).prod())) if len(size) > 1 else 1
        return torch.randn(size, generator=generator) / (fan_in**0.5 if len(size) > 1 else 5.0)

    return {name: made(name, size) for name, size in names.items()}


def _codes(wide: int = 64, layers: int = 2) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from {"encoder.conv1.weight": (wide, 128, 3), "encoder.conv1.bias": (wide,)}.items()
    yield from {"encoder.conv2.weight": (wide, wide, 3), "encoder.conv2.bias": (wide,)}.items()
    for n in range(layers):
        block = f"encoder.blocks.{n}."
        for part in ("query", "key", "value", "out"):
            yield f"{block}attn.{part}.weight", (wide, wide)
            if part != "key":
                yield f"{block}attn.{part}.bias", (wide,)
        yield f"{block}attn.fsmn_block.weight", (wide, 1, 31)
        for norm in ("attn_ln", "mlp_ln"):
            yield from {f"{block}{norm}.weight": (wide,), f"{block}{norm}.bias": (wide,)}.items()
        yield from {f"{block}mlp.0.weight": (4 * wide, wide), f"{block}mlp.0.bias": (4 * wide,)}.items()
        yield from {f"{block}mlp.2.weight": (wide, 4 * wide), f"{block}mlp.2.bias": (wide,)}.items()
    yield from {"quantizer._codebook.project_down.weight": (8, wide)}.items()
    yield "quantizer._codebook.project_down.bias", (8,)


def _norm(name: str, size: int, affine: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    parts = ("weight", "bias", "running_mean", "running_var") if affine else ("running_mean", "running_var")
    yield from ((f"{name}.{part}", (size,)) for part in parts)
    yield f"{name}.num_batches_tracked", ()


def _campplus(
    blocks: tuple[int, int, int], m: int = 4, first: int = 16, growth: int = 4, wide: int = 16
) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "head.conv1.weight", (m, 1, 3, 3)
    yield from _norm("head.bn1", m)
    for layer in ("head.layer1", "head.layer2"):
        for n in (0, 1):
            for part in ("1", "2"):
                yield f"{layer}.{n}.conv{part}.weight", (m, m, 3, 3)
                yield from _norm(f"{layer}.{n}.bn{part}", m)
        yield f"{layer}.0.shortcut.0.weight", (m, m, 1, 1)
        yield from _norm(f"{layer}.0.shortcut.1", m)
    yield "head.conv2.weight", (m, m, 3, 3)
    yield from _norm("head.bn2", m)
    yield "xvector.tdnn.linear.weight", (first, 10 * m, 5)
    yield from _norm("xvector.tdnn.nonlinear.batchnorm", first)
    size = first
    for block, layers in enumerate(blocks, 1):
        for n in range(1, layers + 1):
            at = f"xvector.block{block}.tdnnd{n}."
            yield from _norm(f"{at}nonlinear1.batchnorm", size)
            yield f"{at}linear1.weight", (wide, size, 1)
            yield from _norm(f"{at}nonlinear2.batchnorm", wide)
            yield f"{at}cam_layer.linear_local.weight", (growth, wide, 3)
            for part, (out, into) in {"linear1": (wide // 2, wide), "linear2": (growth, wide // 2)}.items():
                yield from {
                    f"{at}cam_layer.{part}.weight": (out, into, 1),
                    f"{at}cam_layer.{part}.bias": (out,),
                }.items()
            size += growth
        yield from _norm(f"xvector.transit{block}.nonlinear.batchnorm", size)
        yield f"xvector.transit{block}.linear.weight", (size // 2, size, 1)
        size //= 2
    yield from _norm("xvector.out_nonlinear.batchnorm", size)
    yield "xvector.dense.linear.weight", (192, 2 * size, 1)
    yield from _norm("xvector.dense.nonlinear.batchnorm", 192, affine=False)
