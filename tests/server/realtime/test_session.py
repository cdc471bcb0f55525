"""The session object: what may be set, what that asks of the call, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.realtime.conftest import Talk, house
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.commands import Configure, Endpoint
from voxrtc.server.realtime.errors import Refused
from voxrtc.server.realtime.session import Config


def turned(detection: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}


def voiced(voice: Any) -> dict[str, Any]:
    return {"audio": {"output": {"voice": voice}}}


@in_virtual_time
async def test_a_session_tells_what_it_is() -> None:
    talk = Talk(session={"model": "gpt-realtime"})
    async with talk.up():
        session = (await talk.told_of("session.created"))["session"]
        await talk.say("session.update", session={"type": "realtime", "instructions": "You are a pirate."})
        updated = (await talk.told_of("session.updated"))["session"]
    assert (session["type"], session["object"], session["model"]) == ("realtime", "realtime.session", "gpt-realtime")
    assert session["audio"]["output"]["voice"] == "hibari"
    assert session["audio"]["input"]["transcription"]["model"] == "script"
    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert updated == session | {"instructions": "You are a pirate."}


def test_what_is_refused_changes_nothing() -> None:
    """Also where the first of it could have been taken; and what was told of a session before stays as it was."""
    config = Config(house())
    before = config.to_json()
    was = json.dumps(before)
    for refused in ({"audio": {"output": {"voice": "nobody"}}}, {"tool_choice": "required"}):
        with pytest.raises(Refused):
            config.update({"instructions": "Be brief.", "include": [1]} | refused)
        assert config.to_json() is before
        assert json.dumps(before) == was
    config.update({"audio": {"input": {"noise_reduction": {"type": "near_field"}}, "output": {"voice": "espeak"}}})
    assert json.dumps(before) == was
    assert config.to_json()["audio"]["output"]["voice"] == "espeak"


@pytest.mark.parametrize(
    ("session", "command"),
    [
        ({"instructions": "Be brief."}, Configure(instructions="Be brief.")),
        ({"output_modalities": ["text"]}, Configure(speaks=False)),
        ({"max_output_tokens": 100}, Configure(max_tokens=100)),
        ({"max_output_tokens": 4096}, Configure(max_tokens=2048)),
        ({"max_output_tokens": "inf"}, Configure(max_tokens=0)),
        ({"temperature": 1}, Configure(temperature=1.0)),
        (voiced("espeak"), Configure(voice="espeak")),
        (voiced("marin"), Configure(voice="hibari")),
        (voiced({"id": "espeak"}), Configure(voice="espeak")),
        ({"audio": {"input": {"transcription": {"model": "whisper-1", "language": "de"}}}}, Configure(language="de")),
        ({"audio": {"input": {"transcription": {"language": "pt-BR"}}}}, Configure(language="pt")),
        (
            turned({"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 300, "create_response": False}),
            Configure(
                interruptions="on",
                replies="asked",
                endpointing=Endpoint(strategy="vad", speech_threshold=0.7, end_silence_ms=300),
                idle_prompt_s=0.0,
            ),
        ),
        (
            turned({"type": "semantic_vad", "eagerness": "high", "interrupt_response": False}),
            Configure(
                interruptions="off",
                replies="auto",
                endpointing=Endpoint(strategy="fused", min_silence_ms=100, max_silence_ms=750),
                idle_prompt_s=0.0,
            ),
        ),
        (turned(None), Configure(interruptions="manual", replies="asked", idle_prompt_s=0.0)),
    ],
)
def test_what_a_change_asks_of_the_call(session: dict[str, Any], command: Configure) -> None:
    assert Config(house()).update(session) == [command]


@pytest.mark.parametrize(
    "session",
    [
        {"type": "realtime", "tracing": "auto"},
        {"model": "gpt-realtime", "parallel_tool_calls": True, "truncation": "auto", "include": None, "prompt": None},
        {"audio": {"input": {"noise_reduction": {"type": "near_field"}, "format": {"type": "audio/pcm"}}}},
        {"audio": {"output": {"speed": 1, "format": {"type": "audio/pcm", "rate": 24000}}}},
        turned({"type": "semantic_vad"}),
    ],
)
def test_what_changes_nothing_here_is_taken(session: dict[str, Any]) -> None:
    assert Config(house()).update(session) == []


@pytest.mark.parametrize(
    ("session", "param", "code"),
    [
        ([], "session", "invalid_type"),
        ({"type": "transcription"}, "session.type", "invalid_value"),
        ({"voice": "marin"}, "session.voice", "unknown_parameter"),
        ({"audio": {"input": {"turn_detection": {"type": "magic"}}}}, "session.audio.input.turn_detection.type", None),
        (turned({"type": "server_vad", "threshold": 2}), "session.audio.input.turn_detection.threshold", None),
        (turned({"type": "server_vad", "eagerness": "low"}), "session.audio.input.turn_detection.eagerness", None),
        (
            turned({"type": "server_vad", "idle_timeout_ms": 1}),
            "session.audio.input.turn_detection.idle_timeout_ms",
            None,
        ),
        (voiced("nobody"), "session.audio.output.voice", "invalid_value"),
        ({"audio": {"output": {"speed": 1.5}}}, "session.audio.output.speed", "invalid_value"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "session.audio.output.format.type", None),
        (
            {"audio": {"input": {"transcription": {"language": "xx"}}}},
            "session.audio.input.transcription.language",
            None,
        ),
        ({"output_modalities": ["text", "audio"]}, "session.output_modalities", None),
        ({"output_modalities": ["smell"]}, "session.output_modalities[0]", None),
        ({"max_output_tokens": 0}, "session.max_output_tokens", None),
        ({"temperature": 3}, "session.temperature", None),
        ({"instructions": "x" * 16_001}, "session.instructions", "string_above_max_length"),
        ({"prompt": {"id": "p"}}, "session.prompt", "invalid_value"),
    ],
)
def test_what_cannot_be_is_refused_whole(session: Any, param: str, code: str | None) -> None:
    config = Config(house())
    before = json.dumps(config.to_json())
    with pytest.raises(Refused) as refused:
        config.update({"instructions": "Be brief."} | session if isinstance(session, dict) else session)
    assert refused.value.param == param
    assert code in (None, refused.value.code)
    assert json.dumps(config.to_json()) == before


def test_waits_that_cannot_be_here_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        Config(house(endpointing={"pause_ms": 400, "min_silence_ms": 500})).update(
            turned({"type": "server_vad", "silence_duration_ms": 300})
        )
    assert refused.value.param == "session.audio.input.turn_detection"


def test_a_call_opens_with_what_its_client_wants() -> None:
    talk = Talk(session={"instructions": "Be brief."})
    opening, wanted = talk.first
    assert isinstance(opening, Configure)
    assert (opening.fillers, opening.idle_prompt_s, opening.interruptions) == (False, 0.0, "on")
    assert wanted == Configure(instructions="Be brief.")
