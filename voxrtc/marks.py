"""How the language model may mark what it says: ``[happy] Great!``. A mark is understood, and never said nor shown.

A mark is words of ``marks.toml`` between brackets, square, round or pointed, in any case: emotions and what is another
word for one, words of degree, stage directions (``[laughs]``), labels. ``[very happy]``, ``[cheerful, excited]:``,
``(emotion: sad)`` are marks; a colon after one belongs to it. Where a sentence begins, a direction may also stand
between asterisks: ``*smiles*``. All else in brackets is text: ``[1]``, ``[sic]``, ``[not happy]``, ``[your name]``.
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

_CLOSERS = {"[": "]", "(": ")", "<": ">", "*": "*", "（": "）", "【": "】"}
_OPEN = re.compile(r"[\[(<*（【]")
_BODY = re.compile(r"[^\W\d_'](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0963'])*|[ ,;:=/&+|!.…\-]")
"""A word of a mark, or what parts two of them."""
_PARTS = re.compile(r"[ ,;:=/&+|!.…\-]+")
_ENDS = frozenset(".!?…:\"'”’)]}" + languages.ENDS)
"""After these, or at the beginning of a line, a sentence may begin."""


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
            if opens[0] == "*" and not self._begins:
                at = opens.end()
                given.append(self._give("*"))
                continue
            end = _body_end(text, opens.end())
            body = text[opens.end() : end]
            if end == len(text) and _may_become(body):
                self._held = text[at:]
                return "".join(given)
            closed = text[end : end + 1] == _CLOSERS[opens[0]]
            at = end + 1 if closed and self._mark(body, opens[0] == "*") else opens.end()
            if at == opens.end():
                given.append(self._give(opens[0]))
        given.append(self._give(text[at:]))
        return "".join(given)

    def finish(self) -> str:
        """What was held back, which became no mark."""
        held, self._held = self._held, ""
        return self._give(held)

    def take(self, chars: int, last: bool = False) -> Marked | None:
        """The last mark that stands in the next ``chars`` characters of the text. ``last``: or right after them."""
        self._taken += chars
        mark = None
        while self._found and self._found[0].at < self._taken + last:
            mark = self._found.popleft()
        return mark

    def _mark(self, body: str, directs: bool) -> bool:
        """Whether ``body`` was a mark, with a direction if it ``directs``; what the mark says is then kept."""
        table = words()
        said = _words_of(body)
        if not said or any(word not in table.known for word in said):
            return False
        emotions = [table.emotions[word] for word in said if word in table.emotions]
        if not _has_direction(said) and (directs or not emotions):
            return False
        if emotions and not body.startswith("/"):  # as in </happy>: what ends there begins no more
            intensity = prod(table.degrees.get(word, 1.0) for word in said)
            emotion = next((emotion for emotion in emotions if emotion != "neutral"), "neutral")
            self._found.append(Marked(self._given, emotion, intensity))
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
            if rest:
                self._begins = rest[-1] in _ENDS
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


def _words_of(body: str) -> list[str]:
    return _PARTS.split(_folded(body).strip(" ,;:=/&+|!.…-"))


def _folded(text: str) -> str:
    """As words are compared; decomposed, so that the beginning of a word stays one."""
    return unicodedata.normalize("NFD", text.casefold())


def _has_direction(said: list[str]) -> bool:
    joined = f" {' '.join(said)} "
    return any(f" {direction} " in joined for direction in words().directions)
