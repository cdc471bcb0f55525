"""The RTVI dialect alone: events in, messages out, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from voxrtc.commands import Configure, ExportMemory, HangUp, Interrupt, Text, ToolResult
from voxrtc.events import (
    CallEnded,
    CallMoved,
    CallStarted,
    Event,
    FalseInterruption,
    Interrupted,
    MemoryExported,
    Notice,
    ReplyEnded,
    ReplyResumed,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    StateChanged,
    ToolCalled,
    ToolEnded,
    Transcript,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)
from voxrtc.server.rtvi import Rtvi

WHEN = {"call": "c", "at": 16_000, "time": 1_700_000_000.25}
UP = {"hears": "whisper", "thinks": "qwen", "speaks": "hibari", "language": "en", "voice": "a", "interruptions": "on"}
Told = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def rtvi() -> Rtvi:
    return Rtvi()


@pytest.fixture
def told(rtvi: Rtvi) -> Told:
    """What is told of events, as objects."""

    def tell(*events: tuple[type[Event], dict[str, Any]]) -> list[dict[str, Any]]:
        return [json.loads(text) for kind, fields in events for text in rtvi.tell(kind(**WHEN, **fields))]

    return tell


def ask(rtvi: Rtvi, kind: str, data: Any = None, *, name: str = "m1") -> list[Any]:
    """What comes of one message: commands, and answers as objects."""
    message = {"label": "rtvi-ai", "type": kind, "id": name} | ({} if data is None else {"data": data})
    return [json.loads(one) if isinstance(one, str) else one for one in rtvi.read(json.dumps(message))]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def reply(number: int = 1, turn: int = 1, **more: Any) -> tuple[type[Event], dict[str, Any]]:
    return ReplyStarted, {"reply": number, "turn": turn, "speculated": False} | more


def clause(index: int, text: str) -> tuple[type[Event], dict[str, Any]]:
    return ReplyText, {"reply": 1, "clause": index, "text": text}


def heard(index: int, until: int) -> tuple[type[Event], dict[str, Any]]:
    return ReplySpoken, {"reply": 1, "clause": index, "heard": until}


def ended(how: str, text: str) -> tuple[type[Event], dict[str, Any]]:
    return ReplyEnded, {"reply": 1, "ended": how, "text": text}


# -- down -------------------------------------------------------------------------------------------------


def test_every_message_is_in_the_envelope(told: Told) -> None:
    (one,) = told((SpeechStarted, {"start": 0}))
    assert set(one) == {"label", "type", "id"}
    assert (one["label"], one["type"]) == ("rtvi-ai", "user-started-speaking")
    assert one["id"]


def test_a_turn_of_the_caller(told: Told) -> None:
    """Pauses are inside one turn of speaking; partials and the final are told whole."""
    said = {"turn": 1, "confidence": 0.9, "language": "en"}
    messages = told(
        (SpeechStarted, {"start": 0}),
        (SpeechPaused, {"end": 10}),
        (SpeechResumed, {"start": 20}),
        (Transcript, said | {"text": "Hello", "final": False}),
        (TurnEnded, {"turn": 1, "start": 0, "end": 30}),
        (Transcript, said | {"text": "Hello there.", "final": True}),
    )
    assert kinds(messages) == [
        *("user-started-speaking", "user-transcription", "user-stopped-speaking"),
        *("user-transcription", "user-llm-text"),
    ]
    assert messages[1]["data"] == {
        "text": "Hello",
        "final": False,
        "timestamp": "2023-11-14T22:13:20.250+00:00",
        "user_id": "user",
    }
    assert messages[3]["data"]["final"] is True
    assert messages[4]["data"] == {"text": "Hello there."}


def test_a_cough_ends_the_speaking_too(told: Told) -> None:
    messages = told((SpeechStarted, {"start": 0}), (TurnDropped, {"turn": 1, "reason": "no_words"}))
    assert kinds(messages) == ["user-started-speaking", "user-stopped-speaking"]


def test_typed_text_is_no_transcription(told: Told) -> None:
    """The client shows it itself. Nor does it end what the voice is saying."""
    messages = told(
        (SpeechStarted, {"start": 0}),
        (TurnEnded, {"turn": 2, "start": 5, "end": 5}),
        (Transcript, {"turn": 2, "text": "Hi.", "final": True, "confidence": 1.0, "language": "en"}),
    )
    assert kinds(messages) == ["user-started-speaking", "user-llm-text"]


def test_a_reply_from_first_to_last(told: Told) -> None:
    messages = told(
        reply(),
        clause(0, "Good day."),
        (StateChanged, {"state": "speaking"}),
        heard(0, 0),
        clause(1, " How are you?"),
        heard(0, 9),
        heard(1, 9),
        heard(1, 22),
        (StateChanged, {"state": "listening"}),
        ended("finished", "Good day. How are you?"),
    )
    assert kinds(messages) == [
        *("bot-llm-started", "bot-llm-text", "bot-tts-started", "bot-output", "bot-started-speaking"),
        *("bot-output", "bot-llm-text", "bot-output", "bot-output", "bot-tts-text"),
        *("bot-output", "bot-output", "bot-tts-text", "bot-stopped-speaking", "bot-llm-stopped", "bot-tts-stopped"),
    ]
    outputs = [m["data"] for m in messages if m["type"] == "bot-output"]
    assert outputs[0] == {
        "text": "Good day.",
        "aggregated_by": "sentence",
        "segment_id": 10_000,
        "will_be_spoken": True,
        "spoken_status": "new",
        "spoken_progress": {"accumulated_text": "", "remaining_text": "Good day."},
    }
    first = [o["spoken_status"] for o in outputs if o["segment_id"] == 10_000]
    second = [o["spoken_status"] for o in outputs if o["segment_id"] == 10_001]
    assert first == ["new", "in-progress", "completed"]
    assert second == ["new", "in-progress", "completed"]
    assert outputs[-1]["spoken_progress"] == {"accumulated_text": " How are you?", "remaining_text": ""}
    assert "".join(m["data"]["text"] for m in messages if m["type"] == "bot-tts-text") == "Good day. How are you?"


def test_an_interrupted_reply_tells_how_far_it_was_heard(told: Told) -> None:
    told(reply(), clause(0, "One two three."), (StateChanged, {"state": "speaking"}), heard(0, 0))
    messages = told(
        (Interrupted, {"reply": 1, "decision_ms": 100.0}),
        (StateChanged, {"state": "listening"}),
        ended("interrupted", "One two"),
    )
    assert kinds(messages) == [
        *("bot-interrupted", "bot-stopped-speaking"),
        *("bot-output", "bot-tts-text", "bot-llm-stopped", "bot-tts-stopped"),
    ]
    assert messages[2]["data"]["spoken_status"] == "in-progress"
    assert messages[2]["data"]["spoken_progress"] == {"accumulated_text": "One two", "remaining_text": " three."}


def test_a_reply_that_text_cuts_is_interrupted_too(told: Told) -> None:
    told(reply(), clause(0, "One two three."), heard(0, 0))
    assert "bot-interrupted" in kinds(told(ended("interrupted", "One")))


def test_a_false_interruption_is_taken_back(told: Told) -> None:
    told(reply(), clause(0, "One two three."), (StateChanged, {"state": "speaking"}), heard(0, 0))
    messages = told(
        (Interrupted, {"reply": 1, "decision_ms": 100.0}),
        (StateChanged, {"state": "listening"}),
        (FalseInterruption, {"reply": 1, "reason": "backchannel", "silent_ms": 300.0}),
        (StateChanged, {"state": "speaking"}),
    )
    assert kinds(messages) == ["bot-interrupted", "bot-stopped-speaking", "server-message", "bot-started-speaking"]


def test_a_reply_in_writing(told: Told) -> None:
    messages = told(
        reply(spoken=False), clause(0, "Hi."), (StateChanged, {"state": "speaking"}), heard(0, 3), ended("finished", "")
    )
    assert kinds(messages) == ["bot-llm-started", "bot-llm-text", "bot-output", "bot-llm-stopped"]
    assert messages[2]["data"]["will_be_spoken"] is False
    assert "spoken_progress" not in messages[2]["data"]


def test_who_comes_back_is_not_shown_anything_twice(told: Told) -> None:
    """Segments are told again, under the same ids, since they may have been lost; and they go on."""
    said = {"turn": 1, "text": "Hello.", "final": True, "confidence": 0.9, "language": "en"}
    messages = told(
        (CallStarted, UP | {"resumed": True}),
        (Transcript, said),
        reply(),
        clause(0, "One two."),
        clause(1, " Three."),
        (StateChanged, {"state": "speaking"}),
        (ReplyResumed, {"reply": 1, "heard": 4}),
    )
    assert kinds(messages) == [
        *("server-message", "bot-output", "bot-output", "bot-started-speaking"),
        *("bot-output", "bot-tts-text"),
    ]
    assert messages[1]["data"]["segment_id"] == 10_000
    assert messages[4]["data"]["spoken_progress"] == {"accumulated_text": "One ", "remaining_text": "two."}
    rest = told(heard(0, 8), heard(1, 15), ended("finished", "One two. Three."))
    assert kinds(rest)[-2:] == ["bot-llm-stopped", "bot-tts-stopped"]


def test_a_reply_that_ended_is_opened_again(told: Told) -> None:
    told(reply(), clause(0, "One two."), heard(0, 8), ended("finished", "One two."))
    messages = told((ReplyResumed, {"reply": 1, "heard": 4}), heard(0, 8), ended("finished", "One two."))
    assert kinds(messages)[:3] == ["bot-llm-started", "bot-tts-started", "bot-output"]
    assert [m["data"]["text"] for m in messages if m["type"] == "bot-tts-text"] == ["two."]
    assert kinds(messages)[-2:] == ["bot-llm-stopped", "bot-tts-stopped"]


def test_functions_of_the_callers_and_of_the_servers(told: Told) -> None:
    call = {"id": "f1", "name": "weather", "arguments": {"city": "Rome"}}
    theirs = told((ToolCalled, call | {"local": False}))
    assert kinds(theirs) == ["llm-function-call-started", "llm-function-call-in-progress"]
    assert theirs[1]["data"] == {"tool_call_id": "f1", "function_name": "weather", "arguments": {"city": "Rome"}}
    ours = told((ToolCalled, call | {"local": True}))
    assert ours[1]["data"] == {"tool_call_id": "f1"}, "a client with a handler of that name must not answer"
    (over,) = told((ToolEnded, {"id": "f1", "name": "weather", "ended": "cancelled", "took_ms": 5.0}))
    assert over["data"] == {"function_name": "weather", "tool_call_id": "f1", "cancelled": True}


def test_metrics_are_in_seconds_and_name_the_models(told: Told) -> None:
    times = {"endpoint_ms": 300.0, "asr_ms": 120.0, "first_token_ms": 80.0, "first_audio_ms": 700.0}
    messages = told(
        (CallStarted, UP),
        (TurnMetrics, {"turn": 1, "reply": 1, "speculated": True, "voice_to_voice_ms": 750.0} | times),
    )
    data = messages[1]["data"]
    assert data["ttfb"] == [
        {"processor": "stt", "model": "whisper", "value": 0.12},
        {"processor": "llm", "model": "qwen", "value": 0.08},
    ]
    assert {"processor": "voice-to-voice", "model": "", "value": 0.75} in data["processing"]


def test_the_end(told: Told) -> None:
    """The bot leaves; where something broke that is an error which ends all."""
    messages = told((CallEnded, {"reason": "error", "detail": "Broken."}))
    assert messages[0]["type"] == "error"
    assert messages[0]["data"] == {"error": "Broken.", "message": "Broken.", "fatal": True}
    assert messages[-1] == {"type": "signalling", "message": {"type": "peerLeft"}}
    assert "error" not in kinds(told((CallEnded, {"reason": "hangup"})))


def test_a_move_is_no_goodbye(told: Told) -> None:
    """The stock client hangs up when the bot leaves, and it is on its next connection already."""
    assert told((CallMoved, {})) == []


def test_notices_are_errors_that_end_nothing(told: Told) -> None:
    (one,) = told((Notice, {"code": "models_failed", "message": "Sorry."}))
    assert one["data"] == {"error": "Sorry.", "message": "Sorry.", "fatal": False, "code": "models_failed"}


# -- up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theirs", "told"), [("2.0.0", "2.0.0"), ("2.1.0", "2.1.0"), ("2.3.0", "2.1.0")])
def test_ready_with_the_clients_version(rtvi: Rtvi, theirs: str, told: str) -> None:
    (answer,) = ask(rtvi, "client-ready", {"version": theirs, "about": {"library": "x"}}, name="r7")
    assert (answer["type"], answer["id"], answer["data"]["version"]) == ("bot-ready", "r7", told)
    assert answer["data"]["about"]["library"] == "voxrtc"


@pytest.mark.parametrize("data", [None, {}, {"version": 2}, {"version": "two"}, {"version": "1.0.0"}, "2.1.0"])
def test_ready_with_a_version_that_cannot_be(rtvi: Rtvi, data: Any) -> None:
    complaint, answer = ask(rtvi, "client-ready", data)
    assert (complaint["type"], complaint["id"]) == ("error-response", "m1")
    assert (answer["type"], answer["data"]["version"]) == ("bot-ready", "2.1.0")


@pytest.mark.parametrize(
    ("options", "commands"),
    [
        (None, [Text("Hi.")]),
        ({}, [Text("Hi.")]),
        ({"run_immediately": False}, [Text("Hi.", respond=False)]),
        ({"audio_response": False}, [Configure(speaks=False), Text("Hi."), Configure(speaks=True)]),
        ({"run_immediately": False, "audio_response": False}, [Text("Hi.", respond=False)]),
    ],
)
def test_send_text(rtvi: Rtvi, options: Any, commands: list[Any]) -> None:
    assert ask(rtvi, "send-text", {"content": "Hi.", "options": options}) == commands


def test_text_to_a_bot_that_was_made_mute(rtvi: Rtvi) -> None:
    ask(rtvi, "client-message", {"t": "config", "d": {"speaks": False}})
    spoken = ask(rtvi, "send-text", {"content": "Hi."})
    assert spoken == [Configure(speaks=True), Text("Hi."), Configure(speaks=False)]
    assert ask(rtvi, "send-text", {"content": "Hi.", "options": {"audio_response": False}}) == [Text("Hi.")]


def test_what_older_clients_say(rtvi: Rtvi) -> None:
    said = {"role": "user", "content": "Hi.", "run_immediately": True}
    assert ask(rtvi, "append-to-context", said) == [Text("Hi.")]
    said = {"role": "assistant", "content": "Hi.", "run_immediately": True}
    assert ask(rtvi, "append-to-context", said) == [Text("Hi.", respond=False, role="assistant")]
    assert ask(rtvi, "dtmf", {"button": "#"}) == [Text("DTMF: #")]


def test_keys_results_and_the_end(rtvi: Rtvi) -> None:
    assert ask(rtvi, "dtmf", {"buttons": ["1", "2", "#"]}) == [Text("DTMF: 12#")]
    result = {"function_name": "weather", "tool_call_id": "f1", "arguments": {}, "result": {"sky": "clear"}}
    assert ask(rtvi, "llm-function-call-result", result) == [ToolResult("f1", {"sky": "clear"})]
    assert ask(rtvi, "disconnect-bot", {}) == [HangUp()]


def test_a_clients_own_messages_are_our_commands(rtvi: Rtvi) -> None:
    command, answer = ask(rtvi, "client-message", {"t": "interrupt"}, name="q1")
    assert command == Interrupt()
    assert answer["type"] == "server-response"
    assert (answer["id"], answer["data"]) == ("q1", {"t": "interrupt", "d": {"taken": True}})
    command, _ = ask(rtvi, "client-message", {"t": "config", "d": {"language": "de"}})
    assert command == Configure(language="de")


def test_the_memory_answers_who_asked_for_it(rtvi: Rtvi, told: Told) -> None:
    assert ask(rtvi, "client-message", {"t": "export_memory"}, name="q1") == [ExportMemory()]
    (answer,) = told((MemoryExported, {"memory": "{}"}))
    assert (answer["type"], answer["id"]) == ("server-response", "q1")
    assert answer["data"] == {"t": "export_memory", "d": {"memory": "{}"}}
    assert kinds(told((MemoryExported, {"memory": "{}"}))) == ["server-message"]


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("sing", {}, "unsupported type 'sing'"),
        ("ui-snapshot", {"tree": {}}, "not supported"),
        ("send-text", None, "content"),
        ("send-text", {"content": 5}, "content"),
        ("send-text", {"content": " "}, "text must hold"),
        ("send-text", {"content": "x" * 5_000}, "text must hold"),
        ("send-text", {"content": "Hi.", "options": {"run_immediately": "yes"}}, "options"),
        ("append-to-context", {"role": "system", "content": "x"}, "role"),
        ("dtmf", {}, "buttons"),
        ("dtmf", {"buttons": ["A"]}, "buttons"),
        ("dtmf", {"buttons": ["1"] * 65}, "buttons"),
        ("llm-function-call-result", {"result": 1}, "tool_call_id"),
        ("client-message", {"d": {}}, "t"),
        ("client-message", {"t": "sing"}, "sing"),
        ("client-message", {"t": "config", "d": {"colour": "red"}}, "colour"),
        ("client-message", {"t": "config", "d": 5}, "object"),
    ],
)
def test_what_cannot_be_is_refused_to_who_asked(rtvi: Rtvi, kind: str, data: Any, why: str) -> None:
    (answer,) = ask(rtvi, kind, data, name="bad")
    assert (answer["type"], answer["id"]) == ("error-response", "bad")
    assert why in answer["data"]["error"]


def test_the_transports_own_messages_are_no_errors(rtvi: Rtvi) -> None:
    status = {"type": "signalling", "message": {"type": "trackStatus", "receiver_index": 0, "enabled": False}}
    assert list(rtvi.read("ping: 1700000000000")) == []
    assert list(rtvi.read(json.dumps(status))) == []


@pytest.mark.parametrize("text", ["{", "[]", "pong", "{}", '{"label":"rtvi-ai"}', '{"label":"rtvi-ai","type":5}', b"x"])
def test_what_is_no_rtvi_at_all(rtvi: Rtvi, text: str | bytes) -> None:
    with pytest.raises(ValueError):
        rtvi.read(text)
