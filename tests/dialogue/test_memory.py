"""The window of the conversation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.dialogue.memory import Exchange, Memory
from voxrtc.models.wire import Utterance


def test_history_is_the_last_turns() -> None:
    memory = Memory(2)
    for n in range(4):
        exchange = memory.heard(f"question {n}")
        exchange.assistant, exchange.answered = f"answer {n}", True
    assert memory.history() == [
        Utterance("user", "question 2"),
        Utterance("assistant", "answer 2"),
        Utterance("user", "question 3"),
        Utterance("assistant", "answer 3"),
    ]


def test_no_memory_at_all() -> None:
    memory = Memory(0)
    memory.heard("hello")
    assert memory.history() == []
    assert memory.unanswered() is not None


def test_lines_of_one_side_are_joined() -> None:
    memory = Memory(5)
    memory.heard("so my fellow")
    memory.heard("Americans").assistant = "Yes?"
    assert memory.history() == [Utterance("user", "so my fellow Americans"), Utterance("assistant", "Yes?")]


def test_an_interrupted_line_says_so() -> None:
    memory = Memory(5)
    exchange = memory.heard("tell me")
    exchange.assistant, exchange.interrupted = "Once upon", True
    assert memory.history()[1] == Utterance("assistant", "Once upon", interrupted=True)


def test_history_before_an_exchange() -> None:
    memory = Memory(5)
    memory.heard("one").assistant = "1"
    two = memory.heard("two")
    assert memory.history(before=two) == [Utterance("user", "one"), Utterance("assistant", "1")]


def test_unanswered() -> None:
    memory = Memory(5)
    assert memory.unanswered() is None
    memory.greeted()
    assert memory.unanswered() is None
    exchange = memory.heard("hello")
    assert memory.unanswered() is exchange
    exchange.answered = True
    assert memory.unanswered() is None


def test_functions_and_their_results_stand_before_the_reply_to_them() -> None:
    memory = Memory(5)
    exchange = memory.heard("what time is it")
    exchange.steps += [Utterance("call", '{"name": "clock"}'), Utterance("result", '"noon"')]
    exchange.assistant = "It is noon."
    assert [line.role for line in memory.history()] == ["user", "call", "result", "assistant"]
    exchange.assistant = ""
    memory.heard("well?")
    assert [line.role for line in memory.history()] == ["user", "call", "result", "user"], "not joined over them"


STEPS = st.lists(st.builds(Utterance, st.sampled_from(["call", "result"]), st.text()), max_size=2)
EXCHANGES = st.lists(st.builds(Exchange, st.text(), st.text(), st.booleans(), st.booleans(), STEPS), max_size=8)


@given(EXCHANGES, st.integers(1, 5), st.sampled_from(["", "auto", "de"]))
def test_export_and_import(exchanges: list[Exchange], turns: int, language: str) -> None:
    memory = Memory(turns, exchanges[-turns:], language)
    again = Memory.from_json(turns, memory.to_json())
    assert again.history() == memory.history()
    assert again.language == language
    assert [e.answered for e in again.exchanges] == [e.answered for e in memory.exchanges]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}x", "{}", "[1]", "[" * 10_000, '{"exchanges": 3}', '{"exchanges": [{"user": 3}]}'),
        *('{"exchanges": [{"nobody": ""}]}', '{"exchanges": [{"user": "a", "answered": 1}]}'),
        '{"exchanges": [], "language": "klingon"}',
    ],
)
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an exported memory"):
        Memory.from_json(5, text)
