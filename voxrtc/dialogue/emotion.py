"""The emotion of a clause, by its words: happy, sad, angry, excited, or neutral where that is not sure.

No model: word lists by language (lexicon.py, emotions/), what comes before a word, emoji, and exclamation marks.

- A negator turns what it reaches: as many words after it as the language's file says (English 4), or before it (German,
  French, Hindi), and never over punctuation or a word like "but". Happy becomes sad, weaker; of the others nothing is
  left, and it speaks against the same elsewhere ("neither happy nor sad"). It is spent on the first word that it turns,
  unless "and" or "or" goes on from there ("not sad or angry"), or a list does ("not sad, angry, or lonely"). "Nobody"
  and the like reach twice as far. Two within reach of each other cancel ("never not happy"), but in languages whose
  negators agree (Spanish, French). "Not only", "no doubt" and the like are no negators.
- A negator with a comparison turns nothing, it says that there is no more: "never been happier", "couldn't be more
  pleased", "never felt so sad".
- A word of degree counts for a feeling at most two words later, and several multiply: "really very happy".
- A word that may mean something else ("cool", "great") says nothing alone: it takes a second one, a word of degree, or
  an exclamation mark. Words of names and titles say nothing ("Great Britain").
- What is asked is not felt: words of a sentence that ends in a question mark count for a third.
- An exclamation mark makes what the words say stronger. Alone it says nothing; two of them are excited, weakly.
"""

from __future__ import annotations

from dataclasses import dataclass

from voxrtc.dialogue.lexicon import (
    EMOJI,
    STOP,
    TOKEN,
    WEAK,
    Entry,
    Lexicon,
    emoji,
    fold,
    lexicon,
    plain_sign,
    titled,
    word_of,
)
from voxrtc.settings import EMOTIONS

LEAST, MOST = 0.5, 2.0
"""Of intensity."""
SURE = 0.4
"""Confidence from which a clause is not neutral. One plain word alone has 0.75, two that disagree have 0.38 each."""

DEGREE_REACH = 2
MILD = 0.8
"""Intensity of a word that may mean something else as well."""
TURNED_WEIGHT, TURNED_INTENSITY = 0.8, 0.7
PEAK = 1.4
"""Intensity of what there is no more of."""
ASKED = 0.35
SHOUT = 0.25
"""Evidence of each exclamation mark, of two at most."""
LOUDER = (1.0, 1.15, 1.3)
"""Intensity times this, by exclamation marks."""
QUIETER = 0.75
"""Intensity of exclamation marks alone."""
POSITIVE = frozenset({"happy", "excited"})
SENTENCE_ENDS = ".!?\n।॥。"
KIN = {"happy": "excited", "excited": "happy", "sad": "angry", "angry": "sad"}
"""Emotions that speak against each other only by half."""


@dataclass(frozen=True, slots=True)
class Mood:
    """How a clause is meant. ``intensity`` 0.5..2, 1 as the word stands alone; ``confidence`` 0..1, that it is so."""

    emotion: str = "neutral"
    intensity: float = 1.0
    confidence: float = 1.0


NEUTRAL = Mood()


@dataclass(slots=True)
class _Hit:
    """A word of feeling. ``at``: its last word's number."""

    emotion: str
    weight: float
    factor: float
    at: int = 0
    turned: bool = False
    compared: bool = False
    name: bool = False
    """It may be part of a name."""


def read(clause: str, language: str) -> Mood:
    """The mood of ``clause``, as it was written (emoji and markdown included), in ``language`` (ISO 639-1)."""
    words = lexicon(language)
    reader = _Reader(words)
    shouts = reader.read(fold(clause))
    hits = reader.hits
    if words.names and any(hit.name for hit in hits) and not clause[1:].islower():
        names = titled(clause)
        hits = [hit for hit in hits if not (hit.name and hit.at in names)]
    return _judged(hits, shouts)


def marked(emotion: str, intensity: float, clause: str, language: str) -> Mood:
    """The mood of ``clause`` that was marked as ``emotion``: its words only say how strong it is."""
    if emotion == "neutral":
        return NEUTRAL
    said = read(clause, language)
    strength = said.intensity if said.emotion == emotion else 1.0
    return Mood(emotion, _bounded(strength * intensity))


class _Reader:
    """Goes over the words of one clause, stretch by stretch (between punctuation), and finds the feelings."""

    def __init__(self, words: Lexicon) -> None:
        self._lexicon = words
        self.hits: list[_Hit] = []
        self._sentence = 0  # the first hit of the sentence
        self._at = 0
        self._carries = ""
        self._clear()

    def read(self, text: str) -> int:
        """Returns the number of exclamation marks."""
        shouts = 0
        stretch: list[str] = []
        elisions = self._lexicon.elisions
        signs = emoji()
        for match in TOKEN.finditer(text):
            token = match[0]
            if match.lastindex == EMOJI:
                sign = plain_sign(token)
                if emotion := signs.get(sign) or signs.get(sign[0]):
                    self.hits.append(_Hit(emotion, 1.0, 1.0, -1))
            elif match.lastindex == STOP:
                self._stretch(stretch)
                stretch = []
                shouts += token.count("!")
                self._stop(token)
            else:
                stretch.append(word_of(token, elisions))
        self._stretch(stretch)
        return shouts

    def _clear(self) -> None:
        self._negates = False
        self._until = 0  # the last word that the negator reaches
        self._spent = False
        self._listed = ""  # the emotion that the negator turned before a comma
        self._degree = 1.0
        self._degree_until = 0
        self._peaks = False  # the negator with a comparison says that there is no more
        self._compared_until = 0
        self._last: _Hit | None = None

    def _stop(self, marks: str) -> None:
        # What a negator turned just before a comma may be the first of a list.
        self._carries = self.hits[-1].emotion if marks == "," and self._spent else ""
        self._clear()
        if "?" in marks and "!" not in marks:
            for hit in self.hits[self._sentence :]:
                hit.weight *= ASKED
        if any(mark in SENTENCE_ENDS for mark in marks):
            self._sentence = len(self.hits)

    def _stretch(self, words: list[str]) -> None:
        at = 0
        while at < len(words):
            entry, count = self._lexicon.find(words, at)
            at += count
            self._at += count
            if self._spent or self._carries:
                self._go_on(entry)
            if entry is not None:
                self._word(entry)
                if entry.kind == "feeling":
                    self.hits[-1].name = count == 1 and words[at - 1] not in self._lexicon.openers

    def _go_on(self, entry: Entry | None) -> None:
        """Whether a negator that has turned a word reaches on from ``entry``."""
        joins = entry is not None and entry.joins
        if self._carries:
            self._negates = joins or (entry is not None and entry.kind in ("feeling", "degree"))
            self._listed = self._carries
            self._until = self._at + self._lexicon.after
        else:
            self._negates = joins
            self._until = max(self._until, self._at + DEGREE_REACH)
        self._spent, self._carries = False, ""

    def _word(self, entry: Entry) -> None:
        if entry.joins:
            self._last = None
        if entry.compares:
            self._compared_until = self._at + 1 + DEGREE_REACH
        if entry.kind == "feeling":
            self._feel(entry)
        elif entry.kind == "negator":
            self._negate(entry)
        elif entry.kind == "degree":
            self._degree = entry.weight * (self._degree if self._at <= self._degree_until else 1.0)
            self._degree_until = self._at + 1 + DEGREE_REACH
        elif entry.kind == "breaker":
            self._clear()

    def _feel(self, entry: Entry) -> None:
        factor = (self._degree if self._at <= self._degree_until else 1.0) * (1.0 if entry.weight == 1.0 else MILD)
        turned = self._negates and self._at <= self._until
        if turned and self._listed and (self._listed in POSITIVE) != (entry.emotion in POSITIVE):
            turned = self._negates = False  # "not happy, sad": no list but its contrary
        compared = self._at <= self._compared_until
        if turned and compared and self._peaks:
            turned, factor = False, factor * PEAK
        self._last = _Hit(entry.emotion, entry.weight, factor, self._at, turned, compared)
        self.hits.append(self._last)
        self._spent = turned
        self._degree = 1.0

    def _negate(self, entry: Entry) -> None:
        last, self._last = self._last, None
        if last is not None and self._at - last.at <= self._lexicon.before:
            if entry.peaks and last.compared:
                last.factor *= PEAK
            else:
                last.turned = self._lexicon.concord or not last.turned
            self._negates = False
            return
        self._peaks = entry.peaks
        cancels = self._negates and self._at <= self._until and not (entry.joins or self._lexicon.concord)
        self._negates = not cancels
        self._until = self._at + self._lexicon.after * (2 if entry.far else 1)
        self._listed = ""


def _judged(hits: list[_Hit], shouts: int) -> Mood:
    """What the hits and the exclamation marks come to."""
    shouts = min(shouts, 2)
    if not hits and shouts < 2:
        return NEUTRAL
    scores = dict.fromkeys(EMOTIONS, 0.0)
    said = dict.fromkeys(EMOTIONS, 0.0)
    factors = dict.fromkeys(EMOTIONS, 0.0)
    for hit in hits:
        emotion, weight, factor = _counted(hit)
        scores[emotion] += weight
        if weight > 0:
            said[emotion] += weight
            factors[emotion] += weight * factor
    for emotion in KIN:
        scores[emotion] = max(0.0, scores[emotion])
    best = max(KIN, key=scores.__getitem__)
    if scores[best]:
        intensity = factors[best] / said[best] * LOUDER[shouts]
    elif shouts == 2:
        best, intensity = "excited", QUIETER
    else:
        return NEUTRAL
    evidence = scores[best] + SHOUT * shouts
    against = sum(scores.values()) - scores[best] - scores[KIN[best]] / 2
    confidence = evidence / (evidence + against) * (1.0 - 0.25**evidence)
    if confidence < SURE or (scores[best] <= WEAK and not shouts and not any(hit.factor > MILD for hit in hits)):
        return Mood("neutral", 1.0, round(1.0 - confidence, 3))
    return Mood(best, _bounded(intensity), round(confidence, 3))


def _counted(hit: _Hit) -> tuple[str, float, float]:
    """Emotion, weight (below zero for what speaks against it) and intensity of a hit, turned if it was."""
    if not hit.turned:
        return hit.emotion, hit.weight, hit.factor
    if hit.emotion == "happy":
        return "sad", hit.weight * TURNED_WEIGHT, TURNED_INTENSITY
    return hit.emotion, -hit.weight * TURNED_WEIGHT, hit.factor


def _bounded(intensity: float) -> float:
    return round(min(MOST, max(LEAST, intensity)), 2)
