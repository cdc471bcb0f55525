"""What was said in a recording, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNSPACED = frozenset({"ja", "zh", "yue", "th", "lo", "km", "my"})
"""ISO 639 codes of the languages that are written without spaces between sentences."""


@dataclass(frozen=True, slots=True)
class Segment:
    """``text`` was said between ``start_s`` and ``end_s`` of the recording, with pauses of less than 2 s.

    ``confidence``: mean probability of its tokens, 0..1.
    """

    start_s: float
    end_s: float
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """``text`` is that of the segments, in order. Empty, without segments, where nothing is said.

    ``language``: ISO 639-1, empty where nobody told. ``confidence``: mean token probability of the whole, 0..1, 0
    where nothing is said. How many tokens a segment has does not cross the wire, so its letters weigh it instead.
    """

    text: str
    language: str
    confidence: float
    segments: tuple[Segment, ...]
    duration_s: float
    """Of the recording."""


def gather(segments: Sequence[Segment], language: str, duration_s: float) -> Transcript:
    """The transcript of ``segments``, which are in order."""
    space = "" if language in UNSPACED else " "
    letters = sum(len(segment.text) for segment in segments)
    sure = sum(segment.confidence * len(segment.text) for segment in segments)
    text = space.join(segment.text for segment in segments)
    return Transcript(text, language, sure / letters if letters else 0.0, tuple(segments), duration_s)
