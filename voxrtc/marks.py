"""How the language model may mark what it says: ``[happy] Great!``. A mark is understood, and never said nor shown.

A mark is words of ``marks.toml`` between square or curly brackets, in any case: emotions and what is another word for
one, words of degree, stage directions (``[laughs]``), labels. ``[very happy]``, ``{cheerful, excited}:`` are marks; a
colon after one belongs to it. People write round and pointed brackets too, so these hold marks only where a sentence
begins: ``(emotion: sad)``, ``<happy>`` (and ``</happy>`` after that); so do asterisks, for a direction: ``*smiles*``.
All else in brackets is text: ``[1]``, ``[sic]``, ``[not happy]``, ``[your name]``, ``triste (sad)``. What an answer
ends in the middle of goes as well, once it is the beginning of a mark: ``[hap``.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections import deque
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import prod

from voxrtc import languages

LONGEST = 48
"""Characters between the brackets of what may still become a mark."""

_CLOSERS = {"[": "]", "{": "}", "(": ")", "<": ">", "*": "*", "（": "）", "【": "】"}
_OPEN = re.compile(r"[\[{(<*（【]")
_ANYWHERE = "[{【"
"""The others open a mark only where a sentence begins."""
_BODY = re.compile(r"[^\W\d_'](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0963'])*|[ ,;:=/&+|!.…\-]")
"""A word of a mark, or what parts two of them."""
_PARTS = re.compile(r"[ ,;:=/&+|!.…\-]+")
_ENDS = frozenset(".!?…:" + languages.ENDS)
"""After these, or at the beginning of a line, a sentence may begin."""
_QUOTES = "\"'“”‘’«»„)]}"
"""May stand between the end of a sentence and the next."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What a mark asks for. ``at``: before which character of the text it stands, counted without marks."""

    at: int
    emotion: str
    intensity: float


@dataclass(frozen=True, slots=True)
class Words:
    """Those of marks.toml, folded: each emotion's, the degrees with their intensities, directions (of several words
    each), and all single words there are with everything that one of them may begin with."""

    emotions: dict[str, str]
    degrees: dict[str, float]
    directions: frozenset[str]
    known: frozenset[str]
    begun: frozenset[str]


@cache
def words() -> Words:
    """The file, read once."""
    table = tomllib.loads((files("voxrtc") / "marks.toml").read_text(encoding="utf-8"))
    emotions = {_folded(word): emotion for emotion, said in table["emotions"].items() for word in said}
    degrees = {_folded(word): factor for word, factor in table["degrees"].items()}
    directions = frozenset(table["others"]["directions"])
    fillers = table["others"]["fillers"]
    known = frozenset(part for text in (*emotions, *degrees, *directions, *fillers) for part in _folded(text).split())
    begun = frozenset(word[:end] for word in known for end in range(1, len(word) + 1))
    return Words(emotions, degrees, directions, known, begun)


class Marks:
    """Takes the marks out of one answer's text as it comes, wherever it is cut into pieces."""

    def __init__(self) -> None:
        self._held = ""  # from a bracket on that may become a mark
        self._given = 0
        self._taken = 0
        self._begins = True  # whether a sentence may begin here
        self._spaced = True  # the last character given is white space, or there is none
        self._after = False  # a mark was just taken out: a colon after it goes as well
        self._gap = False  # ... and what follows it needs no space, for there is one before
        self._tags = 0  # pointed marks that were opened and not closed
        self._found: deque[Marked] = deque()

    def feed(self, piece: str) -> str:
        """The text that is known to be text, ``piece`` included as far as it is."""
        text = self._held + piece
        self._held = ""
        given: list[str] = []
        at = 0
        while (opens := _OPEN.search(text, at)) is not None:
            given.append(self._give(text[at : opens.start()]))
            at = opens.start()
            end = _body_end(text, opens.end())
            body = text[opens.end() : end]
            if not self._may_open(opens[0], body):
                at = opens.end()
                given.append(self._give(opens[0]))
                continue
            if end == len(text) and _may_become(body):
                self._held = text[at:]
                return "".join(given)
            closed = text[end : end + 1] == _CLOSERS[opens[0]]
            at = end + 1 if closed and self._mark(body, opens[0]) else opens.end()
            if at == opens.end():
                given.append(self._give(opens[0]))
        given.append(self._give(text[at:]))
        return "".join(given)

    def finish(self) -> str:
        """What was held back, which became no mark; nothing, where it was the beginning of one."""
        held, self._held = self._held, ""
        return "" if held and _is_begun(held[0], held[1:]) else self._give(held)

    def take(self, chars: int, last: bool = False) -> Marked | None:
        """The last mark that stands in the next ``chars`` characters of the text. ``last``: or right after them."""
        self._taken += chars
        mark = None
        while self._found and self._found[0].at < self._taken + last:
            mark = self._found.popleft()
        return mark

    def _may_open(self, bracket: str, body: str) -> bool:
        """Whether ``bracket`` may open a mark here. ``body``: as much as is known of what follows."""
        if bracket in _ANYWHERE or self._begins:
            return True
        return bracket == "<" and self._tags > 0 and body[:1] in ("", "/")

    def _mark(self, body: str, bracket: str) -> bool:
        """Whether ``body`` was a mark, between asterisks a direction; what the mark says is then kept."""
        table = words()
        said = _words_of(body)
        if not said or any(word not in table.known for word in said):
            return False
        emotions = [table.emotions[word] for word in said if word in table.emotions]
        if not _has_direction(said) and (bracket == "*" or not emotions):
            return False
        if emotions and not body.startswith("/"):  # as in </happy>: what ends there begins no more
            intensity = prod(table.degrees.get(word, 1.0) for word in said)
            emotion = next((emotion for emotion in emotions if emotion != "neutral"), "neutral")
            self._found.append(Marked(self._given, emotion, intensity))
        if bracket == "<":
            self._tags = max(0, self._tags + (-1 if body.startswith("/") else 1))
        self._after = True
        self._gap = self._spaced
        return True

    def _give(self, text: str) -> str:
        if self._after and text:
            text = text.removeprefix(":") if text[0] == ":" else text.removeprefix("：")
            self._after = False
        if self._gap:
            text = text.lstrip(" ")
            self._gap = not text
        if text:
            self._given += len(text)
            self._spaced = text[-1].isspace()
            rest = text.rstrip()
            if words_end := rest.rstrip(_QUOTES + " "):
                self._begins = words_end[-1] in _ENDS
            self._begins = self._begins or "\n" in text[len(rest) :]
        return text


def unmarked(text: str) -> str:
    """A whole answer without its marks."""
    marks = Marks()
    return marks.feed(text) + marks.finish()


def _body_end(text: str, start: int) -> int:
    """Where what stands at ``start`` can be in a mark no longer."""
    end = start
    while end - start <= LONGEST and (part := _BODY.match(text, end)) is not None:
        end = part.end()
    return end


def _may_become(body: str) -> bool:
    """Whether a bracket and ``body`` may be the beginning of a mark."""
    *whole, last = _words_of(f"{body}\0")
    table = words()
    unfinished = last[:-1]
    return (
        len(body) <= LONGEST
        and all(word in table.known for word in whole)
        and (not unfinished or unfinished in table.begun)
    )


def _is_begun(bracket: str, body: str) -> bool:
    """Whether ``body``, which may become a mark's, has the beginning of an emotion or a direction."""
    if bracket == "*" and body.startswith(" "):  # of a list
        return False
    *whole, last = _words_of(f"{body}\0")
    table = words()
    unfinished = last[:-1]
    if any(word in table.emotions for word in whole) or _has_direction(whole):
        return True
    return bool(unfinished) and any(word.startswith(unfinished) for word in (*table.emotions, *table.directions))


def _words_of(body: str) -> list[str]:
    return _PARTS.split(_folded(body).strip(" ,;:=/&+|!.…-"))


def _folded(text: str) -> str:
    """As words are compared; decomposed, so that the beginning of a word stays one."""
    return unicodedata.normalize("NFD", text.casefold())


def _has_direction(said: list[str]) -> bool:
    joined = f" {' '.join(said)} "
    return any(f" {direction} " in joined for direction in words().directions)
