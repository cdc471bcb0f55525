"""Whole turns against their beginnings, by what a small model expects to follow."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.errors import ModelsError
from voxrtc.models.llm.ending import CANDIDATES, LONGEST, probability, prompt
from voxrtc.models.llm.gguf import Gguf, Sampling

WHOLE = [
    "Turn off the kitchen light",
    "Could you call me back tomorrow",
    "What's the weather like in Paris today",
    "I'd like to book a table for two",
    "Tell me a joke",
    "Set an alarm for seven in the morning",
    "I don't know what you mean",
    "Where are you from",
]


def token(text: str, probability: float) -> dict[str, object]:
    return {"token": text, "logprob": math.log(probability), "id": 1, "bytes": []}


class TestPrompt:
    def test_what_was_said_is_the_beginning_of_a_users_line(self) -> None:
        asked = prompt("could you")
        assert asked.endswith("<|im_end|>\n<|im_start|>user\nCould you")
        assert asked.startswith("<|im_start|>user\nHello.<|im_end|>\n")

    @pytest.mark.parametrize(
        "said", ["Could you", " could you ", "could you.", "Could you...", "Could you - ", "could you?!"]
    )
    def test_how_whisper_closes_it_does_not_count(self, said: str) -> None:
        assert prompt(said) == prompt("Could you")

    def test_inner_punctuation_stays(self) -> None:
        assert prompt("Well, i.e. this, yes.").endswith("\nWell, i.e. this, yes")

    def test_of_a_long_turn_the_end_is_read(self) -> None:
        said = " ".join(f"word{n}" for n in range(500))
        asked = prompt(said)
        assert asked.endswith(said[-50:])
        assert len(asked) == len(prompt("")) + LONGEST

    @given(st.text(max_size=1000))
    def test_anything_may_be_asked(self, said: str) -> None:
        assert len(prompt(said)) <= len(prompt("")) + 2 * LONGEST  # capitals may be longer: "ß" is "SS"


class TestProbability:
    def test_ends_of_lines_and_of_sentences_are_added(self) -> None:
        tokens = [token("", 0.3), token(".", 0.2), token(" the", 0.1), token("?", 0.05), token("!\n", 0.05)]
        assert probability(tokens) == pytest.approx(0.6)

    def test_special_tokens_however_they_are_written(self) -> None:
        assert probability([token("<|im_end|>", 0.25), token("\n", 0.25), token(" .", 0.25)]) == pytest.approx(0.75)

    def test_whatever_goes_on_is_none(self) -> None:
        assert probability([token(" and", 0.5), token(",", 0.3), token(" ", 0.1), token("s", 0.1)]) == 0.0
        assert probability([]) == 0.0


@pytest.mark.models
class TestReading:
    @pytest.mark.parametrize("said", WHOLE)
    def test_whole_turns_stand_out_from_their_beginnings(self, gguf: Gguf, said: str) -> None:
        """Clearly above each beginning that is not a request of its own ("Tell me", "Turn off")."""
        words = said.split()
        found = [gguf.ending(" ".join(words[:n])) for n in range(1, len(words) + 1)]
        assert found[-1] > 0.2  # waits.COMPLETE
        assert sum(beginning < found[-1] / 2 for beginning in found[:-1]) >= 0.7 * (len(words) - 1), found

    @pytest.mark.parametrize(
        "said",
        ["I went there and", "Could you", "My favourite colour is", "Turn off the", "Yeah, I know, but", "I will be"],
    )
    def test_beginnings_that_nobody_leaves_at_that(self, gguf: Gguf, said: str) -> None:
        assert gguf.ending(said) < 0.05
        assert gguf.ending(f"{said}.") == pytest.approx(gguf.ending(said), abs=0.01), "whatever whisper closes it with"

    def test_whole_and_broken_off_in_the_mean(self, gguf: Gguf) -> None:
        """The probability that a whole turn is above a beginning, drawn at random (area under the ROC curve)."""
        whole = [gguf.ending(said) for said in WHOLE]
        broken = [gguf.ending(" ".join(said.split()[:n])) for said in WHOLE for n in range(1, len(said.split()))]
        above = sum(w > b for w in whole for b in broken) / (len(whole) * len(broken))
        assert above > 0.93

    def test_the_same_words_have_the_same_probability(self, gguf: Gguf) -> None:
        found = [gguf.ending("Turn off the kitchen light") for _ in range(3)]
        assert all(a == pytest.approx(b, abs=0.01) for a, b in pairwise(found))
        assert 0.0 <= found[0] <= 1.0

    def test_so_few_tokens_hold_most_of_it(self, gguf: Gguf, monkeypatch: pytest.MonkeyPatch) -> None:
        """More candidates add next to nothing where a sentence may end."""
        few = gguf.ending("Turn off the kitchen light")
        monkeypatch.setattr("voxrtc.models.llm.ending.CANDIDATES", 10 * CANDIDATES)
        assert few <= gguf.ending("Turn off the kitchen light") + 0.01 <= few + 0.05

    def test_nothing_is_no_turn(self, gguf: Gguf) -> None:
        assert gguf.ending("") < 0.05
        assert gguf.ending("...") < 0.05

    def test_what_does_not_fit_is_an_error_of_this_question_only(self, gguf: Gguf) -> None:
        with pytest.raises(ModelsError, match="exceed"):
            gguf.ending("一二三" * LONGEST)
        assert gguf.ending("Tell me a joke") > 0.1

    def test_it_may_be_asked_while_an_answer_is_made(self, gguf: Gguf) -> None:
        """Slots are shared with answers where the model that thinks is the one that reads."""
        pieces: list[str] = []
        begun = threading.Event()

        def say(piece: str) -> None:
            pieces.append(piece)
            begun.set()

        def generate() -> None:
            gguf.generate("You are brief.", [], "Count to twenty.", 0, Sampling(40, 0.0, 1), say)

        thread = threading.Thread(target=generate)
        thread.start()
        assert begun.wait(20)
        assert gguf.ending("Turn off the kitchen light") > 0.3
        thread.join(20)
        assert not thread.is_alive()
        assert len(pieces) > 3
