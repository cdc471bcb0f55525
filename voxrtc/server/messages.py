"""The dialect of /ws and of the TCP port: the messages of the original system, and all other events and commands by
their plain names. Sound goes both ways in messages as base64, or in binary ones where the connection has these."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from voxrtc.audio import HEARD_RATE, Samples, from_pcm16, to_pcm16
from voxrtc.calls import Joined
from voxrtc.commands import AnyCommand, decode, parse
from voxrtc.errors import AudioError
from voxrtc.events import CallStarted, Event, Notice, ReplyText, Transcript, TurnMetrics
from voxrtc.lines import Message
from voxrtc.media.stream_ears import RATES
from voxrtc.media.streaming import Order, Stream
from voxrtc.server.carry import why_over

MAX_MESSAGE = 65_536


def unpcm(data: bytes) -> Samples:
    """PCM16 as samples (n,). Raises ValueError for half a sample."""
    if len(data) % 2:
        raise ValueError("PCM16 has two bytes a sample; the sound has an odd number of them")
    return from_pcm16(data)


def unbase64(data: object) -> bytes:
    """The bytes in base64 text. Raises ValueError with a sentence."""
    if not isinstance(data, str):
        raise ValueError("the sound must be base64 text")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the sound is not base64") from None


class Messages:
    """voxrtc.server.carry.StreamDialect."""

    label = "voxrtc"
    max_message = MAX_MESSAGE

    def __init__(self, has_binary: bool) -> None:
        """``has_binary``: whether the connection has binary messages."""
        self.complaints = 0
        self.joined: Joined | None = None
        """What the caller needs to come back; to be set before the call begins to talk."""
        self.over: str | None = None
        """Why the call said that this connection is over."""
        self._has_binary = has_binary
        self._binary = False
        self._rate = HEARD_RATE
        self._decoded: tuple[Message, dict[str, Any]] = "", {}
        """The message that was taken last, and what is in it."""

    # -- down ----------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> Iterable[str]:
        self.over = why_over(event) or self.over
        return [_json(message) for message in self._told(event)]

    def put(self, item: Samples | Order) -> Iterable[Message]:
        if isinstance(item, Order):
            return (_json({"type": item.value}),)
        sound = to_pcm16(item)
        return (sound if self._binary else _json({"type": "audio", "data": base64.b64encode(sound).decode()}),)

    def complaint(self, code: str, message: str) -> str:
        return _json({"type": "error", "code": code, "message": message})

    def _told(self, event: Event) -> Iterable[dict[str, Any]]:
        plain = event.to_json()
        match event:
            case CallStarted() if self.joined is not None:
                yield plain | {"session": self.joined.session, "resume": self.joined.resume}
            case Transcript():
                yield plain | {"type": "transcription", "timestamp": _iso(event.time)}
            case ReplyText():
                feeling = {name: plain.pop(name) for name in ("emotion", "intensity", "confidence")}
                yield plain | {"type": "emotion"} | feeling
                yield plain | {"type": "response", "timestamp": _iso(event.time)}
            case TurnMetrics():
                yield plain | {"type": "metrics"}
            case Notice():
                self.complaints += event.code == "bad_message"
                yield plain | {"type": "error"}
            case _:
                yield plain

    # -- up ------------------------------------------------------------------------------------------------

    def take(self, message: Message, line: Stream) -> None:
        try:
            if isinstance(message, bytes):
                if self._has_binary:
                    line.hear(unpcm(message), self._rate)
                    return
                message = text_of(message)
            found = decode(message)
            if found.get("type") == "audio":
                line.hear(unpcm(unbase64(found.get("data"))), self._rate)
            elif len(message) > self.max_message:
                line.refuse(f"it has {len(message)} characters; {self.max_message} at the most, but for sound")
            else:
                self._decoded = message, found
                line.receive(message)
        except (ValueError, AudioError) as error:
            line.refuse(str(error))

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        taken, found = self._decoded
        if taken is not message:
            found = decode(message)
        if found.get("type") != "config":
            return (parse(found),)
        rest = {name: value for name, value in found.items() if name not in ("sample_rate", "binary")}
        command = parse(rest)
        self._configure(found.get("sample_rate"), found.get("binary"))
        return (command,) if len(rest) > 1 else ()

    def _configure(self, rate: object, binary: object) -> None:
        """What is the connection's own to know. Raises ValueError, and then nothing is changed."""
        if rate is not None and (type(rate) is not int or not RATES[0] <= rate <= RATES[1]):
            raise ValueError(f"sample_rate must be a whole number of Hz, {RATES[0]} to {RATES[1]}")
        if binary is not None and not isinstance(binary, bool):
            raise ValueError("binary must be true or false")
        if binary and not self._has_binary:
            raise ValueError("binary messages need a WebSocket")
        if isinstance(rate, int):
            self._rate = rate
        if isinstance(binary, bool):
            self._binary = binary


def text_of(message: bytes) -> str:
    """The text in bytes. Raises ValueError with a sentence."""
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise ValueError("The message is not UTF-8.") from None


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
