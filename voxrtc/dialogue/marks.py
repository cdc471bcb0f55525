"""How the language model may mark what it says: ``[happy] Great!``. A mark is understood, and never said nor shown.

A mark is an emotion of the table in square brackets, in any case, with one word of degree if wanted: ``[very happy]``.
Stage directions of models (``[laughs]``) are left out as well. Everything else in brackets is text: ``[1]``, ``[sic]``,
``[your name]``.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from voxrtc.settings import EMOTIONS

DEGREES = {"slightly": 0.6, "very": 1.3, "extremely": 1.6, "incredibly": 1.6, "absolutely": 1.5, "really": 1.25}
"""The word before the emotion in a mark, and the intensity it stands for; 1 without one."""
DIRECTIONS = frozenset(
    {"breath", "breathes", "chuckle", "chuckles", "chuckling", "clears throat", "cough", "coughs", "cries", "crying"}
    | {"exhales", "gasp", "gasps", "giggle", "giggles", "giggling", "grins", "groan", "groans", "inhales", "laugh"}
    | {"laughing", "laughs", "laughter", "pause", "pauses", "sigh", "sighs", "sighing", "smile", "smiles", "smiling"}
    | {"sniffles", "sobs", "whispering", "whispers"}
)
"""What models write between brackets to be done, and not to be said."""
LONGEST = 24
"""Characters between the brackets of what may still become a mark."""

_OPEN = re.compile(r"\[[A-Za-z ]*\Z")
_BRACKETS = re.compile(r"\[([A-Za-z ]*)\]?")


@dataclass(frozen=True, slots=True)
class Marked:
    """What a mark asks for. ``at``: before which character of the text it stands, counted without marks."""

    at: int
    emotion: str
    intensity: float


class Marks:
    """Takes the marks out of one answer's text as it comes, wherever it is cut into pieces."""

    def __init__(self) -> None:
        self._held = ""  # from a bracket on that may become a mark
        self._given = 0
        self._taken = 0
        self._spaced = True  # the last character given is white space, or there is none
        self._gap = False  # a mark was just taken out after white space: what follows it needs no other
        self._found: deque[Marked] = deque()

    def feed(self, piece: str) -> str:
        """The text that is known to be text, ``piece`` included as far as it is."""
        text = self._held + piece
        self._held = ""
        given: list[str] = []
        at = 0
        while (opens := text.find("[", at)) >= 0:
            given.append(self._give(text[at:opens]))
            found = _BRACKETS.match(text, opens)
            assert found is not None
            if found.end() == len(text) and _OPEN.match(text, opens) and len(found[1]) <= LONGEST:
                self._held = text[opens:]
                return "".join(given)
            at = found.end() if found[0].endswith("]") and self._mark(found[1]) else opens + 1
            if at == opens + 1:
                given.append(self._give("["))
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

    def _mark(self, words: str) -> bool:
        """Whether ``words`` were a mark, or a direction; what the mark says is then kept."""
        said = words.lower().split()
        emotion = said[-1] if said else ""
        intensity = 1.0 if len(said) == 1 else DEGREES.get(said[0], 0.0) if len(said) == 2 else 0.0
        if emotion in EMOTIONS and intensity:
            self._found.append(Marked(self._given, emotion, intensity))
        elif " ".join(said) not in DIRECTIONS:
            return False
        self._gap = self._spaced
        return True

    def _give(self, text: str) -> str:
        if self._gap:
            text = text.lstrip(" ")
            self._gap = not text
        if text:
            self._given += len(text)
            self._spaced = text[-1].isspace()
        return text
