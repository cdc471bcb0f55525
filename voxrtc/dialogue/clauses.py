"""Text pieces in, clauses out: the cutting of a reply while it is still being written.

The first clause is cut early, so that a voice can begin: at the first comma or full stop, and in a sentence that has
none also before a word that begins a new phrase, where a speaker might draw breath. Later ones end with a sentence,
or at a comma once they are long. What no voice should read (markdown's marks, emoji) is left out. The clauses joined
as they stand are the reply: a clause begins with the space that parts it from the one before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from voxrtc import languages
from voxrtc.dialogue.breaths import NONE, breaths, next_word, parts_number
from voxrtc.speakable import speakable

ENDS = ".!?…"
ENDS_WIDE = languages.ENDS
"""Ends of sentences that need no space after them: CJK full stops, the danda of the Indic scripts ..."""
STOPS = ",;:—–"
STOPS_WIDE = languages.STOPS
CLOSERS = "\"'”’)]}»」』）】》〉"
"""Belong to the sentence that ends before them."""

ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "vs", "etc", "fig", "approx", "dept"}
    | {"e.g", "i.e", "a.m", "p.m", "u.s", "u.k", "sra", "bzw", "usw", "z.b", "d.h"}
    | {"ca", "nr", "ggf", "evtl", "inkl", "dra", "srta", "uds", "pág", "aprox", "mme", "mlle", "sig", "dott", "ecc"}
    | {"डॉ", "रु", "ডঃ", "ডা"}
)
"""Without the full stop that ends them."""
ORDINAL_AFTER = frozenset({"am", "vom", "zum", "bis", "ab", "der", "dem", "den", "das", "die", "im", "beim"})
"""German words after which a number with a full stop is an ordinal: "am 3. Mai"."""
LONG_COMMA_CHARS = 80
"""A later clause may also end at a comma, once it is this long."""

LONG_SUBJECT = 1.3
"""A subject is long that is this many times longer than a clause is at least that ends in a breath."""
BREATHLESS = 2.5
"""A first clause this many times longer than where it may end in a breath ends at the next space, whatever follows."""


def read_aloud(clause: str) -> str:
    """``clause`` as a voice should read it: one that was cut inside a sentence ends in a comma, so as not to fall."""
    text = clause.strip()
    last = text[-1:]
    if not (last.isalnum() or unicodedata.category(last or ".") in ("Mn", "Mc")):
        return text
    return text + ("，" if languages.unspaced(last) else ",")


def ends_sentence(raw: str) -> bool:
    """Whether a sentence ends with ``raw``, a clause as it was written."""
    return raw.rstrip().rstrip(CLOSERS)[-1:] in (*ENDS, *ENDS_WIDE)


def begins_line(raw: str) -> bool:
    """Whether a line begins with ``raw``, a clause as it was written."""
    return "\n" in raw[: len(raw) - len(raw.lstrip())]


@dataclass(frozen=True, slots=True)
class Cut:
    """A clause: ``text`` as it is shown and spoken; ``raw`` as it was written, with what no voice should read and what
    came since the clause before without anything to read."""

    text: str
    raw: str


class ClauseCutter:
    """Cuts one reply. ``feed`` each piece of text as it comes, ``finish`` when there is no more."""

    def __init__(self, first_chars: int, max_chars: int, breath_chars: int = 0) -> None:
        """``first_chars``: characters at least in the first clause; ``max_chars``: at most in any.

        ``breath_chars``: characters after which the first may also end in a breath; 0 for never. All of these are
        meant for letters; the characters of other scripts count as they take time to say (languages.weight).
        """
        self._first_end = first_chars + 1  # counting the newline that is put before it
        self._max_chars = max_chars
        self._breath_end = breath_chars + 1 if breath_chars else max_chars
        self._text = "\n"  # a reply begins with the beginning of a line
        self._cut_any = False
        self._breaths = NONE
        self._passed = ""  # raw text since the last clause in which there was nothing to read

    def feed(self, piece: str, language: str = "en") -> list[Cut]:
        """The clauses that ``piece`` completes. ``language`` (ISO 639-1): of the words."""
        self._breaths = breaths(language)
        self._text += piece
        return list(self._clauses(last=False))

    def finish(self) -> list[Cut]:
        """What is left, as clauses. The cutter can then be used no more."""
        return list(self._clauses(last=True))

    def _clauses(self, last: bool) -> Iterator[Cut]:
        while (at := self._next_cut(last)) is not None:
            raw, self._text = self._text[:at], self._text[at:]
            clause = speakable(raw)
            self._passed += raw
            if not self._cut_any:
                clause = clause.lstrip()
            clause = clause.rstrip() if last and not self._text.strip() else clause
            if clause:
                raw = self._passed if self._cut_any else self._passed[1:]  # without the newline put before it
                self._cut_any, self._passed = True, ""
                yield Cut(clause, raw)

    def _next_cut(self, last: bool) -> int | None:
        """Where the next clause ends, or None where that cannot be told yet."""
        for end in self._boundaries(last):
            if self._length(end) > self._max_chars:
                break
            if any(c.isalnum() for c in self._text[:end]):
                return end
        if self._length(len(self._text)) > self._max_chars:
            return self._forced()
        return len(self._text) if last and self._text else None

    def _boundaries(self, last: bool) -> Iterator[int]:
        """Positions, in order, where the text may be cut; only those that what follows cannot undo."""
        text = self._text
        for at, mark in enumerate(text):
            if mark in ENDS_WIDE or mark in ENDS:
                end = self._sentence_end(at, last)
                if end is not None:
                    yield end
            elif mark in STOPS_WIDE or mark in STOPS:
                wanted = LONG_COMMA_CHARS if self._cut_any else self._first_end
                if self._length(at + 1) >= wanted and self._parts(at, last):
                    yield at + 1
            elif (mark == "\n" and text[:at].strip()) or (mark == " " and self._breathes(at)):
                yield at

    def _sentence_end(self, at: int, last: bool) -> int | None:
        """The end of the sentence whose last mark stands at ``at``, closing quotes included; None if it is none."""
        text = self._text
        end = at + 1
        if end < len(text) and text[end] in ENDS + ENDS_WIDE:
            return None  # "?!", "...": the last of them counts
        while end < len(text) and text[end] in CLOSERS:
            end += 1
        long = self._cut_any or self._length(end) >= self._first_end
        if text[at] in ENDS_WIDE or (end < len(text) and text[at] in "!?…" and languages.unspaced(text[end])):
            return end if (end < len(text) and long) or last else None
        if not (text[end].isspace() if end < len(text) else last):
            return None
        if last and not text[end:].strip():
            return end
        if text[at] == "." and self._abbreviates(at):
            return None
        return end if long else None

    def _length(self, end: int) -> int:
        """How long ``text[:end]`` is, in letters."""
        return languages.weight(self._text[:end])

    def _abbreviates(self, at: int) -> bool:
        """Whether the full stop at ``at`` ends an abbreviation, an initial or the number of a list."""
        words = re.split(r"[\s(\"'“]", self._text[:at].lower())
        word = words[-1]
        if word.isdigit() and len(word) <= 2 and words[-2] in ORDINAL_AFTER and words[-3:-2] != ["i"]:
            return True
        return word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i") or self._list_number(word)

    def _list_number(self, word: str) -> bool:
        return word.isdigit() and self._text.lstrip().lower().startswith(word + ".")

    def _parts(self, at: int, last: bool) -> bool:
        """Whether the comma, colon or dash at ``at`` parts two clauses (and not "3,500", "12:30" or "well—known")."""
        if self._text[at] in STOPS_WIDE:
            return True
        if self._text[at] == "," and self._text[at - 1 : at].isalpha():
            return True  # whatever follows, so there is no need to wait for it
        if at + 1 >= len(self._text):
            return last
        if self._text[at] in "—–:" and self._text[:at].rstrip()[-1:].isdigit():
            following = self._text[at + 1 :].lstrip()[:1]
            if not following or following.isdigit():
                return last and not following  # inside "5 – 7"
        if self._text[at] == "—":
            return not self._text[at + 1].isdigit()
        return self._text[at + 1].isspace()

    def _breathes(self, at: int) -> bool:
        """Whether the first clause may end before the space at ``at``."""
        if self._cut_any or (length := self._length(at)) < self._breath_end:
            return False
        after = next_word(self._text, at)
        if after is None or parts_number(self._text, at):
            return False
        if length >= self._breath_end * BREATHLESS or after in self._breaths.words:
            return True
        return after in self._breaths.verbs and length >= self._breath_end * LONG_SUBJECT

    def _forced(self) -> int:
        """Cut a clause that got too long: at its last space, or in mid-word where it has none."""
        most = longest = 0
        for sign in self._text:
            longest += languages.letters(sign)
            if longest > self._max_chars:
                break
            most += 1
        last = at = self._text.rfind(" ", 1, most + 1)
        while at > 0 and parts_number(self._text, at):
            at = self._text.rfind(" ", 1, at)
        if last > 0:
            return at if at > 0 else last
        while most > 1 and unicodedata.category(self._text[most]) in ("Mn", "Mc"):
            most -= 1  # a vowel stays with its consonant
        return most
