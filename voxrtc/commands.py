"""What a caller may ask of a call: the one upward vocabulary of every dialect, as ``events`` is the downward one."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

MAX_TEXT = 4_000
"""Characters of one typed turn."""
MAX_INSTRUCTIONS = 16_000
"""Characters of a system prompt."""

Interruptions = Literal["on", "off", "push-to-talk", "manual"]
"""Whether a voice takes the word from the assistant, whether turns are those in which a button is held, or whether
each is made by Commit."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all commands; ``type`` on the wire is the tag."""


class Text(Command, frozen=True, tag="text"):
    """Typed text, as a turn of its own. Where it is not to ``respond`` it is only remembered: as the caller's, as what
    the assistant said, or, of the ``role`` system, as an instruction beside the others."""

    text: str
    respond: bool = True
    role: Literal["user", "assistant", "system"] = "user"


class Respond(Command, frozen=True, tag="respond"):
    """Answer what the caller is still owed a reply to; where that is nothing, say something unasked.
    ``instructions``: for this reply, in place of the call's."""

    instructions: str | None = None


class Commit(Command, frozen=True, tag="commit"):
    """With interruptions "manual": what was heard since the last one, or since Discard, is a turn."""


class Discard(Command, frozen=True, tag="discard"):
    """With interruptions "manual": forget what was heard and is in no turn. Else: drop the turn that is on."""


class Forget(Command, frozen=True, tag="forget"):
    """Take the caller's turn, or the reply, of that number out of the memory."""

    turn: int | None = None
    reply: int | None = None


class Interrupt(Command, frozen=True, tag="interrupt"):
    """Stop the reply that is being spoken."""


class PushToTalk(Command, frozen=True, tag="push_to_talk"):
    """The talk button went down or up."""

    pressed: bool


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of the section [endpointing] that a call may have its own values of."""

    strategy: str | None = None
    speech_threshold: float | None = None
    end_silence_ms: int | None = None
    min_silence_ms: int | None = None
    max_silence_ms: int | None = None


class Configure(Command, frozen=True, tag="config"):
    """Change the session; what is left out stays."""

    language: str | None = None
    voice: str | None = None
    interruptions: Interruptions | None = None
    endpointing: Endpoint | None = None
    """What is left out of it is as configured."""
    replies: Literal["auto", "asked"] | None = None
    """asked: turns are written down and answered only when Respond comes."""
    speaks: bool | None = None
    """Whether replies are spoken; else they are text alone."""
    instructions: str | None = None
    """In place of the configured system prompt; empty for that one again."""
    max_tokens: int | None = None
    """Of one reply; 0 for as many as configured again."""
    temperature: float | None = None
    fillers: bool | None = None
    """Whether the caller is asked for patience while a function takes long."""
    idle_prompt_s: float | None = None
    """In place of dialogue.idle_prompt_s."""
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


AnyCommand = (
    Text | Respond | Interrupt | Commit | Discard | Forget | PushToTalk | Configure | ToolResult | ExportMemory | HangUp
)


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
    if isinstance(command, Text) and command.role != "user" and message.get("respond"):
        raise ValueError("only what the user says can be responded to: leave respond out, or false, for other roles")
    if isinstance(command, Text) and not 0 < len(command.text.strip()) <= MAX_TEXT:
        raise ValueError(f"text must hold 1 to {MAX_TEXT} characters")
    instructions = getattr(command, "instructions", None)
    if instructions is not None and len(instructions) > MAX_INSTRUCTIONS:
        raise ValueError(f"instructions may have {MAX_INSTRUCTIONS} characters")
    return command
