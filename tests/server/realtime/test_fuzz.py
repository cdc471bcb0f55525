"""Whatever a client sends, it gets an answer, and the call goes on."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.realtime.conftest import house
from voxrtc.audio import Samples
from voxrtc.commands import Command
from voxrtc.server.realtime.dialect import Realtime

NAMES = st.sampled_from(
    (
        "type",
        "session",
        "audio",
        "input",
        "output",
        "turn_detection",
        "server_vad",
        "voice",
        "tools",
        "parameters",
        "name",
        "item",
        "id",
        "role",
        "content",
        "text",
        "item_id",
        "response",
        "instructions",
        "metadata",
        "output_modalities",
        "call_id",
        "event_id",
        "threshold",
        "enum",
        "default",
    )
)
WORDS = st.sampled_from(
    (
        "realtime",
        "message",
        "function",
        "user",
        "assistant",
        "system",
        "input_text",
        "output_text",
        "server_vad",
        "semantic_vad",
        "auto",
        "none",
        "text",
        "function_call_output",
        "audio",
        "object",
        "string",
        "inf",
    )
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text()
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=5),
    max_leaves=20,
)
KINDS = st.sampled_from([*Realtime(house())._requests._handlers])

HOUSE = house()


def hear(samples: Samples, rate: int) -> None:
    assert samples.dtype == np.float32
    assert rate == 24_000


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(KINDS, st.dictionaries(NAMES, JSON, max_size=5)), max_size=5))
def test_any_events(events: list[tuple[str, dict[str, Any]]]) -> None:
    dialect = Realtime(HOUSE, hear)
    for kind, fields in events:
        for answer in dialect.read(json.dumps(fields | {"type": kind})):
            if isinstance(answer, str):
                answer.encode()
                assert json.loads(answer)["event_id"]
            else:
                assert isinstance(answer, Command)
                msgspec.json.encode(answer)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text() | st.binary().map(lambda sound: base64.b64encode(sound).decode()) | JSON, max_size=5))
def test_any_sound(sounds: list[Any]) -> None:
    dialect = Realtime(HOUSE, hear)
    for sound in sounds:
        for answer in dialect.read(json.dumps({"type": "input_audio_buffer.append", "audio": sound, "event_id": "a"})):
            assert json.loads(str(answer))["error"]["event_id"] == "a"


@settings(deadline=None, max_examples=300)
@given(JSON)
def test_any_session(session: Any) -> None:
    dialect = Realtime(HOUSE)
    for answer in dialect.read(json.dumps({"type": "session.update", "session": session})):
        if isinstance(answer, str):
            answer.encode()


def test_what_is_nested_too_deeply() -> None:
    dialect = Realtime(HOUSE)
    deep = "[" * 400 + "]" * 400
    function = f'{{"name": "f", "parameters": {{"type": "object", "default": {deep}}}}}'
    for session in (f'{{"tracing": {deep}}}', f'{{"tools": [{function}]}}'):
        message = f'{{"type": "session.update", "session": {session}}}'
        (answer,) = dialect.read(message)
        assert isinstance(answer, str)
        assert json.loads(answer)["error"]["param"] == "session"
