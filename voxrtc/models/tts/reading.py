"""A text as a voice is to read it, which still knows what was written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Reading:
    """``text`` to be read, and the ``pieces`` of it that were written otherwise: (start, end) in ``text`` and (start,
    end) in what was written, in order; where nothing is read for it, start and end in ``text`` are one. What was
    written may be the text of a reading ``before``."""

    text: str
    pieces: tuple[tuple[int, int, int, int], ...] = ()
    before: Reading | None = None

    def written(self, start: int, end: int) -> tuple[int, int]:
        """The characters of what was written that ``text[start:end]`` stands for; a number as a whole."""
        first, last = self._back(start, 0), self._back(end, 1)
        return (first, last) if self.before is None else self.before.written(first, last)

    def then(self, change: Callable[[str], Reading]) -> Reading:
        """This reading, read once more."""
        after = change(self.text)
        if not after.pieces:
            return self
        return replace(after, before=self) if self.pieces else after

    def _back(self, at: int, edge: int) -> int:
        moved = 0
        for low, high, first, last in self.pieces:
            if at < low or (at == low and not (edge and low == high)):
                break
            if at < high:
                return (first, last)[edge]
            moved = last - high
        return at + moved


def replaced(text: str, pattern: re.Pattern[str], say: Callable[[re.Match[str]], str | None], spaced: bool) -> Reading:
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
