"""Answers of Voxtral that may call functions: the words apart from the calls."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from voxrtc.errors import ModelsError
from voxrtc.models.voxtral.text import TextStream
from voxrtc.models.voxtral.tokens import Tokens


class Call(NamedTuple):
    """A function that the model asks for. ``arguments``: a JSON object as text."""

    name: str
    arguments: str


class Sorter:
    """Takes the tokens of one answer: words come out as they do from a TextStream, what follows [TOOL_CALLS] is kept.

    Voxtral writes a call as [TOOL_CALLS] and a JSON array of {"name", "arguments"}, perhaps after some words.
    """

    def __init__(self, tokens: Tokens, whole_words: bool = False) -> None:
        self._tokens = tokens
        self._words = TextStream(tokens, whole_words)
        self._written: list[str] = []
        self._call: TextStream | None = None

    @property
    def calling(self) -> bool:
        """Whether a call has begun; no words come any more."""
        return self._call is not None

    def feed(self, token: int) -> str:
        """The words that can be said now that ``token`` was picked."""
        if self._call is not None:
            self._written.append(self._call.feed(token))
            return ""
        if token == self._tokens.tool_calls:
            self._call = TextStream(self._tokens)
            return self._words.finish()
        return self._words.feed(token)

    def finish(self) -> str:
        """The words that were held back."""
        return self._words.finish()

    def calls(self) -> list[Call]:
        """What is called, once the answer has come to its end; none where it was words only.

        Raises ModelsError where a call was cut off, or is none.
        """
        if self._call is None:
            return []
        try:
            # What may follow the array is no part of it; vLLM's parser of version 7 takes it so too.
            found, _ = json.JSONDecoder().raw_decode("".join(self._written))
        except (ValueError, RecursionError):
            raise ModelsError(
                "Voxtral's function call is not whole: it was longer than dialogue.max_reply_tokens allows, which can "
                "be raised, or it is not JSON"
            ) from None
        return [_call(one) for one in (found if isinstance(found, list) and found else [found])]


def _call(found: Any) -> Call:
    match found:
        case {"name": str(name), "arguments": dict(arguments)}:
            return Call(name, json.dumps(arguments, ensure_ascii=False))
        case _:
            raise ModelsError("Voxtral's function call lacks the function's name or its arguments; ask again")
