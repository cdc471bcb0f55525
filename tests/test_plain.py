"""The plain dialect, as a translator alone."""

import json

import pytest

from voxrtc.commands import Interrupt, Text
from voxrtc.events import Notice
from voxrtc.plain import Plain


def test_events_go_down_by_their_own_names() -> None:
    (message,) = Plain().tell(Notice(call="c", at=320, time=1.5, code="late", message="grüß dich"))
    assert json.loads(message) == {
        "type": "notice",
        "call": "c",
        "at": 320,
        "time": 1.5,
        "code": "late",
        "message": "grüß dich",
    }
    assert "ü" in message, "escapes cost bytes"


def test_commands_come_up_by_theirs() -> None:
    assert [*Plain().read('{"type":"text","text":"hi"}')] == [Text("hi")]
    assert [*Plain().read('{"type":"interrupt"}')] == [Interrupt()]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("7", "not a JSON object"),
        (b"\x00\xff", "binary"),
        ("[" * 10_000, "JSON"),
        ('{"text":"\\ud800"}', "JSON"),
        ('{"type":"dance"}', "dance"),
    ],
)
def test_what_is_not_understood_is_said(message: str | bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(Plain().read(message))
