"""What a caller may ask of a call: the one upward vocabulary of every dialect, as ``events`` is the downward one."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MAX_TEXT = 4_000
"""Characters of one typed turn."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all commands; ``type`` on the wire is the tag."""


class Text(Command, frozen=True, tag="text"):
    """Typed text, as a turn of its own."""

    text: str


class Interrupt(Command, frozen=True, tag="interrupt"):
    """Stop the reply that is being spoken."""


class PushToTalk(Command, frozen=True, tag="push_to_talk"):
    """The talk button went down or up."""

    pressed: bool


class Configure(Command, frozen=True, tag="config"):
    """Change the session; what is left out stays."""

    language: str | None = None
    voice: str | None = None
    interruptions: Literal["on", "off", "push-to-talk"] | None = None
    tools: list[dict[str, Any]] | None = None
    """Functions of the caller's that the model may call, each ``{"name", "description", "parameters"}`` with a JSON
    schema; they replace those named before."""


class ToolResult(Command, frozen=True, tag="tool_result"):
    """What a function of the caller's gave, for the ToolCalled of this ``id``; ``error`` instead where it failed."""

    id: str
    result: Any = None
    error: str | None = None


class ExportMemory(Command, frozen=True, tag="export_memory"):
    """Tell what is remembered of the conversation: answered by MemoryExported."""


class HangUp(Command, frozen=True, tag="hangup"):
    """End the call."""


AnyCommand = Text | Interrupt | PushToTalk | Configure | ToolResult | ExportMemory | HangUp


def decode(message: str | bytes) -> dict[str, Any]:
    """The JSON object in a message. Raises ValueError with a sentence if it is none."""
    if isinstance(message, bytes):
        raise ValueError("The message is binary; send JSON text.")
    try:
        found = msgspec.json.decode(message)  # unlike json.loads it refuses half a character, which no one can send on
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("The message is not JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("The message is not a JSON object.")
    return found


def parse(message: dict[str, Any]) -> AnyCommand:
    """The command in a JSON object. Raises ValueError with a sentence that names what is wrong with it."""
    try:
        command: AnyCommand = msgspec.convert(message, AnyCommand)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if isinstance(command, Text) and not 0 < len(command.text.strip()) <= MAX_TEXT:
        raise ValueError(f"text must hold 1 to {MAX_TEXT} characters")
    return command
