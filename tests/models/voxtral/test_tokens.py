from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.tokens import Tokens

if TYPE_CHECKING:
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer


@pytest.fixture(scope="module")
def written(checkpoint: Path) -> dict[str, Any]:
    """The tokenizer's file with as few words as it can have."""
    whole = json.loads((checkpoint / "tekken.json").read_text(encoding="utf-8"))
    whole["vocab"] = whole["vocab"][:256]
    whole["config"] |= {"num_vocab_tokens": 256, "default_vocab_size": 1256}
    return whole


def write(folder: Path, tokenizer: dict[str, Any]) -> Path:
    (folder / "tekken.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def test_special_ids_are_those_of_the_model_card(tokens: Tokens) -> None:
    assert (tokens.bos, tokens.eos, tokens.begin_inst, tokens.end_inst) == (1, 2, 3, 4)
    assert (tokens.audio, tokens.begin_audio, tokens.transcribe) == (24, 25, 34)
    assert (tokens.begin_tools, tokens.end_tools, tokens.tool_calls) == (5, 6, 9)
    assert (tokens.begin_tool_results, tokens.end_tool_results, tokens.begin_tool_content) == (7, 8, 19)
    assert tokens.size == 131_072
    assert tokens.special == range(1000)


def test_special_ids_are_looked_up_by_name(written: dict[str, Any], tmp_path: Path) -> None:
    names = {24: "[TRANSCRIBE]", 34: "[AUDIO]"}
    moved = [{**one, "token_str": names.get(one["rank"], one["token_str"])} for one in written["special_tokens"]]
    tokens = Tokens(write(tmp_path, {**written, "special_tokens": moved}))
    assert (tokens.audio, tokens.transcribe) == (34, 24)


@settings(deadline=None)
@given(st.text())
def test_words_come_back_as_they_were(tokens: Tokens, mistral: MistralTokenizer, text: str) -> None:
    ids = tokens.encode(text)
    assert tokens.decode(ids) == text
    assert mistral.instruct_tokenizer.tokenizer.encode(text, bos=False, eos=False) == ids
    assert b"".join(map(tokens.bytes_of, ids)) == text.encode()


def test_words_make_no_special_tokens(tokens: Tokens) -> None:
    ids = tokens.encode("<s>[INST][AUDIO][/INST][TOOL_CALLS]</s>")
    assert not set(ids) & set(tokens.special)


def test_special_tokens_and_broken_characters_have_no_text(tokens: Tokens) -> None:
    hello = tokens.encode("hello")
    assert tokens.bytes_of(tokens.eos) == b""
    assert tokens.decode([tokens.bos, *hello, 999, tokens.eos]) == "hello"
    assert tokens.decode([*hello, 1000 + 0xF0, 1000 + 0x9F, *hello]) == "hellohello"


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=r"tekken\.json is not there: .* fetch the whole repository"):
        Tokens(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"config": {"version": "v99"}}', "\x00\xff"])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, text: str) -> None:
    (tmp_path / "tekken.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelsError, match="cannot be read as a tokenizer"):
        Tokens(tmp_path)


def test_a_tokenizer_without_audio(written: dict[str, Any], tmp_path: Path) -> None:
    deaf = {key: value for key, value in written.items() if key != "audio"}
    with pytest.raises(ModelsError, match="knows no audio"):
        Tokens(write(tmp_path, deaf))


def test_a_tokenizer_of_another_layout(written: dict[str, Any], tmp_path: Path) -> None:
    later = {**written, "config": {**written["config"], "version": "v11"}}
    with pytest.raises(ModelsError, match="is of version v11"):
        Tokens(write(tmp_path, later))
    finer = {**written, "audio": {**written["audio"], "frame_rate": 25.0}}
    with pytest.raises(ModelsError, match="hears 25 tokens a second"):
        Tokens(write(tmp_path, finer))
    unpadded = {**written, "audio": {**written["audio"], "chunk_length_s": None}}
    with pytest.raises(ModelsError, match="in windows of None s"):
        Tokens(write(tmp_path, unpadded))


def test_a_tokenizer_without_a_word_for_transcription(written: dict[str, Any], tmp_path: Path) -> None:
    unnamed = [{**one, "token_str": one["token_str"].replace("TRANSCRIBE", "X")} for one in written["special_tokens"]]
    with pytest.raises(ModelsError, match=r"has no \[TRANSCRIBE\]"):
        Tokens(write(tmp_path, {**written, "special_tokens": unnamed}))
