"""A chat completion as it streams in: chunks to words, and to calls of functions."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import msgspec

from voxrtc.errors import ModelsError
from voxrtc.models.remote.complaints import Said as Complaint
from voxrtc.models.wire import Said, ToolCall

DONE = "[DONE]"
"""The event that ends a stream."""
SIGNS_A_TOKEN = 32
"""What a server may stream for each token that was asked for, in characters: tokens have 4 in the mean, and few more
than 16. Beyond, it goes on without an end."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | list[Any] | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None


@dataclass(slots=True)
class _Asked:
    """A call, as far as it has come."""

    name: str = ""
    arguments: str = ""
    id: str = ""


@dataclass(slots=True)
class Reply:
    """Takes the events of one stream."""

    most_tokens: int = 4_096
    """That were asked for."""
    begun: bool = False
    """Something of the answer has come."""
    ended: bool = False
    signs: int = 0
    """Characters of the answer that have come: of words and of calls."""
    _reason: str | None = None
    _calls: dict[int, _Asked] = field(default_factory=dict)

    def take(self, event: str) -> list[Said | ToolCall]:
        """What ``event`` adds. Raises ModelsError for one that is an error, or nothing that can be understood."""
        if event.strip() == DONE:
            self._reason = self._reason or "stop"  # some servers give none: what says that it is done is whole
            return self.finish()
        try:
            chunk = msgspec.json.decode(event, type=_Chunk)
        except (msgspec.DecodeError, RecursionError):
            raise ModelsError("the server of models streams what is no chat completion: see remote.url") from None
        if chunk.error is not None:
            raise _broke(event)
        pieces: list[Said | ToolCall] = []
        for choice in chunk.choices or ():
            self._reason = choice.finish_reason or self._reason
            delta = choice.delta or _Delta()
            if words := _words(delta.content):
                self._came(len(words))
                pieces.append(Said(words))
            for call in delta.tool_calls or ():
                self._add(call)
        if self.signs > SIGNS_A_TOKEN * self.most_tokens and not self.ended:
            self._reason = "length"
            return [*pieces, *self.finish()]
        return pieces

    def _came(self, signs: int) -> None:
        self.begun = True
        self.signs += signs

    def finish(self) -> list[Said | ToolCall]:
        """The calls, once nothing more comes. Raises ModelsError where it was cut off."""
        if self.ended:
            return []
        if self._reason is None:
            raise ModelsError("the server of models broke off in the middle of an answer")
        self.ended = True
        return [self._call(asked) for _, asked in sorted(self._calls.items())]

    def _add(self, call: _Call) -> None:
        self._came(1)
        asked = self._calls.setdefault(call.index, _Asked())
        asked.id = asked.id or call.id or ""
        if call.function is not None:
            asked.name += call.function.name or ""
            asked.arguments += call.function.arguments or ""
            self._came(len(call.function.name or "") + len(call.function.arguments or ""))

    def _call(self, asked: _Asked) -> ToolCall:
        try:
            whole = isinstance(json.loads(asked.arguments or "{}"), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole and self._reason == "length":
            raise ModelsError(
                "the language model's function call was longer than dialogue.max_reply_tokens allows; raise it"
            )
        if not whole or not asked.name:
            raise ModelsError("the language model called a function with what is no JSON object")
        return ToolCall(asked.name, asked.arguments or "{}", asked.id or secrets.token_urlsafe(9))


def _words(content: str | list[Any] | None) -> str:
    """The text of a delta; Mistral's own servers send parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content or ""


def _broke(event: str) -> ModelsError:
    said = Complaint.of(event.encode())
    names = f" ({', '.join(said.names)})" if said.names else ""
    return ModelsError(f"the server of models failed in the middle of an answer{names}: its log says why")
