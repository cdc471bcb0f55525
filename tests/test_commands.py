import pytest

from voxrtc.commands import MAX_TEXT, Configure, ExportMemory, HangUp, Interrupt, PushToTalk, Text, parse


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ({"type": "text", "text": "hi"}, Text("hi")),
        ({"type": "interrupt"}, Interrupt()),
        ({"type": "push_to_talk", "pressed": True}, PushToTalk(True)),
        ({"type": "config", "language": "es"}, Configure(language="es")),
        ({"type": "export_memory"}, ExportMemory()),
        ({"type": "hangup"}, HangUp()),
    ],
)
def test_commands(message, command) -> None:
    assert parse(message) == command


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({}, "type"),
        ({"type": "sing"}, "sing"),
        ({"type": "text"}, "text"),
        ({"type": "text", "text": 7}, "text"),
        ({"type": "text", "text": "  "}, "characters"),
        ({"type": "text", "text": "x" * (MAX_TEXT + 1)}, "characters"),
        ({"type": "push_to_talk", "pressed": "yes"}, "pressed"),
        ({"type": "config", "interruptions": "never"}, "never"),
        ({"type": "interrupt", "now": 1}, "now"),
    ],
)
def test_what_is_wrong_is_named(message, says) -> None:
    with pytest.raises(ValueError, match=says):
        parse(message)
