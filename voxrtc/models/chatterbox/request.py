"""What is asked of the loop, what it gives, and what it keeps of a clause while that is being spoken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox.parts import TOKENS_PER_S, Stream, Utterance
from voxrtc.models.urgency import Urgency


@dataclass(frozen=True, eq=False, slots=True)
class Sounded:
    """24 kHz samples (n,), and the characters ``start``..``end`` of the clause that they say, about."""

    samples: Samples
    start: int
    end: int


@dataclass(eq=False, slots=True)
class Request:
    """One clause to be said. For one submit()."""

    utterance: Utterance
    characters: int
    """Of the clause, as the caller's side counts them."""
    expected: int
    """Speech tokens that a clause of this length takes, about: tells how far it is said."""
    urgency: Urgency = field(default_factory=Urgency)
    """Its level may change at any time (Urgency.release)."""
    ahead: float = 0.0
    """Seconds that its listener still has to hear of what comes before, when this is asked for."""
    cancelled: bool = field(default=False, init=False)


@dataclass(frozen=True, slots=True)
class Statistics:
    """``starved``: chunks that came after their listener had heard all before; ``longest_gap_ms``: the longest such
    silence. ``calls``: of the sound model, for ``chunks``. ``runaways``: clauses whose speech came to no end, and was
    cut off."""

    waiting: int
    speaking: int
    steps: int
    tokens: int
    calls: int
    chunks: int
    gave_way: int
    failures: int
    starved: int
    runaways: int
    longest_gap_ms: float


Given = Callable[[Sounded], None]
Ended = Callable[[ModelsError | None], None]


@dataclass(eq=False, slots=True)
class Run:
    """A request under way, in the loop's thread."""

    request: Request
    on_sound: Given
    on_end: Ended
    arrived: float
    """Seconds of the loop's clock."""
    number: int = 0
    """In order of arrival."""
    row: int | None = None
    """Of the token model, while it is asked for tokens."""
    stream: Stream | None = None
    """Once it was admitted."""
    tokens: int = 0
    """Asked for so far, those that are no sound among them."""
    pending: list[int] = field(default_factory=list)
    """Tokens that are not made into sound yet."""
    sounded: int = 0
    """Tokens that are."""
    complete: bool = False
    """There are no more tokens."""
    runaway: bool = False
    """Its tokens came to no end, and were cut off at the most that it may have."""
    chunks: int = 0
    heard: float = 0.0
    """When its first samples were given."""
    samples: int = 0
    """Given so far."""
    said: int = 0
    """Characters that were told."""

    @property
    def level(self) -> int:
        return self.request.urgency.level

    def rank(self) -> tuple[int, float, int]:
        """Who is admitted first: the most urgent, of these who will first hear nothing, of these the oldest."""
        return self.level, self.due, self.number

    @property
    def due(self) -> float:
        """When its first samples are wanted: since it arrived, or when what comes before will have been heard."""
        return self.arrived + self.request.ahead

    @property
    def starves(self) -> float:
        """When its listener will have heard all there is, if it listens since the first samples."""
        return self.heard + self.samples / SPOKEN_RATE if self.samples else self.due

    def span(self, last: bool) -> tuple[int, int]:
        """The characters that the tokens made into sound since the last call say: in proportion, as far as is known
        before the end how many tokens there will be."""
        start, characters = self.said, self.request.characters
        if last:
            self.said = characters
        else:
            share = self.sounded / max(self.request.expected, self.sounded + TOKENS_PER_S // 5)
            self.said = max(start, min(characters, round(characters * share)))
        return start, self.said
