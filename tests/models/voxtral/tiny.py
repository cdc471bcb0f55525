"""A tiny random Voxtral in the hub's format, as mistralai/Voxtral-Mini-3B-2507 has it for transformers."""

import json
from pathlib import Path

import mistral_common
import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    VoxtralConfig,
    VoxtralEncoderConfig,
    VoxtralForConditionalGeneration,
    WhisperFeatureExtractor,
)
from transformers.models.whisper.modeling_whisper import sinusoids

VOCABULARY = 131_072
RESERVED = 1000
"""Ids of special tokens, the first ones; most have no meaning."""
SPECIAL = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
]
AUDIO = {24: "[AUDIO]", 25: "[BEGIN_AUDIO]", 34: "[TRANSCRIBE]"}


def make_checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    hidden: int = 64,
    layers: int = 3,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 16,
    ffn: int = 128,
    vocabulary: int = VOCABULARY,
    context: int = 131_072,
    audio_hidden: int = 32,
    audio_layers: int = 2,
    audio_heads: int = 2,
    dtype: torch.dtype = torch.bfloat16,
) -> Path:
    """Write the files of the checkpoint into ``folder``, which is made; gives it back.

    Equal arguments give equal weights. They are scaled so that greedy tokens vary and the sound makes a difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=ffn,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=context,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e8},
        tie_word_embeddings=False,
    )
    audio = VoxtralEncoderConfig(
        hidden_size=audio_hidden,
        intermediate_size=4 * audio_hidden,
        num_hidden_layers=audio_layers,
        num_attention_heads=audio_heads,
    )
    config = VoxtralConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), audio_token_id=24)
    model = VoxtralForConditionalGeneration._from_config(config, dtype=dtype)
    _randomise(model, seed)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=11)
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    _write_tokenizer(folder / "tekken.json", vocabulary)
    return folder


_GAIN = 2.0
"""Below, greedy decoding soon goes in circles; above, rounding errors grow with the layers."""


def _randomise(model: VoxtralForConditionalGeneration, seed: int) -> None:
    """Every matrix keeps the size of what goes through it; biases and norms are no noughts and ones either."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "embed_positions" in name:
                weight.copy_(sinusoids(*weight.shape))
            elif "embed_tokens" in name:
                weight.copy_(noise)
            elif weight.ndim > 1:
                weight.copy_(noise * _GAIN / (weight[0].numel() ** 0.5))
            else:
                weight.copy_((0.0 if name.endswith("bias") else 1.0) + 0.1 * noise)


def _write_tokenizer(path: Path, vocabulary: int) -> None:
    """The words of Mistral's public tokenizer of 2024-09 with Voxtral's special tokens (version 7) and its sound."""
    source = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    whole = json.loads(source.read_text(encoding="utf-8"))
    names = {**dict(enumerate(SPECIAL)), **AUDIO}
    words = whole["vocab"][: vocabulary - RESERVED]
    config = {
        **whole["config"],
        "version": "v7",
        "num_vocab_tokens": len(words),
        "default_vocab_size": vocabulary,
        "default_num_special_tokens": RESERVED,
    }
    tokenizer = {
        "config": config,
        "vocab": words,
        "special_tokens": [
            {"rank": rank, "token_str": names.get(rank, f"<SPECIAL_{rank}>"), "is_control": True}
            for rank in range(RESERVED)
        ],
        "audio": {
            "sampling_rate": 16_000,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
            "chunk_length_s": 30.0,
        },
    }
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
