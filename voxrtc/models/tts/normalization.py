"""What a voice is given to read: digits, signs and abbreviations as the words that people say for them.

Text normalization by rule, one pass of one regular expression over the clause, with the words of each language in
``readings/CODE.toml``. The text that is shown and remembered stays as it was written: ``Reading`` knows which
characters of it each stretch of the words stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from voxrtc.languages import ALL
from voxrtc.models.tts import numerals
from voxrtc.models.tts.readings import readings
from voxrtc.models.tts.rules import rules

_WHOLE = re.compile(r"(?<![\w.,:/-])\d{1,15}(?![\w:/-]|[.,]\d)")
"""A whole number, and nothing that could be a part of anything else."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``text`` to be read, and the ``pieces`` of it that were written otherwise: (start, end) in ``text`` and (start,
    end) in what was written, in order."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...] = ()

    def written(self, start: int, end: int) -> tuple[int, int]:
        """The characters of what was written that ``text[start:end]`` stands for; a number as a whole."""
        return self._back(start, 0), self._back(end, 1)

    def _back(self, at: int, edge: int) -> int:
        moved = 0
        for low, high, first, last in self.pieces:
            if at <= low:
                break
            if at < high:
                return (first, last)[edge]
            moved = last - high
        return at + moved


def normalize(text: str, language: str) -> Reading:
    """``text`` as it is to be read in ``language``; as it is, where that is unknown or there is nothing to change."""
    if language not in ALL:
        return Reading(text)
    table = readings(language)
    if table is None:  # nothing is known but how to count
        return _replaced(text, _WHOLE, lambda match: numerals.cardinal(int(match[0]), language) or None, True)
    reader = rules(language)
    return _replaced(text, reader.pattern, reader.say, table.spaced)


def _replaced(text: str, pattern: re.Pattern[str], say: Callable[[re.Match[str]], str | None], spaced: bool) -> Reading:
    """``text`` with what ``say`` gives for each match; where words are ``spaced``, with spaces to part it."""
    pieces: list[tuple[int, int, int, int]] = []
    parts: list[str] = []
    at = length = 0
    for match in pattern.finditer(text):
        said = say(match)
        if said is None:
            continue
        start, end = match.span()
        before = text[at:start]
        apart = spaced and start > 0 and text[start - 1].isalnum() and said[:1].isalnum()
        after = spaced and said[-1:].isalnum() and text[end : end + 1].isalnum()
        said = f"{' ' if apart else ''}{said}{' ' if after else ''}"
        parts += [before, said]
        length += len(before)
        pieces.append((length, length + len(said), start, end))
        length += len(said)
        at = end
    if not pieces:
        return Reading(text)
    return Reading("".join(parts) + text[at:], tuple(pieces))
