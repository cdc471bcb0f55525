"""Word error rate: what both sides are made alike in, and the count (jiwer)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import jiwer

TITLES = {"mr": "mister", "mrs": "missus", "dr": "doctor"}
CONTRACTIONS = {
    "can't": "cannot",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "it's": "it is",
    "that's": "that is",
    "there's": "there is",
    "what's": "what is",
    "he's": "he is",
    "she's": "she is",
    "i'm": "i am",
}
ENDINGS = {"n't": " not", "'re": " are", "'ve": " have", "'ll": " will"}


@dataclass(frozen=True, slots=True)
class Errors:
    """``edits``: words substituted, left out and put in; ``words``: words that were said."""

    edits: int
    words: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.edits + other.edits, self.words + other.words)

    @property
    def rate(self) -> float | None:
        """Edits per word; None where nothing was said."""
        return self.edits / self.words if self.words else None


def count_errors(reference: str, hypothesis: str) -> Errors:
    """Word errors of ``hypothesis`` against ``reference``, both normalised."""
    said, heard = normalise(reference), normalise(hypothesis)
    if not said:
        return Errors(len(heard.split()), 0)
    found = jiwer.process_words(said, heard)
    return Errors(found.substitutions + found.deletions + found.insertions, len(said.split()))


def normalise(text: str) -> str:
    """Lower case, no punctuation, hyphens as spaces, titles and contractions written out; numbers as they stand."""
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = re.sub(r"[-‐-―/]", " ", text)
    words = (_word(word) for word in text.split())
    return " ".join(" ".join(words).split())


def _word(word: str) -> str:
    bare = re.sub(r"(?<!\d)[.,]|[.,](?!\d)|[^\w'.,]", "", word).strip("'_")
    bare = CONTRACTIONS.get(bare, bare)
    for ending, full in ENDINGS.items():
        if bare.endswith(ending):
            bare = bare.removesuffix(ending) + full
    return TITLES.get(bare, bare.replace("'", ""))
