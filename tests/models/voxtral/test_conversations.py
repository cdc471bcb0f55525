"""What stands in the prompt of a turn: what is known of the conversation, the text of the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from voxrtc.dialogue.clauses import ClauseCutter
from voxrtc.dialogue.composing import Composer
from voxrtc.models.voxtral import conversations
from voxrtc.models.voxtral.conversations import LINES, Conversations
from voxrtc.models.voxtral.prompt import Turn, chat
from voxrtc.models.voxtral.sequence import Clip
from voxrtc.models.voxtral.slots import common
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Answer, Prepare, Utterance

SYSTEM = "Be brief."


def clip(seconds: float = 1.0) -> Clip:
    return Clip(np.full(int(16_000 * seconds), 0.1, np.float32))


def user(text: str) -> Utterance:
    return Utterance("user", text)


def assistant(text: str, interrupted: bool = False) -> Utterance:
    return Utterance("assistant", text, interrupted)


class Talk:
    """A caller's side of one session, whose memory is a window of ``turns`` exchanges."""

    def __init__(self, tokens: Tokens, turns: int = 5, context: int = 16_384) -> None:
        self.tokens = tokens
        self.talks = Conversations(tokens, context)
        self.turns = turns
        self.history: list[Utterance] = []
        self.before: list[int] = []
        """What memory holds: the last prompt, and what was picked."""

    def ask(self, history: list[Utterance] | None = None, **more: Any) -> Answer:
        return Answer("s", SYSTEM, list(self.history if history is None else history), max_tokens=20, **more)

    def say(self, text: str, answer: str) -> tuple[list[int], int]:
        """One exchange; the prompt, and how much of it was in memory."""
        sound = clip()
        read = self.talks.answer(self.ask(), sound)
        reused = common(self.before, read.ids)
        picked = self.tokens.encode(answer)
        self.talks.heard("s", list(self.history), sound, text)
        self.talks.said("s", answer, picked)
        self.before = [*read.ids, *picked]
        self.history = [*self.history, user(text), assistant(answer)][-2 * self.turns :]
        return read.ids, reused


def test_every_turn_begins_with_the_one_before(tokens: Tokens) -> None:
    talk = Talk(tokens)
    for number in range(5):
        ids, reused = talk.say(f"Line {number}.", f"Answer {number}, in a few more words.")
        assert reused == (len(ids) - 375 - 4 if number else 0)


def test_a_sliding_window_costs_a_rebuild_only_now_and_then(tokens: Tokens) -> None:
    talk = Talk(tokens, turns=5)
    whole = []
    for number in range(25):
        ids, reused = talk.say(f"Line {number}.", f"Answer {number}.")
        whole.append(reused == len(ids) - 375 - 4)
    rebuilt = [number for number, kept in enumerate(whole) if not kept]
    assert rebuilt == [0, 11, 17, 23], "once ten exchanges are too many five are left, and grow to ten again"


def test_the_context_bounds_what_is_kept(tokens: Tokens) -> None:
    talk = Talk(tokens, turns=5, context=2_400)
    for number in range(12):
        ids, _ = talk.say(f"Line {number}.", f"Answer {number}.")
        assert len(ids) + 20 <= 2_400
    assert sum(id == talk.tokens.begin_audio for id in ids) >= 5, "what fits is asked"


def test_a_shorter_history_is_obeyed(tokens: Tokens) -> None:
    talk = Talk(tokens, turns=2)
    for number in range(4):
        talk.say(f"Line {number}.", f"Answer {number}.")
    for history in ([], talk.history[2:]):
        sound = clip()
        ids = talk.talks.answer(talk.ask(history), sound).ids
        assert ids.count(tokens.begin_inst) == len(history) // 2 + 1


def test_another_history_is_obeyed(tokens: Tokens) -> None:
    talk = Talk(tokens, turns=2)
    for number in range(4):
        talk.say(f"Line {number}.", f"Answer {number}.")
    other = [user("Something else."), assistant("Indeed."), user("And more."), assistant("Quite.")]
    sound = clip()
    ids = talk.talks.answer(talk.ask(other), sound).ids
    turns = [*map(Turn.of, other), Turn("user", sound)]
    assert ids == chat(tokens, turns, SYSTEM)


@pytest.mark.parametrize(
    ("picked", "spoken"),
    [
        ("[happy] Gladly. [sad] But there is none left.", "Gladly. But there is none left."),
        ("[Very happy]: Yes!  *smiles* It is **so**.", "Yes! It is so."),
        ("Two:\n- [sad] one\n- two 😀", "Two: one two"),
        ("No [1].", "No [1]."),
    ],
)
def test_an_answer_is_found_that_is_remembered_as_it_was_spoken(tokens: Tokens, picked: str, spoken: str) -> None:
    composer = Composer(ClauseCutter(12, 220))
    clauses = [*composer.feed(picked, "en"), *composer.finish("en")]
    assert "".join(clause for clause, _ in clauses).strip() == spoken, "what dialogue remembers of it"
    talk = Talk(tokens)
    _, _ = talk.say("Well?", picked)
    talk.history = [user("Well?"), assistant(spoken)]
    ids, reused = talk.say("And then?", "Nothing.")
    assert reused == len(ids) - 375 - 4
    ids = talk.talks.answer(talk.ask([user("Well?"), assistant("Something else.")]), clip()).ids
    assert tokens.decode(tokens.encode("Something else.")) in tokens.decode([id for id in ids if id >= 0])


def test_lines_that_are_joined_are_found_apart(tokens: Tokens) -> None:
    talk = Talk(tokens)
    one, two, three = clip(), clip(), clip()
    talk.talks.heard("s", [], one, "I would like")
    talk.talks.heard("s", [user("I would like")], two, "a table for two")
    ids = talk.talks.answer(talk.ask([user("I would like a table for two"), assistant("Gladly.")]), three).ids
    assert [id for id in ids if id < 0] == [*one.ids(), *two.ids(), *three.ids()]


def test_a_guess_that_went_on_is_forgotten(tokens: Tokens) -> None:
    talk = Talk(tokens)
    talk.say("Yes.", "Fine.")
    guess, whole, following = clip(0.5), clip(), clip()
    talk.talks.heard("s", list(talk.history), guess, "Yes.")
    talk.talks.heard("s", list(talk.history), whole, "Yes.")
    ids = talk.talks.answer(talk.ask([*talk.history, user("Yes."), assistant("Good.")]), following).ids
    sound = {id for id in ids if id < 0}
    assert not sound & set(guess.ids())
    assert sound > set(whole.ids())
    assert sum(id == tokens.begin_audio for id in ids) == 3


def test_what_is_answered_again_as_text_is_the_sound_that_was_heard(tokens: Tokens) -> None:
    talk = Talk(tokens)
    sound = clip()
    before = talk.talks.answer(talk.ask(), sound).ids
    talk.talks.heard("s", [], sound, " Can you help me? ")
    assert talk.talks.answer(talk.ask(text="Can you help me?")).ids == before
    assert all(id >= 0 for id in talk.talks.answer(talk.ask(text="Can you?")).ids)


def test_unknown_lines_are_text(tokens: Tokens) -> None:
    """As after a restart of the host."""
    talk = Talk(tokens)
    history = [assistant("Hello, what can I do?"), user("Help me."), assistant("With", interrupted=True)]
    sound = clip()
    ids = talk.talks.answer(talk.ask(history), sound).ids
    assert ids == chat(tokens, [*map(Turn.of, history), Turn("user", sound)], SYSTEM)


def test_an_interrupted_answer_is_text(tokens: Tokens) -> None:
    talk = Talk(tokens)
    talk.talks.said("s", "Yes", picked := [*tokens.encode("Y"), *tokens.encode("es")])
    assert picked != tokens.encode("Yes")
    whole = talk.talks.answer(talk.ask([user("a"), assistant("Yes")], text="b")).ids
    cut = talk.talks.answer(talk.ask([user("a"), assistant("Yes", interrupted=True)], text="b")).ids
    at = whole.index(tokens.end_inst) + 1
    assert whole[at : at + len(picked)] == picked
    assert cut[at : at + len(picked)] != picked


def test_prepare_is_what_every_next_prompt_begins_with(tokens: Tokens) -> None:
    talk = Talk(tokens)
    assert talk.talks.prepare(Prepare("s", SYSTEM, [], "He")) is None
    talk.say("Hello.", "Hi.")
    prepared = talk.talks.prepare(Prepare("s", SYSTEM, talk.history, "How are"))
    assert prepared is not None
    ids, _ = talk.say("How are you?", "Fine.")
    assert ids[: len(prepared.ids)] == prepared.ids
    assert len(ids) == len(prepared.ids) + 375 + 2


def test_what_is_remembered_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "HELD_S", 10)
    monkeypatch.setattr(conversations, "SESSIONS", 3)
    talks = Conversations(tokens, 4096)
    for session in "abcde":
        for number in range(LINES + 5):
            talks.heard(session, [user(str(number))], clip(0.2), f"{number}")
            talks.said(session, f"{number}", [1000])
    held = talks._sessions
    assert list(held) == ["c", "d", "e"]
    assert sum(one.samples for one in held.values()) <= 10 * 16_000
    assert len(held["e"].heard) == LINES
    assert held["c"].heard == []
    assert all(len(one.said) == LINES for one in held.values())
