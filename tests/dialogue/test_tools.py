"""Functions in a call: called by the model, run here or by the caller, late, wrong, interrupted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.commands import Configure
from voxrtc.dialogue.functions import describe
from voxrtc.dialogue.session import WARM_AFTER_S
from voxrtc.events import (
    Notice,
    ReplyEnded,
    ReplyText,
    SpeechResumed,
    ToolCalled,
    ToolEnded,
    TurnEnded,
)
from voxrtc.models.wire import Utterance

SPEC: dict[str, Any] = {
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'
ANSWER = "It is raining in Rome, I am afraid."


def weather(city: str) -> dict[str, str]:
    """The weather in a city."""
    if city == "Atlantis":
        raise KeyError("secret words")
    return {"sky": f"rain in {city}"}


async def slow(city: str) -> str:
    """The weather in a city, slowly."""
    await asyncio.sleep(4.0)
    return "rain"


slow.__name__ = "weather"


def staged(*replies: str, functions: Any = (weather,), **dialogue: Any) -> Stage:
    stage = Stage(
        ScriptedModels(words=["how is the weather in Rome"], replies=list(replies)),
        functions=[describe(function) for function in functions],
        dialogue={"partial_every_ms": 0} | dialogue,
    )
    stage.voice.say(500, 2000)
    return stage


@in_virtual_time
async def test_a_function_is_called_and_its_result_spoken_of() -> None:
    stage = staged(CALL, ANSWER)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", ANSWER)
    (called,) = stage.all(ToolCalled)
    assert (called.name, called.arguments, called.local) == ("weather", {"city": "Rome"}, True)
    (over,) = stage.all(ToolEnded)
    assert (over.id, over.name, over.ended) == (called.id, "weather", "finished")
    first, second = stage.models.answers
    assert [tool.name for tool in first.tools] == ["weather"]
    assert (second.audio, second.text) == (None, "how is the weather in Rome")
    assert second.history == first.history == []
    steps = [Utterance("call", CALL), Utterance("result", '{"sky": "rain in Rome"}')]
    assert second.steps == steps
    assert stage.session.memory.history() == [
        Utterance("user", "how is the weather in Rome"),
        *steps,
        Utterance("assistant", ANSWER),
    ]


@in_virtual_time
async def test_the_model_reads_of_the_functions_before_it_needs_them() -> None:
    stage = staged(CALL, ANSWER)
    async with stage.up():
        await stage.until(TurnEnded)
        assert [tool.name for tool in stage.models.prepared[0].tools] == ["weather"]
    bare = Stage()
    async with bare.up():
        await asyncio.sleep(1.0)
    assert bare.models.prepared == []


@in_virtual_time
async def test_of_functions_that_change_and_change_only_the_last_are_read() -> None:
    """One reading a session, after a short quiet; another change ends the one that is under way."""
    stage = Stage()
    async with stage.up():
        for number in range(60):
            stage.session.configure(Configure(tools=[SPEC | {"name": f"f{number}"}]))
            await asyncio.sleep(0.02)
        assert stage.models.prepared == []
        await asyncio.sleep(WARM_AFTER_S + 0.05)
        assert [tool.name for tool in stage.models.prepared[0].tools] == ["f59"]
        stage.session.configure(Configure(tools=[SPEC]))
        await asyncio.sleep(0)
        assert stage.models.cancelled == ["prepare"]
        await asyncio.sleep(1.0)
        stage.session.configure(Configure(tools=[SPEC]))
        stage.session.configure(Configure(tools=[]))
        await asyncio.sleep(1.0)
    assert [tool.name for asked in stage.models.prepared for tool in asked.tools] == ["f59", "weather"]


@in_virtual_time
async def test_a_guess_calls_nothing_before_it_is_released() -> None:
    stage = Stage(
        ScriptedModels(words=["how is", "how is the weather"], replies=[CALL, CALL, ANSWER], asr_s=0.05),
        functions=[describe(weather)],
    )
    stage.voice.say(500, 2000)
    stage.voice.say(2550, 3500)
    async with stage.up():
        await stage.until(SpeechResumed)
        assert len(stage.models.answers) == 1
        assert stage.all(ToolCalled) == []
        turn = await stage.until(TurnEnded)
        called = await stage.until(ToolCalled)
        assert called.at >= turn.at
        await stage.until(ReplyEnded)
    assert len(stage.all(ToolCalled)) == 1


@in_virtual_time
async def test_a_callers_function() -> None:
    stage = staged(CALL, ANSWER, functions=())
    async with stage.up():
        stage.session.configure(Configure(tools=[SPEC]))
        called = await stage.until(ToolCalled)
        assert not called.local
        stage.session.tool_result("nonsense", 1)
        assert stage.all(Notice)[0].code == "unknown_tool_call"
        await asyncio.sleep(0.5)
        stage.session.tool_result(called.id, {"sky": "grey"})
        await stage.until(ReplyEnded)
        stage.session.tool_result(called.id, {"sky": "blue"})
    assert [e.code for e in stage.all(Notice)] == ["unknown_tool_call"] * 2
    assert stage.models.answers[1].steps[1] == Utterance("result", '{"sky": "grey"}')
    assert stage.all(ToolEnded)[0].took_ms == 500


@in_virtual_time
async def test_what_goes_wrong_is_told_to_the_model_and_ends_nothing() -> None:
    for call, error, ended in (
        ('{"name": "weather", "arguments": {"city": "Atlantis"}}', "the function failed (KeyError)", "failed"),
        ('{"name": "weather", "arguments": {"town": "Rome"}}', "arguments.city is missing", "failed"),
        ('{"name": "weather", "arguments": 3}', "arguments must be of the type object", "failed"),
        ('{"name": "hack", "arguments": {}}', "there is no function hack", "failed"),
    ):
        stage = staged(call, ANSWER)
        async with stage.up():
            reply = await stage.until(ReplyEnded)
        assert reply.ended == "finished"
        assert json.loads(stage.models.answers[1].steps[1].text) == {"error": error}
        assert stage.all(ToolEnded)[0].ended == ended


@in_virtual_time
async def test_a_caller_may_say_that_its_function_failed() -> None:
    stage = staged(CALL, ANSWER, functions=())
    async with stage.up():
        stage.session.configure(Configure(tools=[SPEC]))
        called = await stage.until(ToolCalled)
        stage.session.tool_result(called.id, error="no such city")
        await stage.until(ReplyEnded)
    assert stage.models.answers[1].steps[1].text == '{"error": "no such city"}'
    assert stage.all(ToolEnded)[0].ended == "failed"


@in_virtual_time
async def test_a_slow_function_is_bridged_once_and_the_bridge_is_not_remembered() -> None:
    stage = staged(CALL, CALL, ANSWER, functions=(slow,))
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    texts = [e.text for e in stage.all(ReplyText)]
    assert texts[0] == "One moment, please."
    assert "".join(texts) == ended.text == f"One moment, please. {ANSWER}"
    assert stage.session.memory.history()[-1] == Utterance("assistant", ANSWER)
    assert [e.took_ms for e in stage.all(ToolEnded)] == [4000, 4000]
    text = stage.all(ReplyText)[0]
    assert stage.time_of(text) - stage.time_of(stage.all(ToolCalled)[0]) == pytest.approx(1.5)


@in_virtual_time
async def test_too_slow_a_function_times_out() -> None:
    stage = staged(CALL, ANSWER, functions=(slow,), tool_timeout_s=2.0, tool_filler_s=0.0)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert ended.text == ANSWER
    (over,) = stage.all(ToolEnded)
    assert (over.ended, over.took_ms) == ("timed out", 2000)
    assert stage.models.answers[1].steps[1].text == '{"error": "no result within 2 seconds"}'


@in_virtual_time
async def test_interrupting_cancels_the_function() -> None:
    stage = staged(CALL, ANSWER, functions=(slow,))
    async with stage.up():
        await stage.until(ToolCalled)
        await asyncio.sleep(0.5)
        stage.session.interrupt()
        over = await stage.until(ToolEnded)
        assert over.ended == "cancelled"
        await stage.session.submit_text("never mind")
        await stage.until(ReplyEnded, 2)
    assert [e.ended for e in stage.all(ReplyEnded)] == ["cancelled", "finished"]
    assert stage.models.answers[-1].history == [Utterance("user", "how is the weather in Rome")]


@in_virtual_time
async def test_the_end_of_the_call_cancels_the_function() -> None:
    stage = staged(CALL, ANSWER, functions=(slow,))
    async with stage.up():
        await stage.until(ToolCalled)
        await stage.session.close("hangup")
    assert stage.types()[-1] == "call_ended"
    assert stage.all(ToolEnded)[0].ended == "cancelled"


@in_virtual_time
async def test_a_model_that_only_calls_is_held_to_words() -> None:
    stage = staged(*[CALL] * 4, ANSWER)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert ended.text == ANSWER
    assert [ask.may_call for ask in stage.models.answers] == [True, True, True, True, False]
    assert len(stage.all(ToolEnded)) == 4


@in_virtual_time
async def test_functions_that_cannot_be_had_are_refused_and_those_before_stay() -> None:
    stage = Stage(functions=[describe(weather)])
    other = SPEC | {"name": "tides"}
    async with stage.up():
        stage.session.configure(Configure(tools=[other]))
        for specs, said in (
            ([SPEC], "function weather already"),
            ([other, other], "function tides already"),
            ([SPEC | {"name": f"f{n}"} for n in range(16)], "16 functions"),
            ([SPEC | {"name": "rm -rf"}], "a name of up to 64"),
            ([{"description": "x"}], "a name of up to 64"),
            ([other | {"strict": True}], "tides has strict"),
            ([other | {"description": 3}], "description must be text"),
            ([other | {"parameters": {"type": "string"}}], "type object"),
            ([other | {"parameters": {"type": "object", "patternProperties": {}}}], "uses patternProperties"),
            ([other | {"description": "x" * 20_000}], "characters of JSON"),
        ):
            count = len(stage.all(Notice))
            stage.session.configure(Configure(tools=specs))
            (notice,) = stage.all(Notice)[count:]
            assert notice.code == "bad_config"
            assert said in notice.message
        await stage.session.submit_text("hello")
        await stage.until(ReplyEnded)
        stage.session.configure(Configure(tools=[]))
        await stage.session.submit_text("hello")
        await stage.until(ReplyEnded, 2)
    assert [tool.name for tool in stage.models.answers[0].tools] == ["weather", "tides"]
    assert [tool.name for tool in stage.models.answers[1].tools] == ["weather"]


@in_virtual_time
async def test_a_long_result_is_cut() -> None:
    def weather(city: str) -> str:
        """The weather."""
        return "rain " * 10_000

    stage = staged(CALL, ANSWER, functions=(weather,))
    async with stage.up():
        await stage.until(ReplyEnded)
    assert len(stage.models.answers[1].steps[1].text) < 2_100


@in_virtual_time
async def test_a_call_may_do_without_fillers() -> None:
    stage = staged(CALL, ANSWER, functions=(slow,))
    async with stage.up():
        await stage.session.obey(Configure(fillers=False))
        ended = await stage.until(ReplyEnded)
    assert ended.text == ANSWER
