"""The size of a Voxtral: how much arithmetic and how many bytes each step of it cannot do without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrtc.errors import VoxrtcError
from voxrtc.models.voxtral.sequence import WINDOW_TOKENS

AUDIO = 24
"""Id of the token [AUDIO]."""
SCALE_BYTES = {"none": 0.0, "int8": 0.0, "int4": 4.0 / 128}
"""Bytes a weight besides its own bits: int4 has a bf16 scale and zero for each 128 of them, int8 one scale a row."""
TINY: dict[str, Any] = {
    "audio_config": {
        "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_mel_bins": 128, "max_source_positions": 1500,
    },
    "text_config": {
        "model_type": "llama", "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 256,
        "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 16,
        "max_position_embeddings": 8192,
    },
}  # fmt: skip
"""A Voxtral that any machine can try: of the right form, and of no use."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions of a Voxtral (arXiv:2507.13264, section 2): Whisper's encoder, a projector, a Llama."""

    mels: int
    width: int
    encoder_layers: int
    encoder_ffn: int
    positions: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int

    @property
    def frames(self) -> int:
        """Of mel, in one window."""
        return 2 * self.positions

    @property
    def text_linear(self) -> int:
        """Weights that one step of decoding reads: all layers, and the head."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.ffn) + self.hidden * self.vocabulary

    @property
    def encoder_linear(self) -> int:
        """Weights of the encoder's layers, of its convolutions and of the projector."""
        layer = 4 * self.width**2 + 2 * self.width * self.encoder_ffn
        convolutions = 3 * self.width * (self.mels + self.width)
        return self.encoder_layers * layer + convolutions + self.hidden * (self.encoder_ffn + self.hidden)

    @property
    def parameters(self) -> int:
        """All of them, the input embedding included; biases and norms (one in ten thousand) are not."""
        return self.text_linear + self.encoder_linear + self.hidden * self.vocabulary

    @property
    def encode_flops(self) -> float:
        """Of one window of 30 s: two for each multiplication and addition."""
        layer = 4 * self.width**2 + 2 * self.width * self.encoder_ffn
        layers = self.encoder_layers * (2 * self.positions * layer + 4 * self.positions**2 * self.width)
        convolutions = 2 * 3 * self.width * (self.frames * self.mels + self.positions * self.width)
        return layers + convolutions + 2 * WINDOW_TOKENS * self.hidden * (self.encoder_ffn + self.hidden)

    def prefill_flops(self, tokens: int) -> float:
        """Of a prompt of ``tokens``, causal, with the head for its last one only."""
        head = self.hidden * self.vocabulary
        attention = 2 * tokens**2 * self.heads * self.head_dim * self.layers
        return 2 * tokens * (self.text_linear - head) + attention + 2 * head

    def kv_bytes(self, bytes_each: float) -> float:
        """Of one token of context, all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_each

    def text_bytes(self, quantize: str, bytes_each: float) -> float:
        """Of the weights that one step of decoding reads."""
        each = {"none": bytes_each, "int8": 1.0, "int4": 0.5}[quantize] + SCALE_BYTES[quantize]
        return self.text_linear * each


def shape_of(config: Any) -> Shape:
    """The dimensions out of transformers' VoxtralConfig."""
    audio, text = config.audio_config, config.text_config
    return Shape(
        mels=audio.num_mel_bins,
        width=audio.hidden_size,
        encoder_layers=audio.num_hidden_layers,
        encoder_ffn=audio.intermediate_size,
        positions=audio.max_source_positions,
        hidden=text.hidden_size,
        layers=text.num_hidden_layers,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        ffn=text.intermediate_size,
        vocabulary=text.vocab_size,
    )


def config_of(name: str) -> Any:
    """transformers' VoxtralConfig: ``full`` (Voxtral-Mini-3B-2507), ``tiny``, or of a folder with a ``config.json``.

    Raises VoxrtcError."""
    from transformers import VoxtralConfig

    if name == "full":
        return VoxtralConfig(audio_token_id=AUDIO, projector_hidden_act="gelu")
    if name == "tiny":
        return VoxtralConfig(audio_token_id=AUDIO, projector_hidden_act="gelu", **TINY)
    if not (Path(name) / "config.json").is_file():
        raise VoxrtcError(f"--shape {name}: neither full nor tiny, nor a folder that holds a config.json")
    try:
        config = VoxtralConfig.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError) as error:
        raise VoxrtcError(f"--shape {name}: no configuration of a Voxtral: {error}") from None
    if config.model_type != "voxtral":
        raise VoxrtcError(f"--shape {name}: the configuration of a {config.model_type}, not of a Voxtral")
    return config
