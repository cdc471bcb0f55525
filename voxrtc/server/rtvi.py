"""RTVI, as pipecat's clients speak it on SmallWebRTC's data channel: the dialect, and what a client asks in it.

Beside RTVI the channel carries the transport's own messages: ``ping: <ms>`` as plain text every second, and
``signalling`` objects, of which a client sends which of its tracks are enabled.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from voxrtc import __version__
from voxrtc.commands import AnyCommand, Configure, ExportMemory, HangUp, Text, ToolResult, decode, parse
from voxrtc.events import Event, MemoryExported
from voxrtc.lines import Message
from voxrtc.server.rtvi_events import LABEL, Teller, message

VERSION = (2, 1, 0)
"""Of the protocol: the newest that is spoken here."""
WAITING = 8
"""Requests for the memory that may wait for it."""
NOT_OURS = ("ui-event", "ui-snapshot", "ui-cancel-job-group", "raw-audio", "raw-audio-batch", "send-file")
T = TypeVar("T")


class Envelope(msgspec.Struct, frozen=True):
    """Every message of RTVI."""

    type: str
    id: str
    data: Any = None


class TextOptions(msgspec.Struct, frozen=True):
    run_immediately: bool = True
    audio_response: bool = True


class SendText(msgspec.Struct, frozen=True):
    content: str
    options: TextOptions | None = None


class AppendToContext(msgspec.Struct, frozen=True):
    """Of clients before 1.4; the newer ones have send-text."""

    role: Literal["user", "assistant"]
    content: str
    run_immediately: bool | None = None


class FunctionResult(msgspec.Struct, frozen=True):
    tool_call_id: str
    result: Any = None


class ClientMessage(msgspec.Struct, frozen=True):
    t: str
    d: Any = None


class Dtmf(msgspec.Struct, frozen=True):
    """``button``: of clients that speak RTVI 2.0."""

    buttons: list[str] | None = None
    button: str | None = None


class Rtvi:
    """voxrtc.lines.Dialect for one connection. A reconnecting client has another one, and says client-ready on the
    first alone."""

    label = "chat"
    max_message = 65_536

    def __init__(self) -> None:
        self._teller = Teller()
        self._memory_for: deque[str] = deque(maxlen=WAITING)
        self._speaks = True

    def tell(self, event: Event) -> Iterable[str]:
        if isinstance(event, MemoryExported):
            data = {"t": "export_memory", "d": {"memory": event.memory}}
            if not self._memory_for:
                return (message("server-message", event.to_json()),)
            return (message("server-response", data, self._memory_for.popleft()),)
        return self._teller.tell(event)

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        if isinstance(message, str) and message.startswith("ping"):
            return ()
        found = decode(message)
        if found.get("type") == "signalling":
            return ()  # a track that is disabled sends silence; nothing else is of interest
        if found.get("label") != LABEL:
            raise ValueError(f"it is not labelled {LABEL}")
        try:
            envelope = msgspec.convert(found, Envelope)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        try:
            return self._read(envelope)
        except (msgspec.ValidationError, ValueError) as error:
            return (refusal(envelope, str(error)),)

    def _read(self, envelope: Envelope) -> list[AnyCommand | str]:
        """Raises ValueError (which msgspec's is too) on a message whose data is not as it should be."""
        match envelope.type:
            case "client-ready":
                return _ready(envelope)
            case "send-text":
                return self._text(_data(envelope, SendText))
            case "append-to-context":
                return [_remember(_data(envelope, AppendToContext))]
            case "dtmf":
                return [_keys(_data(envelope, Dtmf))]
            case "llm-function-call-result":
                found = _data(envelope, FunctionResult)
                return [ToolResult(found.tool_call_id, found.result)]
            case "client-message":
                return self._asked(envelope, _data(envelope, ClientMessage))
            case "disconnect-bot":
                return [HangUp()]
        known = " (it is of RTVI, but not supported here)" if envelope.type in NOT_OURS else ""
        raise ValueError(f"unsupported type {envelope.type!r}{known}")

    def _text(self, sent: SendText) -> list[AnyCommand | str]:
        """A reply is spoken, or not, as it was set when it began: so the setting may be taken back at once."""
        options = sent.options or TextOptions()
        text = parse({"type": "text", "text": sent.content, "respond": options.run_immediately})
        if options.audio_response == self._speaks or not options.run_immediately:
            return [text]
        return [Configure(speaks=options.audio_response), text, Configure(speaks=self._speaks)]

    def _asked(self, envelope: Envelope, sent: ClientMessage) -> list[AnyCommand | str]:
        """A client's own message: one of our commands by its name, ``d`` the rest of it."""
        rest = {} if sent.d is None else sent.d
        if not isinstance(rest, dict):
            raise ValueError("d is to be an object")
        command = parse({**rest, "type": sent.t})
        if isinstance(command, ExportMemory):
            self._memory_for.append(envelope.id)
            return [command]
        if isinstance(command, Configure) and command.speaks is not None:
            self._speaks = command.speaks
        return [command, message("server-response", {"t": sent.t, "d": {"taken": True}}, envelope.id)]


def refusal(envelope: Envelope, why: str) -> str:
    return message("error-response", {"error": why}, envelope.id)


def _data(envelope: Envelope, kind: type[T]) -> T:
    return msgspec.convert({} if envelope.data is None else envelope.data, kind)


def _ready(envelope: Envelope) -> list[AnyCommand | str]:
    """The bot is ready as soon as anybody asks. Told is the client's version of the protocol, or ours where that is
    older; one that cannot be is answered all the same, after a complaint."""
    told = envelope.data.get("version") if isinstance(envelope.data, dict) else None
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", told) if isinstance(told, str) else None
    theirs = tuple(map(int, match.groups())) if match else None
    version = min(theirs, VERSION) if theirs and theirs[0] == VERSION[0] else VERSION
    about = {"library": "voxrtc", "library_version": __version__}
    ready = message("bot-ready", {"version": ".".join(map(str, version)), "about": about}, envelope.id)
    if theirs and theirs[0] == VERSION[0]:
        return [ready]
    return [refusal(envelope, f"this server speaks RTVI {VERSION[0]}.x, the client says {told!r}"), ready]


def _remember(sent: AppendToContext) -> AnyCommand:
    respond = bool(sent.run_immediately) and sent.role == "user"
    return parse({"type": "text", "text": sent.content, "respond": respond, "role": sent.role})


def _keys(sent: Dtmf) -> AnyCommand:
    """Pressed keys are a turn in writing, as pipecat's DTMFAggregator makes it."""
    keys = sent.buttons if sent.buttons is not None else [sent.button] if sent.button is not None else []
    if not keys or len(keys) > 64 or not all(re.fullmatch(r"[0-9*#]", key) for key in keys):
        raise ValueError("buttons are 1 to 64 of 0 to 9, * and #")
    return Text(f"DTMF: {''.join(keys)}")
