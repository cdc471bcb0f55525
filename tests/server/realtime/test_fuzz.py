"""Whatever a client sends, it gets an answer, and the call goes on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.realtime.conftest import house
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


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(KINDS, st.dictionaries(NAMES, JSON, max_size=5)), max_size=5))
def test_any_events(events: list[tuple[str, dict[str, Any]]]) -> None:
    dialect = Realtime(HOUSE)
    for kind, fields in events:
        for answer in dialect.read(json.dumps(fields | {"type": kind})):
            if isinstance(answer, str):
                answer.encode()
                assert json.loads(answer)["event_id"]
            else:
                assert isinstance(answer, Command)
                msgspec.json.encode(answer)


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
