from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from voxrtc.models.voxtral.text import TextStream
from voxrtc.models.voxtral.tokens import Tokens

BYTES = 1000
"""The ids of the 256 bytes begin here, so that a text can be cut anywhere."""

TEXTS = [
    "Hello there, how are you?",
    "  It begins with space.",
    "An emoji 👩‍👩‍👧 of many parts, and a flag 🇩🇪.",
    "नमस्ते दुनिया। आप कैसे हैं?",
    "你好,世界。今天天气很好!",
    "今日はいい天気ですね。カタカナも。",
    "안녕하세요, 반갑습니다.",
    "Bonjour\u202f! Ça va\u00a0?",
    "வணக்கம் తెలుగు മലയാളം বাংলা",
    "lines\nand\r\nmore\ttabs  and   spaces ",
    "",
    "   ",
]


def as_bytes(text: str) -> list[int]:
    return [BYTES + byte for byte in text.encode()]


def streamed(tokens: Tokens, ids: Iterable[int], whole_words: bool = False) -> list[str]:
    """The pieces of ``ids``, the last being that of finish()."""
    stream = TextStream(tokens, whole_words)
    return [*map(stream.feed, ids), stream.finish()]


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_together_are_the_text(tokens: Tokens, text: str, whole_words: bool) -> None:
    for ids in (tokens.encode(text), as_bytes(text)):
        assert "".join(streamed(tokens, ids, whole_words)) == text.lstrip() == tokens.decode(ids).lstrip()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(), max_size=5), st.booleans(), st.randoms(use_true_random=False))
def test_any_text_in_any_tokens(tokens: Tokens, parts: list[str], whole_words: bool, chance: random.Random) -> None:
    """Each part as words or as bytes, special tokens thrown in anywhere."""
    ids = [one for part in parts for one in (tokens.encode(part) if chance.random() < 0.5 else as_bytes(part))]
    for _ in range(chance.randrange(4)):
        ids.insert(chance.randrange(len(ids) + 1), chance.choice(tokens.special))
    assert "".join(streamed(tokens, ids, whole_words)) == "".join(parts).lstrip()


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.integers(0, 131_071), st.integers(BYTES, BYTES + 255)), max_size=40), st.booleans())
def test_any_tokens(tokens: Tokens, ids: list[int], whole_words: bool) -> None:
    """What a model picks need not be UTF-8."""
    assert "".join(streamed(tokens, ids, whole_words)) == tokens.decode(ids).lstrip()


def test_a_character_comes_when_it_is_whole(tokens: Tokens) -> None:
    assert streamed(tokens, as_bytes("aé👋न")) == ["a", "", "é", "", "", "", "👋", "", "", "न", ""]


def test_a_character_that_is_cut_off_is_lost(tokens: Tokens) -> None:
    assert streamed(tokens, as_bytes("hi 👋")[:-1]) == ["h", "i", " ", "", "", "", ""]


def test_a_real_replacement_character_is_text(tokens: Tokens) -> None:
    assert "".join(streamed(tokens, as_bytes("a\ufffdb"))) == "a\ufffdb"


def test_words_come_when_the_next_one_begins(tokens: Tokens) -> None:
    ids = [one for piece in ("under", "stand", "ing", " to", " he", "ar", "!") for one in tokens.encode(piece)]
    assert len(ids) == 7
    assert streamed(tokens, ids, whole_words=True) == ["", "", "", "understanding ", "to ", "", "", "hear!"]
    assert streamed(tokens, ids) == ["under", "stand", "ing", " to", " he", "ar", "!", ""]


def test_words_that_are_not_set_apart_come_one_by_one(tokens: Tokens) -> None:
    pieces = streamed(tokens, as_bytes("你好\uff0c世界。ok"), whole_words=True)
    assert [piece for piece in pieces if piece] == ["你", "好", "\uff0c", "世", "界", "。", "ok"]


def test_spaces_that_hold_words_together_do(tokens: Tokens) -> None:
    pieces = streamed(tokens, as_bytes("Ça va\u00a0? Oui\u202f!"), whole_words=True)
    assert [piece for piece in pieces if piece] == ["Ça ", "va\u00a0? ", "Oui\u202f!"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "long-er", "é", "नमस्ते", "👩‍👩‍👧", "don't", "3.5"]), min_size=1, max_size=12))
def test_whole_words_are_whole(tokens: Tokens, words: list[str]) -> None:
    pieces = streamed(tokens, as_bytes(" ".join(words)), whole_words=True)
    assert [word for piece in pieces for word in piece.split()] == words
    assert all(piece.endswith(" ") for piece in pieces[:-1] if piece)
