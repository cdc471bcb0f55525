"""The words of emotions, by language: data files in ``emotions/``, and how text is cut into the words they hold."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from voxrtc.settings import EMOTIONS

LANGUAGES = ("en", "es", "fr", "de", "hi")
"""Of which there are words. Of all others there are emoji and punctuation only."""
WEAK = 0.5
"""Evidence of a word that may mean something else as well; of the others 1."""

_LETTERS = "\u0300-\u036f\u0900-\u0963\u0966-\u097f\u200c\u200d"
"""Belong to words, though they are no letters to re: combining marks, the vowel signs of Devanagari, its joiners."""
_SIGN = "[\U0001f000-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf\u2b00-\u2bff]"
_VARIED = "[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]"
TOKEN = re.compile(
    rf"([^\W_][\w{_LETTERS}']*)"
    rf"|({_SIGN}{_VARIED}*(?:\u200d{_SIGN}{_VARIED}*)*)"
    r"|([.,;:!?()\[\]\"“”«»—–\n¡¿।॥、。]+)"
)
"""Of folded text: group 1 a word, group 2 an emoji with what is joined to it, group 3 punctuation that parts words."""
WORD, EMOJI, STOP = 1, 2, 3

_VARIATIONS = re.compile(_VARIED)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a word, or several, do. ``kind``: feeling (an emotion, with its weight), degree, negator, breaker, or plain.
    ``joins``: it is a joiner, too; ``compares``: a comparer, too; ``peaks``: a negator that, with one of these, says
    that there is no more of it ("never been happier"); ``far``: a negator that reaches twice as far ("nobody")."""

    kind: str
    emotion: str = ""
    weight: float = 0.0
    joins: bool = False
    compares: bool = False
    peaks: bool = False
    far: bool = False


NOT = Entry("negator")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of one language. ``starts``: by its first word, the rest of each entry, the longest first."""

    starts: dict[str, list[tuple[tuple[str, ...], Entry]]]
    elisions: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()
    """Of words that are negators ("n't")."""
    after: int = 0
    before: int = 0
    """Words that a negator reaches, after it and before it."""
    concord: bool = False
    """Negators that agree, and do not cancel: "no estoy nunca triste"."""
    names: bool = False
    """Capital letters are for names and titles; ``openers``: what is none, even right before a name."""
    openers: frozenset[str] = frozenset()

    def find(self, words: list[str], at: int) -> tuple[Entry | None, int]:
        """The longest entry that begins at ``words[at]``, and how many words it has."""
        following = words[at + 1] if at + 1 < len(words) else ""
        for rest, entry in self.starts.get(words[at], ()):
            if not rest or (rest[0] == following and tuple(words[at + 1 : at + 1 + len(rest)]) == rest):
                return entry, 1 + len(rest)
        return (NOT if self.endings and words[at].endswith(self.endings) else None), 1


def fold(text: str) -> str:
    """``text`` as it is compared: compatibility forms and cases made equal (NFKC, casefold), one kind of apostrophe,
    and no underscores, which are markdown's."""
    if text.isascii():
        return text.lower().replace("_", " ")
    plain = unicodedata.normalize("NFKC", text)
    folded = plain.casefold()
    if folded != plain:
        folded = unicodedata.normalize("NFKC", folded)
    return folded.replace("’", "'").replace("ʼ", "'").replace("_", " ")


def titled(text: str) -> frozenset[int]:
    """The words of ``text`` as it was written, counted from 1, that stand in a name or a title: capitalized where no
    sentence begins, or where one does, before another such word ("Great Britain")."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    found: set[int] = set()
    at = first = 0
    inside = False
    for match in TOKEN.finditer(plain.replace("_", " ")):
        if match.lastindex == STOP:
            inside, first = False, 0
        elif match.lastindex == WORD:
            at += 1
            capital = match[0][0].isupper() and match[0][1:2].islower()
            if capital and (inside or first):
                found |= {at, first}
            first = at if capital and not inside else 0
            inside = True
    return frozenset(found)


def word_of(token: str, elisions: frozenset[str]) -> str:
    """The word of a token: without invisible joiners, and without what was elided before it (French j', qu')."""
    if not token.isascii():
        token = token.replace("\u200c", "").replace("\u200d", "")
    if "'" in token:
        before, _, after = token.partition("'")
        return (after if before in elisions else token).rstrip("'")
    return token


def plain_sign(token: str) -> str:
    """An emoji without skin tones and variation selectors."""
    return token if len(token) == 1 else _VARIATIONS.sub("", token)


@cache
def lexicon(language: str) -> Lexicon:
    """The words of ``language``; none where there is no file for it."""
    if language not in LANGUAGES:
        return Lexicon({})
    table = read_table(language)
    elisions = frozenset(table["elisions"])
    found: dict[tuple[str, ...], Entry] = {}
    for text, entry in _entries(table):
        found[tuple(word_of(match[0], elisions) for match in TOKEN.finditer(fold(text)))] = entry
    starts: dict[str, list[tuple[tuple[str, ...], Entry]]] = {}
    for words in sorted(found, key=len, reverse=True):
        starts.setdefault(words[0], []).append((words[1:], found[words]))
    reach = table["reach"]
    return Lexicon(
        starts,
        elisions,
        tuple(table["endings"]),
        reach["after"],
        reach["before"],
        table.get("concord", False),
        table.get("names", False),
        frozenset(table.get("openers", ())),
    )


@cache
def emoji() -> dict[str, str]:
    """Emoji to emotion."""
    return {plain_sign(sign): emotion for emotion, signs in read_table("emoji").items() for sign in signs}


def read_table(name: str) -> dict[str, Any]:
    """A data file as it stands."""
    return tomllib.loads((files("voxrtc.dialogue") / "emotions" / f"{name}.toml").read_text(encoding="utf-8"))


def _entries(table: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    joiners, comparers = set(table["joiners"]), set(table["comparers"])
    far = tuple(f"{text} " for text in table.get("far", ()))
    for text in joiners:
        yield text, Entry("joiner", joins=True)
    for text in comparers:
        yield text, Entry("plain", compares=True)
    for kind, peaks in (("negator", False), ("breaker", False), ("peak", True)):
        for text in table[f"{kind}s"]:
            reaches = f"{text} ".startswith(far)
            yield text, Entry("negator" if peaks else kind, joins=text in joiners, peaks=peaks, far=reaches)
    for text in table["plain"]:
        yield text, Entry("plain")
    for text, factor in table["degrees"].items():
        yield text, Entry("degree", weight=factor, compares=text in comparers)
    for emotion in EMOTIONS:
        for key, weight in ((emotion, 1.0), (f"{emotion}_weak", WEAK)):
            for text in table.get(key, ()):
                yield text, Entry("feeling", emotion, weight, compares=text in comparers)
