"""The client's functions: called, answered, late, interrupted, several."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.dialogue.scripted import ScriptedModels
from tests.server.realtime.conftest import Talk, house, user
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.events import ToolEnded
from voxrtc.models.wire import Utterance
from voxrtc.server.realtime.errors import Refused
from voxrtc.server.realtime.session import Config

CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'
ANSWER = "It is raining in Rome, I am afraid."
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "strict": True,
    "parameters": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
OFFER = {"tools": [TOOL], "tool_choice": "auto"}


async def result(talk: Talk, call: str, output: str = '{"sky": "rain"}') -> None:
    await talk.say("conversation.item.create", item={"type": "function_call_output", "call_id": call, "output": output})


@in_virtual_time
async def test_a_function_is_called_and_its_result_spoken_of() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        first = (await talk.told_of("response.done"))["response"]
        await result(talk, arguments["call_id"])
        await asyncio.sleep(1)
        assert not talk.all(ToolEnded), "the result waits for response.create"
        await talk.say("response.create")
        second = (await talk.told_of("response.done"))["response"]
    assert (arguments["name"], json.loads(arguments["arguments"])) == ("weather", {"city": "Rome"})
    assert first["status"] == second["status"] == "completed"
    assert first["id"] != second["id"]
    (call,) = first["output"]
    assert (call["type"], call["status"], call["call_id"]) == ("function_call", "completed", arguments["call_id"])
    assert call["id"] == arguments["item_id"]
    assert second["output"][0]["content"][0]["transcript"] == ANSWER
    assert talk.models.answers[1].steps[1] == Utterance("result", '{"sky": "rain"}')
    types = [e["item"]["type"] for e in talk.of("conversation.item.added")]
    assert types == ["message", "function_call", "function_call_output", "message"]
    assert len(talk.of("response.created")) == 2


@in_virtual_time
async def test_nobody_asks_for_patience_in_the_clients_place() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        await talk.told_of("response.done")
        await asyncio.sleep(5)
        assert len(talk.of("response.created")) == 1


@in_virtual_time
async def test_two_calls_one_after_the_other() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome, and tomorrow")
        for _ in range(2):
            arguments = await talk.told_of("response.function_call_arguments.done")
            await talk.told_of("response.done")
            await result(talk, arguments["call_id"], "rain")
            await talk.say("response.create")
        done = await talk.told_of("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER
    assert len(talk.of("response.created")) == len(talk.of("response.done")) == 3
    assert talk.models.answers[2].steps[3] == Utterance("result", '"rain"')


@in_virtual_time
async def test_a_result_that_takes_too_long_is_done_without() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER, dialogue={"tool_timeout_s": 3.0})
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        await talk.told_of("response.done")
        done = await talk.told_of("response.done")
        await result(talk, arguments["call_id"])
    assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER
    assert [e["error"]["code"] for e in talk.of("error")] == ["invalid_function_call_output"]


@in_virtual_time
async def test_who_says_something_else_instead_of_a_result_is_answered() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        await talk.told_of("response.done")
        await talk.write("never mind")
        done = await talk.told_of("response.done")
    assert done["response"]["status"] == "completed"
    assert talk.all(ToolEnded)[0].ended == "cancelled"
    assert len(talk.of("response.created")) == 2
    assert not talk.of("error")


@in_virtual_time
async def test_speaking_while_a_function_is_called() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    talk.voice.say(3000, 5000)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        await talk.told_of("response.done")
        await talk.told_of("response.created")
        await result(talk, arguments["call_id"])
        done = await talk.told_of("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == ANSWER
    assert len(talk.of("response.created")) == len(talk.of("response.done")) == 2


@in_virtual_time
async def test_a_response_to_a_result_is_as_the_session_says() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        await talk.told_of("response.done")
        await result(talk, arguments["call_id"])
        await talk.say("response.create", response={"instructions": "Shout."}, event_id="mine")
        error = (await talk.told_of("error"))["error"]
        await talk.say("response.create")
        await talk.told_of("response.done")
    assert (error["param"], error["event_id"]) == ("response", "mine")


def test_functions_may_be_held_back() -> None:
    config = Config(house())
    (with_tools,) = config.update(OFFER)
    assert [tool["name"] for tool in with_tools.tools or []] == ["weather"]
    (without,) = config.update({"tool_choice": "none"})
    assert without.tools == []
    assert config.to_json()["tools"] == [TOOL]


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools[0].type"),
        ({"tools": [{"type": {"a": 1}}]}, "session.tools[0].type"),
        ({"tools": [TOOL, TOOL]}, "session.tools"),
        ({"tools": [TOOL | {"name": f"f{n}"} for n in range(17)]}, "session.tools"),
        ({"tools": [TOOL | {"name": "a b"}]}, "session.tools[0]"),
        ({"tools": [TOOL | {"parameters": {"type": "object", "patternProperties": {}}}]}, "session.tools[0]"),
        ({"tool_choice": "required"}, "session.tool_choice"),
        ({"tool_choice": {"type": "function", "name": "weather"}}, "session.tool_choice"),
    ],
)
def test_functions_that_cannot_be(session: dict[str, Any], param: str) -> None:
    config = Config(house())
    before = json.dumps(config.to_json())
    with pytest.raises(Refused) as refused:
        config.update(session)
    assert refused.value.param == param
    assert "{'" not in str(refused.value)
    assert json.dumps(config.to_json()) == before


@in_virtual_time
async def test_a_call_has_one_result() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        await talk.told_of("response.done")
        await result(talk, arguments["call_id"], "rain")
        await result(talk, arguments["call_id"], "snow")
        second = (await talk.told_of("error"))["error"]
        await talk.say("response.create")
        await result(talk, arguments["call_id"], "hail")
        late = (await talk.told_of("error"))["error"]
        await talk.told_of("response.done")
        await result(talk, arguments["call_id"], "sun")
        over = (await talk.told_of("error"))["error"]
    for error in (second, late, over):
        assert (error["code"], error["param"]) == ("invalid_function_call_output", "item.call_id")
    assert talk.models.answers[1].steps[1] == Utterance("result", '"rain"')
    items = [e["item"] for e in talk.of("conversation.item.added")]
    assert [item["output"] for item in items if item["type"] == "function_call_output"] == ["rain"]


@in_virtual_time
async def test_a_result_after_the_client_has_gone_on_without_it_is_refused() -> None:
    talk = Talk(ScriptedModels(replies=[CALL, ANSWER]), OFFER)
    async with talk.up():
        await talk.open()
        await talk.write("how is the weather in Rome")
        arguments = await talk.told_of("response.function_call_arguments.done")
        await talk.told_of("response.done")
        await talk.say("response.create")
        await result(talk, arguments["call_id"])
        error = (await talk.told_of("error"))["error"]
        await talk.told_of("response.done")
        await result(talk, arguments["call_id"])
        later = (await talk.told_of("error"))["error"]
    assert error["code"] == later["code"] == "invalid_function_call_output"


@in_virtual_time
async def test_a_result_of_no_call_is_refused() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        await result(talk, "nothing")
        assert talk.of("error")[0]["error"]["param"] == "item.call_id"
        await talk.say("conversation.item.create", item=user("hello"))
        assert len(talk.of("conversation.item.added")) == 1
