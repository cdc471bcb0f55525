"""What a client is told of what cannot be: OpenAI's error object, the same in events and in HTTP answers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from voxrtc.events import Notice
from voxrtc.server.openapi import struct
from voxrtc.server.realtime.shapes import Json, event

INVALID = "invalid_request_error"
SERVER = "server_error"

BROKEN = frozenset({"models_failed", "host_lost"})
"""Notices about something that is not the client's to mend."""
RENAMED = {
    "busy": "conversation_already_has_active_response",
    "empty_turn": "input_audio_buffer_commit_empty",
    "bad_config": "invalid_value",
}
"""Codes of notices that OpenAI has names of its own for."""


class Refused(ValueError):
    """Something that a client asks for cannot be had. ``param``: the path of what is wrong in what it sent."""

    def __init__(self, message: str, code: str = "invalid_value", param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def body(message: str, kind: str, code: str | None, param: str | None = None) -> Json:
    """The error object."""
    return {"type": kind, "code": code, "message": message, "param": param}


_NULLABLE = {"type": ["string", "null"]}
SHAPE = struct(
    {
        "error": struct(
            {"type": {"type": "string"}, "code": _NULLABLE, "message": {"type": "string"}, "param": _NULLABLE}
        )
    }
)
"""What HTTP answers of errors are, as a JSON schema."""


def refusal(refused: Refused, client_event: str | None) -> str:
    """The event ``error`` about the client's event of that id."""
    error = body(str(refused), INVALID, refused.code, refused.param)
    return event("error", error=error | {"event_id": client_event})


def complaint(notice: Notice, client_event: str | None) -> str:
    """The event ``error`` for what the call tells, about the client's event of that id where it follows from one."""
    kind = SERVER if notice.code in BROKEN else INVALID
    error = body(notice.message, kind, RENAMED.get(notice.code, notice.code))
    return event("error", error=error | {"event_id": client_event})


def converted(raw: object, kind: Any, where: str = "") -> Any:
    """``raw`` as the msgspec type ``kind``. Raises Refused with the path below ``where`` of what does not fit."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message)
        param = where + path.rstrip("`")
        if unknown is not None:
            param = f"{param}.{unknown[1]}"
        raise Refused(f"{message}.", _code(message), param.lstrip(".") or None) from None


def _code(message: str) -> str:
    """OpenAI's code for what msgspec says of something that does not fit."""
    if message.startswith("Object contains unknown field"):
        return "unknown_parameter"
    if message.startswith("Object missing required field"):
        return "missing_required_parameter"
    return "invalid_type" if ", got `" in message else "invalid_value"
