"""The conversation as Voxtral reads it: the ids of a prompt, as mistral-common 1.13 lays out those of version 7.

    chat           <s> [INST] [BEGIN_AUDIO] sound, text [/INST] answer </s> [INST] ... [/INST]
    transcription  <s> [INST] [BEGIN_AUDIO] sound [/INST] lang:en [TRANSCRIBE]
    functions      ... [AVAILABLE_TOOLS] json [/AVAILABLE_TOOLS] [INST] the caller's last turn [/INST]
                   [TOOL_CALLS] json </s> [TOOL_RESULTS] id [TOOL_CONTENT] result [/TOOL_RESULTS]

Version 7 has no system prompt beside sound, so the persona is text in the caller's first turn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal, TypeAlias

from voxrtc.errors import ModelsError
from voxrtc.models.llm.prompt import CUT, INTERRUPTED
from voxrtc.models.voxtral.sequence import Clip
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Tool, Utterance

Content: TypeAlias = str | Clip | Sequence[int]
_BLANK_LINE = "\n\n"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 9
"""Letters and digits of a call's id, as mistral-common's validator wants it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One line of the conversation: a wire.Utterance, but for what was heard, or written by the model itself.

    ``content``: a text, or the sound that the caller made (``user``), or the ids of text that the model wrote
    (``assistant``), without </s>: where these are what it picked, its memory of them stays valid.
    """

    role: Literal["user", "assistant", "call", "result"]
    content: Content
    interrupted: bool = False
    """An assistant's line that the caller cut short: ``content`` is what was heard of it."""

    @classmethod
    def of(cls, line: Utterance) -> Turn:
        return cls(line.role, line.text, line.interrupted)


def chat(tokens: Tokens, turns: Sequence[Turn], system: str = "", tools: Sequence[Tool] = ()) -> list[int]:
    """The prompt whose continuation is the answer to ``turns``, which end with the caller's line or a result.

    Ids of sound are those of its clips. Lines of one side that follow each other become one, texts with a blank line
    between them. ``system`` stands after the sound that the conversation begins with, or before its first words; where
    the assistant spoke first, before that. ``tools`` stand before the caller's last turn, as Voxtral learnt it: they
    move with every turn, and what follows their old place has to be read anew.

    Raises ModelsError where nothing is to be answered, calls and results do not pair, or a call is not JSON.
    """
    messages = _messages(turns, system)
    last = max((number for number, (side, _) in enumerate(messages) if side == "user"), default=-1)
    if last < 0 or messages[-1][0] == "assistant":
        raise ModelsError("there is nothing to answer: the caller's words or a function's result have to come last")
    writer = _Writer(tokens)
    for number, (side, lines) in enumerate(messages):
        if number == last and tools:
            writer.offer(tools)
        writer.write(side, lines)
    return writer.ids


def transcription(tokens: Tokens, clip: Clip, language: str | None = None) -> list[int]:
    """The prompt whose continuation is what is said in ``clip``, in ``language`` (ISO 639-1) or whichever it hears."""
    writer = _Writer(tokens)
    writer.write("user", [Turn("user", clip)])
    spoken = [] if language is None else tokens.encode(f"lang:{language}")
    return [*writer.ids, *spoken, tokens.transcribe]


_Side: TypeAlias = Literal["user", "assistant", "result"]
_Message: TypeAlias = tuple[_Side, list[Turn]]


def _side(turn: Turn) -> _Side:
    return "assistant" if turn.role == "call" else turn.role


def _messages(turns: Sequence[Turn], system: str) -> list[_Message]:
    """Who says what, sides taking turns, with the persona in the first message of the caller's side."""
    messages = [(side, list(lines)) for side, lines in groupby(_marked(turns), _side)]
    if not system:
        return messages
    if not messages or messages[0][0] != "user":
        return [("user", [Turn("user", system)]), *messages]
    first = messages[0][1]
    place = next((number for number, line in enumerate(first) if isinstance(line.content, str)), len(first))
    first.insert(place, Turn("user", system))
    return messages


def _marked(turns: Sequence[Turn]) -> Iterator[Turn]:
    """The turns, with the words that ended a reply early marked as such. Sound cannot be; the dash before it tells."""
    yield from turns[:1]
    for before, turn in pairwise(turns):
        cut = before.role == "assistant" and before.interrupted
        if cut and turn.role == "user" and isinstance(turn.content, str):
            yield Turn("user", INTERRUPTED + turn.content)
        else:
            yield turn


class _Writer:
    """Writes messages as ids, one after another."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.ids = [tokens.bos]
        self._calls = 0
        self._open: list[str] = []
        """The ids of calls that have no result yet, in order."""

    def offer(self, tools: Sequence[Tool]) -> None:
        """Tell the model which functions there are."""
        offered = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in tools
        ]
        self.ids += [self._tokens.begin_tools, *self._tokens.encode(_json(offered)), self._tokens.end_tools]

    def write(self, side: _Side, lines: Sequence[Turn]) -> None:
        if side == "result":
            for line in lines:
                self._result(_text(line))
            return
        if self._open:
            raise ModelsError("a function was called, but its result is missing in the conversation")
        if side == "user":
            self._user(lines)
        else:
            self._assistant(lines)

    def _user(self, lines: Sequence[Turn]) -> None:
        self.ids.append(self._tokens.begin_inst)
        for content in _joined([line.content for line in lines]):
            if isinstance(content, Clip):
                self.ids += [self._tokens.begin_audio, *content.ids()]
            else:
                self.ids += self._encoded(content)
        self.ids.append(self._tokens.end_inst)

    def _assistant(self, lines: Sequence[Turn]) -> None:
        """What was said, then what was called, then </s>."""
        said = _joined([self._line(line) for line in lines if line.role == "assistant"])
        for number, content in enumerate(said):
            self.ids += self._tokens.encode(_BLANK_LINE) if number else []
            last = number == len(said) - 1
            self.ids += self._encoded(content.rstrip(" ") if last and isinstance(content, str) else content)
        calls = [self._call(_text(line)) for line in lines if line.role == "call"]
        if calls:
            self.ids += [self._tokens.tool_calls, *self._tokens.encode(_json(calls))]
        self.ids.append(self._tokens.eos)

    def _line(self, line: Turn) -> Content:
        if not line.interrupted:
            return line.content
        if isinstance(line.content, str):
            return line.content.rstrip() + CUT
        return [*self._encoded(line.content), *self._tokens.encode(CUT)]

    def _call(self, text: str) -> dict[str, Any]:
        """As it stands in the prompt. Its id is made of what is called and of how many calls were before it, so that it
        is the same whenever the conversation is written again."""
        try:
            call = json.loads(text)
            name, arguments = call["name"], call["arguments"]
        except (ValueError, KeyError, TypeError):
            raise ModelsError("a function's call in the conversation is no JSON of its name and arguments") from None
        number = int.from_bytes(hashlib.sha256(f"{self._calls} {text}".encode("utf-8", "replace")).digest())
        self._calls += 1
        self._open.append("".join(_BASE62[number // 62**place % 62] for place in range(_ID_LENGTH)))
        return {"name": name, "arguments": arguments, "id": self._open[-1]}

    def _result(self, text: str) -> None:
        if not self._open:
            raise ModelsError("a function's result in the conversation has no call before it")
        tokens = self._tokens
        self.ids += [tokens.begin_tool_results, *tokens.encode(self._open.pop(0))]
        self.ids += [tokens.begin_tool_content, *tokens.encode(text), tokens.end_tool_results]

    def _encoded(self, content: Content) -> Sequence[int]:
        if isinstance(content, Clip):
            raise ModelsError("the assistant's own line in the conversation has to be text")
        return self._tokens.encode(content) if isinstance(content, str) else content


def _joined(contents: Sequence[Content]) -> list[Content]:
    """Neighbouring texts made one, a blank line between them; without what is empty."""
    joined: list[Content] = []
    for content in contents:
        if not isinstance(content, Clip) and not len(content):
            continue
        if isinstance(content, str) and joined and isinstance(joined[-1], str):
            joined[-1] += _BLANK_LINE + content
        else:
            joined.append(content)
    return joined


def _text(line: Turn) -> str:
    if not isinstance(line.content, str):
        raise ModelsError(f"the {line.role} of a function has to be text")
    return line.content


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
