"""Tiny checkpoints with random weights, saved in the formats of the real ones."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def vits(folder: Path, letters: str = LETTERS) -> None:
    """MMS-TTS."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(0)
    folder.mkdir(parents=True)
    vocabulary = {sign: number for number, sign in enumerate("_ '-" + letters)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    VitsTokenizer(
        str(folder / "vocab.json"), pad_token="_", unk_token="_", phonemize=False, is_uroman=False
    ).save_pretrained(folder)
    config = VitsConfig(
        vocab_size=len(vocabulary),
        **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16, "flow_size": 16},
        **{"spectrogram_bins": 33, "posterior_encoder_num_wavenet_layers": 1, "prior_encoder_num_flows": 1},
        **{"prior_encoder_num_wavenet_layers": 1, "upsample_initial_channel": 32, "resblock_kernel_sizes": [3]},
        **{"resblock_dilation_sizes": [[1]], "depth_separable_num_layers": 1, "duration_predictor_num_flows": 2},
        duration_predictor_flow_bins=4,
    )
    model = VitsModel(config)
    with torch.no_grad():  # else it is too quiet to be heard
        model.decoder.conv_post.weight.mul_(30.0)
    model.save_pretrained(folder)


def dia(folder: Path) -> None:
    """Dia, with its codec in ``dac``."""
    import torch
    from transformers import (
        DacConfig,
        DacModel,
        DiaConfig,
        DiaFeatureExtractor,
        DiaForConditionalGeneration,
        DiaTokenizer,
    )

    torch.manual_seed(0)
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8, "num_hidden_layers": 1}
    config = DiaConfig(
        encoder_config={"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 256} | heads,
        decoder_config={"hidden_size": 16, "intermediate_size": 16, "max_position_embeddings": 128, "vocab_size": 1028}
        | {"cross_num_attention_heads": 2, "cross_num_key_value_heads": 2, "cross_head_dim": 8, "cross_hidden_size": 16}
        | heads,
        delay_pattern=[0, 8, 9, 10, 11, 12, 13, 14, 15],
    )
    DiaForConditionalGeneration(config).save_pretrained(folder)
    DiaTokenizer().save_pretrained(folder)
    DiaFeatureExtractor(sampling_rate=44_100, hop_length=512).save_pretrained(folder)
    codec = DacModel(
        DacConfig(encoder_hidden_size=4, decoder_hidden_size=32, downsampling_ratios=[8, 8, 4, 2], sampling_rate=44_100)
    )
    codec.save_pretrained(folder / "dac")


def indic(folder: Path, language: str, letters: str) -> None:
    """Indic-TTS, as AI4Bharat's archives have it: made by coqui-tts, with paths of the machine it was trained on."""
    import torch
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.forward_tts import ForwardTTS, ForwardTTSArgs
    from TTS.vocoder.configs import HifiganConfig
    from TTS.vocoder.models.gan import GAN

    torch.manual_seed(0)
    pitch, vocoder = folder / language / "fastpitch", folder / language / "hifigan"
    pitch.mkdir(parents=True)
    vocoder.mkdir()
    speakers = pitch / "speakers.pth"
    torch.save({"male": 0, "female": 1}, speakers)
    layers = {"hidden_channels_ffn": 16, "num_heads": 1, "num_layers": 1, "dropout_p": 0.1}
    config = FastPitchConfig(
        characters=CharactersConfig(
            characters_class="TTS.tts.utils.text.characters.Graphemes",
            **{"pad": "<PAD>", "eos": "<EOS>", "bos": "<BOS>", "blank": "<BLNK>"},
            characters="".join(sorted(set(letters))),
            punctuations="!,.? ",
        ),
        use_speaker_embedding=True,
        speakers_file=str(speakers),
        model_args=ForwardTTSArgs(
            num_chars=len(set(letters)) + 9,
            use_speaker_embedding=True,
            speakers_file=str(speakers),
            hidden_channels=16,
            encoder_params=layers,
            decoder_params=layers,
        ),
        use_phonemes=False,
        text_cleaner="multilingual_cleaners",
    )
    torch.save({"model": ForwardTTS(config).state_dict(), "config": config.to_dict()}, pitch / "best_model.pth")
    saved = json.loads(config.to_json())
    saved["speakers_file"] = saved["model_args"]["speakers_file"] = "/trained/here/speakers.pth"
    (pitch / "config.json").write_text(json.dumps(saved))
    sizes = {"upsample_factors": [8, 8, 2, 2], "upsample_kernel_sizes": [16, 16, 4, 4], "upsample_initial_channel": 32}
    blocks = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]], "resblock_type": "1"}
    made = HifiganConfig(generator_model_params=sizes | blocks)
    torch.save({"model": GAN(made).state_dict()}, vocoder / "best_model.pth")
    (vocoder / "config.json").write_text(made.to_json())


def kokoro(folder: Path, *, tokens: str = "input_ids") -> None:
    """Kokoro: an ONNX whose sound is its phonemes' numbers, each for 600 samples, over 100."""
    (folder / "voices").mkdir(parents=True)
    signs = {sign: number for number, sign in enumerate("$;:,.!? abcdefhijklmnopstuvwxzæðŋɑɐɒɔəɚɛɜɪɹɾʃʊʌʒʤʧθˈˌːAIOWY")}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": signs}}))
    for name in ("af_heart", "ef_dora"):
        np.zeros((510, 1, 256), np.float32).tofile(folder / "voices" / f"{name}.bin")
    (folder / "model.onnx").write_bytes(_onnx(tokens))


# -- ONNX, as its protocol buffers are written (onnx/onnx.proto) ----------------------------------------------------


def _onnx(tokens: str) -> bytes:
    """tokens (1, n) int64, style (1, 256), speed (1,) -> waveform (1, 600 n)."""
    float_, int64 = 1, 7
    nodes = [
        _node("Cast", [tokens], ["numbers"], _attribute("to", 2, float_)),
        _node("ReduceMax", ["style"], ["least"], _attribute("keepdims", 2, 1)),  # style and speed are used
        _node("Add", ["numbers", "least"], ["moved"]),
        _node("Div", ["moved", "hundred"], ["levels"]),
        _node("Mul", ["speed", "one"], ["fast"]),
        _node("Mul", ["levels", "fast"], ["scaled"]),
        _node("Unsqueeze", ["scaled", "axis"], ["columns"]),
        _node("Expand", ["columns", "shape"], ["rows"]),
        _node("Reshape", ["rows", "flat"], ["waveform"]),
    ]
    constants = [
        _tensor("hundred", float_, [1], struct.pack("<f", 100.0)),
        _tensor("one", float_, [1], struct.pack("<f", 1.0)),
        _tensor("axis", int64, [1], struct.pack("<q", 2)),
        _tensor("shape", int64, [3], struct.pack("<3q", 1, 1, 600)),
        _tensor("flat", int64, [2], struct.pack("<2q", 1, -1)),
    ]
    inputs = [(tokens, int64, [1, "n"]), ("style", float_, [1, 256]), ("speed", float_, [1])]
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(5, constant) for constant in constants)
    graph += b"".join(_field(11, _value(*given)) for given in inputs)
    graph += _field(12, _value("waveform", float_, [1, "m"]))
    return _varint(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _varint(2, 17))


def _number(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def _varint(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _field(field: int, data: bytes) -> bytes:
    return _number(field << 3 | 2) + _number(len(data)) + data


def _attribute(name: str, kind: int, value: int) -> bytes:
    return _field(1, name.encode()) + _varint(3, value) + _varint(20, kind)


def _node(kind: str, inputs: list[str], outputs: list[str], *attributes: bytes) -> bytes:
    named = [_field(1, name.encode()) for name in inputs] + [_field(2, name.encode()) for name in outputs]
    return b"".join(named) + _field(4, kind.encode()) + b"".join(_field(5, one) for one in attributes)


def _tensor(name: str, kind: int, shape: list[int], raw: bytes) -> bytes:
    return b"".join(_varint(1, size) for size in shape) + _varint(2, kind) + _field(8, name.encode()) + _field(9, raw)


def _value(name: str, kind: int, shape: list[int | str]) -> bytes:
    sizes = [_varint(1, size) if isinstance(size, int) else _field(2, size.encode()) for size in shape]
    tensor = _varint(1, kind) + _field(2, b"".join(_field(1, size) for size in sizes))
    return _field(1, name.encode()) + _field(2, _field(1, tensor))
