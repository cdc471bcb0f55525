"""Replies that have to be asked for, turns that are made by hand, and what else a call may have of its own."""

from __future__ import annotations

import asyncio

import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels, at_ms
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.commands import (
    Commit,
    Configure,
    Discard,
    Endpoint,
    Forget,
    Respond,
    Text,
)
from voxrtc.errors import ModelsError
from voxrtc.events import (
    Interrupted,
    Notice,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    StateChanged,
    Transcript,
    TurnDropped,
    TurnEnded,
)
from voxrtc.models.wire import Utterance

ASKED = Configure(replies="asked")
BY_HAND = Configure(interruptions="manual")


def heard(stage: Stage) -> list[tuple[int, str]]:
    return [(event.turn, event.text) for event in stage.all(Transcript) if event.final]


@in_virtual_time
async def test_a_turn_is_written_down_and_answered_when_that_is_asked_for() -> None:
    stage = Stage(ScriptedModels(partials=["how late is it"]))
    stage.voice.say(500, 1500)
    async with stage.up():
        await stage.session.obey(ASKED)
        await stage.until(Transcript)
        await asyncio.sleep(5)
        assert stage.models.answers == []
        await stage.session.obey(Respond())
        ended = await stage.until(ReplyEnded)
    assert heard(stage) == [(1, "how late is it")]
    assert ended.text == "Yes, of course. I can do that for you, if you like."
    assert [event.turn for event in stage.all(ReplyStarted)] == [1]
    (ask,) = stage.models.answers
    assert (ask.text, ask.audio, ask.history) == ("how late is it", None, [])
    assert [(e.user, e.assistant) for e in stage.session.memory.exchanges] == [("how late is it", ended.text)]


@in_virtual_time
async def test_who_asks_at_once_is_answered_from_the_sound() -> None:
    stage = Stage(ScriptedModels(words=["how late is it"]))
    stage.voice.say(500, 1500)
    async with stage.up():
        await stage.session.obey(ASKED)
        await stage.until(TurnEnded)
        await stage.session.obey(Respond(instructions="Answer in one word."))
        await stage.until(ReplyEnded)
    (ask,) = stage.models.answers
    assert ask.audio is not None
    assert ask.system.startswith("Answer in one word.")
    assert heard(stage) == [(1, "how late is it")]
    assert stage.models.looked == 0, "nobody needs to hear it twice"


@in_virtual_time
async def test_several_turns_are_written_down_before_the_last_is_answered() -> None:
    stage = Stage(ScriptedModels(partials=["one"], words=["two"], asr_s=3.0))
    stage.voice.say(500, 1500)
    stage.voice.say(2500, 3500)
    async with stage.up():
        await stage.session.obey(ASKED)
        await stage.until(TurnEnded, 2)
        await stage.session.obey(Respond())
        await stage.until(ReplyEnded)
    assert heard(stage) == [(1, "one"), (2, "two")]
    (ask,) = stage.models.answers
    assert ask.history == [Utterance("user", "one")]


@in_virtual_time
async def test_a_turn_that_cannot_be_written_down_is_told() -> None:
    stage = Stage(ScriptedModels(fail=lambda verb, count: ModelsError("no") if verb == "transcribe" else None))
    stage.voice.say(500, 1500)
    async with stage.up():
        await stage.session.obey(ASKED)
        assert (await stage.until(TurnDropped)).reason == "not heard"
        assert stage.all(Notice)[0].code == "models_failed"


@in_virtual_time
async def test_noise_lets_the_reply_go_on_though_replies_are_asked_for() -> None:
    stage = Stage(ScriptedModels(partials=[""], replies=["A long story. " * 20]))
    async with stage.up():
        await stage.session.obey(ASKED)
        await stage.session.obey(Text("tell me a story", respond=False))
        await stage.session.obey(Respond())
        await stage.until(ReplySpoken)
        stage.voice.say(3000, 3600)
        await stage.until(Interrupted)
        await stage.until_state("speaking", 2)
        assert not stage.all(ReplyEnded)


@in_virtual_time
async def test_a_reply_may_be_asked_for_when_nothing_was_said() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Respond(instructions="Say hello."))
        ended = await stage.until(ReplyEnded)
        assert stage.all(ReplyStarted)[0].turn == 0
        await stage.session.obey(Respond())
        await stage.session.obey(Respond())
        assert [event.code for event in stage.all(Notice)] == ["busy"]
    assert stage.models.answers[0].system.splitlines()[0] == "Say hello."
    first = stage.session.memory.exchanges[0]
    assert (first.user, first.assistant) == ("", ended.text)


@in_virtual_time
async def test_a_turn_is_made_by_hand() -> None:
    stage = Stage(ScriptedModels(words=["by hand"]))
    stage.voice.say(200, 900)
    async with stage.up():
        await stage.session.obey(BY_HAND)
        await asyncio.sleep(3)
        assert not stage.all(TurnEnded), "no silence ends it"
        await stage.session.obey(Commit())
        await stage.until(ReplyEnded)
    (turn,) = stage.all(TurnEnded)
    assert turn.end - turn.start >= at_ms(2900)
    assert heard(stage) == [(1, "by hand")]
    assert stage.models.heard_samples().size == turn.end - turn.start


@in_virtual_time
async def test_what_was_discarded_is_in_no_turn() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(BY_HAND)
        await asyncio.sleep(2)
        await stage.session.obey(Discard())
        await stage.session.obey(Commit())
        assert [event.code for event in stage.all(Notice)] == ["empty_turn"]
        await asyncio.sleep(0.5)
        await stage.session.obey(Commit())
        turn = await stage.until(TurnEnded)
    assert turn.start >= at_ms(1900)


@in_virtual_time
async def test_commit_is_for_turns_that_are_made_by_hand() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Commit())
    assert [event.code for event in stage.all(Notice)] == ["not_manual"]


@in_virtual_time
async def test_replies_in_writing_are_not_spoken() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Configure(speaks=False))
        await stage.session.obey(Text("hello"))
        ended = await stage.until(ReplyEnded)
        assert (ended.ended, ended.text) == ("finished", "Yes, of course. I can do that for you, if you like.")
        await stage.session.obey(Configure(speaks=True))
        await stage.session.obey(Text("hello"))
        await stage.until(ReplyEnded, 2)
    assert "".join(e.text for e in stage.all(ReplyText) if e.reply == 1).strip() == ended.text
    assert {e.reply for e in stage.all(ReplySpoken)} == {2}
    assert stage.models.answers[1].history[1] == Utterance("assistant", ended.text)
    assert "speaking" in [e.state for e in stage.all(StateChanged)]


@in_virtual_time
async def test_what_was_said_elsewhere_is_remembered_and_may_be_forgotten() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Text("I am Ann.", respond=False))
        await stage.session.obey(Text("Hello Ann.", role="assistant"))
        await stage.session.obey(Text("Be brief.", role="system"))
        await stage.session.obey(Text("Who am I?"))
        await stage.until(ReplyEnded)
        await stage.session.obey(Forget(turn=1))
        await stage.session.obey(Forget(reply=1))
        await stage.session.obey(Forget(turn=77))
        await stage.session.obey(Text("And now?"))
        await stage.until(ReplyEnded, 2)
    first, second = stage.models.answers
    assert first.history == [Utterance("user", "I am Ann."), Utterance("assistant", "Hello Ann.")]
    assert "Be brief." in first.system.splitlines()
    assert second.history == [Utterance("assistant", "Hello Ann."), Utterance("user", "Who am I?")]
    assert [event.code for event in stage.all(Notice)] == ["unknown_turn"]


@in_virtual_time
async def test_a_call_may_have_its_own_persona_and_length() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Configure(instructions="You are a pirate.", max_tokens=7, temperature=1.5))
        await stage.session.obey(Text("hello"))
        await stage.until(ReplyEnded)
        await stage.session.obey(Configure(instructions="", max_tokens=100_000, temperature=9.0))
        await stage.session.obey(Text("hello"))
        await stage.until(ReplyEnded, 2)
    first, second = stage.models.answers
    assert (first.system.splitlines()[0], first.max_tokens, first.temperature) == ("You are a pirate.", 7, 1.5)
    assert (second.system.splitlines()[0], second.max_tokens) == (stage.settings.system_prompt.splitlines()[0], 7)
    assert [event.code for event in stage.all(Notice)] == ["bad_config", "bad_config"]


@in_virtual_time
@pytest.mark.parametrize(("silence_ms", "waits"), [(300, 300), (900, 900)])
async def test_a_call_may_have_its_own_end_of_turns(silence_ms: int, waits: int) -> None:
    stage = Stage()
    stage.voice.say(500, 1500)
    async with stage.up():
        await stage.session.obey(Configure(endpointing=Endpoint(strategy="vad", end_silence_ms=silence_ms)))
        turn = await stage.until(TurnEnded)
    assert at_ms(waits) <= turn.at - turn.end < at_ms(waits + 100)


@in_virtual_time
async def test_ends_of_turns_that_cannot_be_are_refused_whole() -> None:
    stage = Stage()
    stage.voice.say(500, 1500)
    async with stage.up():
        for bad in (Endpoint(strategy="guess"), Endpoint(end_silence_ms=1), Endpoint(min_silence_ms=5_000)):
            await stage.session.obey(Configure(endpointing=bad))
        turn = await stage.until(TurnEnded)
    assert [event.code for event in stage.all(Notice)] == ["bad_config"] * 3
    assert turn.at - turn.end >= at_ms(600)


@in_virtual_time
async def test_the_configured_length_may_be_had_again() -> None:
    stage = Stage()
    async with stage.up():
        await stage.session.obey(Configure(max_tokens=7))
        await stage.session.obey(Configure(max_tokens=0))
        await stage.session.obey(Text("hello"))
        await stage.until(ReplyEnded)
    assert stage.models.answers[0].max_tokens == stage.settings.dialogue.max_reply_tokens


@in_virtual_time
async def test_it_is_told_how_much_sound_of_a_reply_was_heard() -> None:
    stage = Stage(ScriptedModels(replies=["A long story. " * 20]))
    async with stage.up():
        await stage.session.obey(Text("tell me a story"))
        begun = await stage.until(ReplySpoken)
        await asyncio.sleep(1.0)
        stage.session.interrupt()
        ended = await stage.until(ReplyEnded)
    assert abs(ended.heard_ms - (ended.at - begun.at) / 16) < 60
