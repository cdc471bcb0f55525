"""Functions that a chat model may call: how it is told of them, and the grammar that holds it to them.

An answer is either words or one call, told apart by its first character; the call's arguments can only be what their
schema allows. One request does for both, so that words come as fast as without functions. This is our own format
rather than the model's chat template's: Qwen2.5-Coder writes the calls of its template in half a dozen other ways, and
SmolLM2's template has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from voxrtc.errors import ModelsError
from voxrtc.models.wire import Tool
from voxrtc.settings import EMOTIONS

_EXPLANATION = (
    'When you need one of them, answer with nothing but {"name": <function>, "arguments": <object>}. You are then told '
    "its result, and tell the caller. In all other cases just answer the caller, in words. The functions:"
)
_GUIDANCE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_WORDS = r"[^{}<>`\[\]][^{}<>`]*"
"""What is to be spoken has no braces in it, so a call cannot begin in the middle of it."""
_MARK = rf"(\[({'|'.join(EMOTIONS)})\] )?"
"""An emotion may be marked before it, where the model is told of marks."""


def explain(tools: Sequence[Tool]) -> str:
    """What follows the system prompt."""
    lines = [json.dumps({"name": t.name, "description": t.description, "parameters": t.parameters}) for t in tools]
    return "\n".join(["\n", _EXPLANATION, *lines])


def grammar(tools: Sequence[Tool], may_call: bool, marks: bool = False) -> str:
    """The grammar of an answer, as llguidance (in llama.cpp) reads it. ``marks``: words may begin with a mark."""
    words = f"words: /{_MARK if marks else ''}{_WORDS}/"
    if not may_call:
        return f"%llguidance {{}}\nstart: words\n{words}\n"
    return f"%llguidance {{}}\nstart: call | words\ncall: %json {json.dumps(_schema(tools))}\n{words}\n"


def _schema(tools: Sequence[Tool]) -> dict[str, Any]:
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": tool.parameters},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"anyOf": calls, "x-guidance": _GUIDANCE}


class Sorter:
    """Takes the pieces of one answer: words go to ``say`` as they come, a call is kept to its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._call = ""
        self._words = False

    def take(self, piece: str) -> None:
        if self._call or (not self._words and piece.startswith("{")):
            self._call += piece
        else:
            self._words = True
            self._say(piece)

    @property
    def calls(self) -> bool:
        """Whether the answer is a call."""
        return bool(self._call)

    def call(self) -> tuple[str, str]:
        """Its name and arguments (JSON), once it has come to its end. Raises ModelsError where it was cut off."""
        try:
            call = json.loads(self._call)
        except ValueError:
            raise ModelsError(
                "the language model's function call was longer than dialogue.max_reply_tokens allows; raise it"
            ) from None
        return call["name"], json.dumps(call["arguments"], ensure_ascii=False)
