"""What a client is told of what cannot be: events of the type error, with the id of its own."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from tests.dialogue.scripted import ScriptedModels
from tests.server.realtime.conftest import Talk, house, user
from voxrtc.audio import Samples, from_pcm16
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.events import CallEnded, Notice
from voxrtc.server.realtime.dialect import Realtime


def errors(message: str | bytes) -> list[dict[str, Any]]:
    told = [json.loads(one) for one in Realtime(house()).read(message) if isinstance(one, str)]
    assert all(one["type"] == "error" and one["event_id"] for one in told)
    return [one["error"] for one in told]


@pytest.mark.parametrize("message", ["{", "[1]", b"\x00", '{"type":"\\ud800"}'])
def test_what_is_no_event(message: str | bytes) -> None:
    (error,) = errors(message)
    assert (error["type"], error["code"], error["event_id"]) == ("invalid_request_error", "invalid_json", None)


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({}, "invalid_event_type", "type"),
        ({"type": "dance"}, "invalid_event_type", "type"),
        ({"type": ["dance"]}, "invalid_event_type", "type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {"speed": 2}}, "unknown_parameter", "session.speed"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "unsupported_event", "type"),
        ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
        ({"type": "conversation.item.create", "item": None}, "invalid_type", "item"),
        ({"type": "conversation.item.create", "item": user("x") | {"content": "x"}}, "invalid_type", "item.content"),
        ({"type": "session.update", "session": []}, "invalid_type", "session"),
        ({"type": "session.update", "session": {"instructions": 5}}, "invalid_type", "session.instructions"),
        ({"type": "session.update", "session": {"max_output_tokens": 0}}, "invalid_value", "session.max_output_tokens"),
        ({"type": "conversation.item.create", "item": {}}, "missing_required_parameter", "item"),
        ({"type": "conversation.item.create", "item": {"type": "function_call"}}, "invalid_value", "item.type"),
        ({"type": "conversation.item.create", "item": user("")}, "invalid_value", "item.content"),
        ({"type": "conversation.item.create", "item": user("x" * 4001)}, "string_above_max_length", "item.content"),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
            },
            "invalid_value",
            "item.content[0].type",
        ),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_not_found", "item_id"),
        ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
        ({"type": "conversation.item.delete", "item_id": 5}, "invalid_type", "item_id"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_not_found", "item_id"),
        ({"type": "conversation.item.truncate", "item_id": "x", "audio_end_ms": 1}, "item_not_found", "item_id"),
        ({"type": "response.create", "response": {"conversation": "none"}}, "invalid_value", "response.conversation"),
        ({"type": "response.create", "response": {"input": []}}, "unknown_parameter", "response.input"),
        ({"type": "response.create", "response": {"tools": []}}, "unknown_parameter", "response.tools"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ],
)
def test_what_cannot_be(asked: dict[str, Any], code: str, param: str | None) -> None:
    (error,) = errors(json.dumps(asked | {"event_id": "mine"}))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert error["type"] == "invalid_request_error"
    assert error["message"]


class Ear:
    """What is appended, put together."""

    def __init__(self) -> None:
        self.heard: list[Samples] = []

    def __call__(self, samples: Samples, rate: int) -> None:
        assert rate == 24_000
        self.heard.append(samples)


def append(dialect: Realtime, data: bytes | str | int) -> list[dict[str, Any]]:
    audio = base64.b64encode(data).decode() if isinstance(data, bytes) else data
    asked = {"type": "input_audio_buffer.append", "event_id": "mine", "audio": audio}
    return [json.loads(one)["error"] for one in dialect.read(json.dumps(asked)) if isinstance(one, str)]


def test_sound_may_be_cut_anywhere() -> None:
    ear = Ear()
    dialect = Realtime(house(), ear)
    sound = (np.arange(200) * 100).astype("<i2").tobytes()
    for start in range(0, len(sound), 7):
        assert not append(dialect, sound[start : start + 7])
    assert np.array_equal(np.concatenate(ear.heard), from_pcm16(sound))


def test_half_a_sample_is_nothing_of_what_is_said_after_a_clear() -> None:
    ear = Ear()
    dialect = Realtime(house(), ear)
    append(dialect, b"\1\2\3")
    [*dialect.read('{"type": "input_audio_buffer.clear"}')]
    append(dialect, b"\0\4")
    assert np.array_equal(ear.heard[-1], from_pcm16(b"\0\4"))


@pytest.mark.parametrize("audio", ["\u00e9", "AAA", "%%%", 5])
def test_what_is_no_sound(audio: str | int) -> None:
    ear = Ear()
    dialect = Realtime(house(), ear)
    (error,) = append(dialect, audio)
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_audio", "audio", "mine")
    assert not ear.heard
    (error,) = [json.loads(str(one))["error"] for one in dialect.read('{"type": "input_audio_buffer.append"}')]
    assert error["code"] == "missing_required_parameter"


def test_what_is_too_much_for_one_event() -> None:
    """All but sound; and a session that grows from event to event has an end, too."""
    dialect = Realtime(house(), Ear())
    asked = {"type": "session.update", "event_id": "mine", "session": {"include": [0] * 40_000}}
    (error,) = [json.loads(str(one))["error"] for one in dialect.read(json.dumps(asked))]
    assert (error["code"], error["event_id"]) == ("event_too_long", "mine")
    assert dialect.session()["include"] is None
    assert not append(dialect, bytes(100_000))
    codes = []
    for name in ("include", "tracing", "truncation"):
        answers = [*dialect.read(json.dumps({"type": "session.update", "session": {name: ["x" * 30_000]}}))]
        codes += [json.loads(one).get("error", {}).get("param") for one in answers if isinstance(one, str)]
    assert codes == [None, None, "session"]
    assert dialect.session()["truncation"] == "auto"


def test_an_event_id_is_a_string() -> None:
    (error,) = errors('{"type": "response.cancel", "event_id": 7}')
    assert (error["param"], error["event_id"]) == ("event_id", None)


@in_virtual_time
async def test_what_the_call_finds_out_is_told_with_the_clients_event() -> None:
    talk = Talk(ScriptedModels(replies=["A long story. " * 20]), {"audio": {"input": {"turn_detection": None}}})
    async with talk.up():
        await talk.open()
        await talk.say("input_audio_buffer.clear")
        await talk.say("input_audio_buffer.commit", event_id="c1")
        empty = await talk.told_of("error")
        await talk.write("tell me a story")
        await talk.told_of("response.created")
        await talk.say("response.create", event_id="r1")
        busy = await talk.told_of("error")
        await talk.say("response.cancel", event_id="x1", response_id="resp_other")
        other = await talk.told_of("error")
    assert (empty["error"]["code"], empty["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "c1")
    assert (busy["error"]["code"], busy["error"]["event_id"]) == (
        "conversation_already_has_active_response",
        "r1",
    )
    assert (other["error"]["code"], other["error"]["event_id"]) == ("response_cancel_not_active", "x1")


@in_virtual_time
async def test_a_commit_is_for_turns_made_by_hand() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        await talk.say("input_audio_buffer.commit", event_id="c1")
        error = (await talk.told_of("error"))["error"]
    assert (error["code"], error["event_id"]) == ("not_manual", "c1")


@in_virtual_time
async def test_two_items_have_two_names() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        for _ in range(2):
            await talk.say("conversation.item.create", item={"id": "a"} | user("hello"))
        error = (await talk.told_of("error"))["error"]
        await talk.say("conversation.item.truncate", item_id="a", audio_end_ms=5)
        await talk.say("conversation.item.truncate", item_id="a", audio_end_ms="x")
    assert (error["code"], error["param"]) == ("item_already_exists", "item.id")
    assert [e["error"]["param"] for e in talk.of("error")[1:]] == ["item_id", "audio_end_ms"]
    assert len(talk.of("conversation.item.added")) == 1


@in_virtual_time
async def test_what_was_said_is_not_shorter_than_it_was_heard() -> None:
    talk = Talk()
    async with talk.up():
        await talk.open()
        await talk.write("hello")
        item = (await talk.told_of("response.done"))["response"]["output"][0]["id"]
        for until in (100, 60_000):
            await talk.say("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=until)
    first, second = (e["audio_end_ms"] for e in talk.of("conversation.item.truncated"))
    assert first == 100
    assert 1_000 < second < 60_000


def test_the_end_of_a_call_is_told_where_nobody_hung_up() -> None:
    stamp = {"call": "c", "at": 0, "time": 0.0}
    dialect = Realtime(house())
    assert not [*dialect.tell(CallEnded(**stamp, reason="hangup"))]
    (expired,) = dialect.tell(CallEnded(**stamp, reason="expired", detail="Too long."))
    assert json.loads(expired)["error"]["code"] == "session_expired"
    (closing,) = dialect.tell(CallEnded(**stamp, reason="shutdown"))
    assert json.loads(closing)["error"]["type"] == "server_error"


def test_deleting_what_is_no_longer_remembered_is_no_error() -> None:
    assert not [*Realtime(house()).tell(Notice(call="c", at=0, time=0.0, code="unknown_turn", message="No."))]
