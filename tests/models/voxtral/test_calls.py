from __future__ import annotations

import json

import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.calls import Call, Sorter
from voxrtc.models.voxtral.tokens import Tokens


def answered(tokens: Tokens, said: str, called: str | None) -> tuple[str, Sorter]:
    """The words that come out of an answer, and what sorted it."""
    sorter = Sorter(tokens)
    ids = tokens.encode(said)
    if called is not None:
        ids += [tokens.tool_calls, *tokens.encode(called)]
    words = "".join([*map(sorter.feed, [*ids, tokens.eos]), sorter.finish()])
    return words, sorter


def test_words_alone_call_nothing(tokens: Tokens) -> None:
    words, sorter = answered(tokens, ' It is [{"name": "noon"}].', None)
    assert words == 'It is [{"name": "noon"}].'
    assert not sorter.calling
    assert sorter.calls() == []


@pytest.mark.parametrize("said", ["", "One moment. "])
def test_a_call_is_not_said(tokens: Tokens, said: str) -> None:
    words, sorter = answered(tokens, said, '[{"name": "weather", "arguments": {"where": "Köln ☔"}}]')
    assert words == said
    assert sorter.calling
    assert sorter.calls() == [Call("weather", '{"where": "Köln ☔"}')]


def test_a_held_word_comes_before_the_call(tokens: Tokens) -> None:
    sorter = Sorter(tokens, whole_words=True)
    assert "".join(map(sorter.feed, tokens.encode("One moment"))) == "One "
    assert sorter.feed(tokens.tool_calls) == "moment"
    assert sorter.finish() == ""


def test_several_calls(tokens: Tokens) -> None:
    _, sorter = answered(
        tokens, "", '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {"x": [1]}, "id": "abcdefghi"}]'
    )
    assert sorter.calls() == [Call("a", "{}"), Call("b", '{"x": [1]}')]


@pytest.mark.parametrize(
    "called",
    [
        '  {"name": "a", "arguments": {}}',
        '[{"name": "a", "arguments": {}}] and so on',
        '[{"name": "a", "arguments": {}}][{"name": "b", "arguments": {}}]',
    ],
)
def test_what_is_nearly_right_is_taken(tokens: Tokens, called: str) -> None:
    _, sorter = answered(tokens, "", called)
    assert sorter.calls() == [Call("a", "{}")]


def test_a_call_that_is_cut_off_anywhere(tokens: Tokens) -> None:
    whole = json.dumps([{"name": "weather", "arguments": {"where": "Köln"}}], ensure_ascii=False)
    for end in range(len(whole)):
        _, sorter = answered(tokens, "", whole[:end])
        with pytest.raises(ModelsError, match=r"not whole: it was longer than dialogue\.max_reply_tokens"):
            sorter.calls()


@pytest.mark.parametrize(
    "called", ["[]", "[1]", '[{"name": "a"}]', '[{"name": 1, "arguments": {}}]', '[{"arguments": {}}]']
)
def test_what_is_no_call(tokens: Tokens, called: str) -> None:
    _, sorter = answered(tokens, "", called)
    with pytest.raises(ModelsError, match="lacks the function's name or its arguments"):
        sorter.calls()
