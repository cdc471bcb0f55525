"""Where a speaker may draw breath inside a sentence, by language: the words of ``breaths.toml``."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_NEXT_WORD = re.compile(r"\s(\w+)")


@dataclass(frozen=True, slots=True)
class Breaths:
    """One language's words, in lower case: before which a speaker may draw breath, and before which only after a long
    subject."""

    words: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()


NONE = Breaths()


def breaths(language: str) -> Breaths:
    """Those of ``language`` (ISO 639-1); none where there is no list."""
    return _table().get(language, NONE)


def next_word(text: str, at: int) -> str | None:
    """The word after the space at ``text[at]``, in lower case, as much of it as is there: a breath before "tomorrow" is
    as good as one before "to". None where there is none, or only one letter so far ("e" may become "este")."""
    word = _NEXT_WORD.match(text, at)
    if word is None or (len(word[1]) == 1 and word.end() == len(text)):
        return None
    return word[1].lower()


def parts_number(text: str, at: int) -> bool:
    """Whether a cut at ``text[at]`` would part a number from what stands beside it: "10:30 | Uhr", "14 h | 30"."""
    return text[at - 1 : at].isdigit() or text[at:].lstrip()[:1].isdigit()


@cache
def _table() -> dict[str, Breaths]:
    table = tomllib.loads((files("voxrtc.dialogue") / "breaths.toml").read_text(encoding="utf-8"))
    return {code: Breaths(frozenset(row["breaths"]), frozenset(row["verbs"])) for code, row in table.items()}
