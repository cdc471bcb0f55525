"""From the pieces of an answer's text to its clauses, each with its mood: marks taken out, cutting, reading."""

from __future__ import annotations

from voxrtc.dialogue.clauses import ClauseCutter, Cut, begins_line, ends_sentence
from voxrtc.dialogue.emotion import NEUTRAL, Mood, marked, read
from voxrtc.marks import Marked, Marks

Composed = tuple[str, Mood]


class Composer:
    """Composes one answer. ``feed`` each piece of text as it comes, ``finish`` when there is no more.

    A mark holds for the clause that it stands in (of several, the last one), and on to the end of the sentence. What
    is not marked has the mood of its words. A mark after the last words comes too late, if these are cut already.
    """

    def __init__(self, cutter: ClauseCutter, feels: bool = True) -> None:
        """``feels``: False where all is neutral; marks are taken out all the same."""
        self._cutter = cutter
        self._feels = feels
        self._marks = Marks()
        self._holds: Marked | None = None

    def feed(self, piece: str, language: str) -> list[Composed]:
        """The clauses that ``piece`` completes. ``language`` (ISO 639-1): of the words."""
        return [self._composed(cut, language) for cut in self._cutter.feed(self._marks.feed(piece), language)]

    def finish(self, language: str) -> list[Composed]:
        """What is left. The composer can then be used no more."""
        cuts = self._cutter.feed(self._marks.finish(), language)
        rest = self._cutter.finish()
        composed = [self._composed(cut, language) for cut in cuts]
        return composed + [self._composed(cut, language, last=cut is rest[-1]) for cut in rest]

    def _composed(self, cut: Cut, language: str, last: bool = False) -> Composed:
        found = self._marks.take(len(cut.raw), last)
        if begins_line(cut.raw):
            self._holds = None
        mark = self._holds = found or self._holds
        if ends_sentence(cut.raw):
            self._holds = None
        if not self._feels:
            return cut.text, NEUTRAL
        if mark is None:
            return cut.text, read(cut.raw, language)
        return cut.text, marked(mark.emotion, mark.intensity, cut.raw, language)
