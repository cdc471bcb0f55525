"""Moods through a whole call: from the model's words to the event and the voice, and no mark anywhere else."""

from __future__ import annotations

import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import MS_PER_CHAR, ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.events import Interrupted, ReplyEnded, ReplyText, TurnMetrics
from voxrtc.models.wire import Utterance
from voxrtc.settings import MARKS, Settings

MARKED = "[excited] That is the news, my friend. [sad] But the train left without you."
SAID = "That is the news, my friend. But the train left without you."


def moods(stage: Stage) -> list[tuple[str, str, float]]:
    return [(event.text, event.emotion, event.intensity) for event in stage.all(ReplyText)]


@in_virtual_time
async def test_the_event_and_the_voice_are_told() -> None:
    stage = Stage(ScriptedModels(replies=["I am very happy. The train leaves at nine."]))
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert moods(stage) == [("I am very happy.", "happy", 1.3), (" The train leaves at nine.", "neutral", 1.0)]
    assert [0.0 < event.confidence <= 1.0 for event in stage.all(ReplyText)] == [True, True]
    assert [(ask.emotion, ask.intensity) for ask in stage.models.spoken] == [("happy", 1.3), ("neutral", 1.0)]


@in_virtual_time
async def test_marks_are_never_said_shown_or_remembered() -> None:
    stage = Stage(ScriptedModels(replies=[MARKED, "Yes."], words=["hello", "and then?"], by_turn=True))
    stage.voice.say(500, 2000)
    stage.voice.say(9000, 10_000)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        await stage.until(ReplyEnded, 2)
    assert ended.text == SAID
    assert [(text, emotion) for text, emotion, _ in moods(stage)][:3] == [
        ("That is the news,", "excited"),
        (" my friend.", "excited"),
        (" But the train left without you.", "sad"),
    ]
    assert " ".join(ask.text for ask in stage.models.spoken[:3]) == SAID
    assert stage.models.answers[-1].history == [Utterance("user", "hello"), Utterance("assistant", SAID)]
    assert "excited" not in stage.session.memory.to_json()


@in_virtual_time
async def test_what_was_heard_is_counted_without_marks() -> None:
    stage = Stage(ScriptedModels(replies=[MARKED, "Fine."], words=["hello", "stop"]))
    stage.voice.say(500, 1500)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
        begun_ms = round(stage.time_of(metrics) * 1000 / 20) * 20
        heard = len("That is the news, my friend. But the train")
        start = begun_ms + heard * MS_PER_CHAR
        stage.voice.say(start, start + 1200)
        await stage.until(Interrupted)
        ended = await stage.until(ReplyEnded)
        await stage.until(ReplyEnded, 2)
    assert ended.ended == "interrupted"
    assert SAID.startswith(ended.text)
    assert abs(len(ended.text) - heard) <= 10  # the caller is noticed a little later, and it is cut at a word
    assert stage.models.answers[-1].history[1] == Utterance("assistant", ended.text, interrupted=True)


@in_virtual_time
async def test_a_greeting_has_the_mood_of_its_words_or_its_mark() -> None:
    for greeting, emotion in (("Hello, how are you?", "neutral"), ("[happy] Hello, how are you?", "happy")):
        stage = Stage(dialogue={"greeting": greeting, "partial_every_ms": 0})
        async with stage.up():
            ended = await stage.until(ReplyEnded)
        assert ended.text == "Hello, how are you?"
        assert {text[1] for text in moods(stage)} == {emotion}


@in_virtual_time
async def test_switched_off_all_is_neutral_and_marks_are_still_not_said() -> None:
    stage = Stage(ScriptedModels(replies=["[happy] I am very glad."]), emotion={"enabled": False, "marks": True})
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert moods(stage) == [("I am very glad.", "neutral", 1.0)]
    assert stage.models.spoken[0].emotion == "neutral"
    assert MARKS not in stage.models.answers[0].system


@pytest.mark.parametrize("marks", [True, False])
@in_virtual_time
async def test_the_model_is_told_of_marks_only_where_that_is_configured(marks: bool) -> None:
    stage = Stage(emotion={"marks": marks})
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert (MARKS in stage.models.answers[0].system) == marks
    assert stage.models.answers[0].system.startswith(Settings().dialogue.system_prompt)


@in_virtual_time
async def test_the_words_are_read_in_the_language_that_was_heard() -> None:
    stage = Stage(
        ScriptedModels(replies=["Ich bin sehr froh darüber."]), dialogue={"language": "de", "partial_every_ms": 0}
    )
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert moods(stage)[0][1:] == ("happy", 1.3)
