"""In which language a call is held: one that was chosen, or the caller's own, which one odd word does not change.

What a recogniser takes a turn's language for is a guess: short turns, names and loan words are often taken for another
language. So a call that follows its caller keeps to its language until two turns in a row were in the same other one,
or one was, that was long and clearly heard. A first turn that was hardly heard settles nothing either: the call stays
open, in FALLBACK meanwhile, and the next clear turn decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voxrtc.audio import HEARD_RATE
from voxrtc.languages import ALL, weight
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard

IN_A_ROW = 2
"""Turns in one other language after which the call goes over to it ..."""
LONG_MS = 2_500.0
LONG_WEIGHT = 20
SURE = 0.7
"""... or one of this many ms of voice, with words of this weight (languages.weight) and this confidence, at least."""
DOUBTFUL = 0.4
"""A turn that was heard with less confidence than this says nothing of its language."""
SHORT = HEARD_RATE
"""Samples. What is shorter is heard in the call's language: detection guesses at single words, and takes time."""

FALLBACK = "en"
"""Spoken where nothing is known of the caller, and where no voice speaks the language."""


@dataclass(slots=True)
class Tongue:
    """In which language, and with which voice, the call is held; may change between replies.

    ``language``: a code, or "auto". ``models``: whose voices count, None for any."""

    language: str
    voice: str
    models: Models | None = None
    settled: str = ""
    """auto: the language that the call is held in; empty before the first clear turn."""
    configured: str = field(init=False)
    """The voice that speaks where none is chosen."""
    _other: str = ""
    _others: int = 0
    _warned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.configured = self.voice

    @property
    def held_in(self) -> str:
        """The language of the call; empty where it is the caller's and nothing was heard yet."""
        return self.settled if self.language == "auto" else self.language

    @property
    def spoken(self) -> str:
        """The language to speak now."""
        return self.speaks(self.held_in or FALLBACK)

    @property
    def looked_as(self) -> str | None:
        """The language to hear an unfinished turn in, None to detect it."""
        return self.held_in or None

    def heard_as(self, samples: int) -> str | None:
        """The language to hear a turn of so many ``samples`` in, None to detect it."""
        if self.language != "auto":
            return self.language
        return self.settled if self.settled and samples < SHORT else None

    def speaks(self, language: str) -> str:
        """``language``, or FALLBACK where none of the voices speaks it."""
        ready = self.models.ready if self.models is not None else None
        if ready is None or any(language in spoken for spoken in ready.voices.values()):
            return language
        return FALLBACK

    def told(self) -> str:
        """What the language model is told of it; empty where there is nothing to tell."""
        if self.language == FALLBACK:
            return ""
        if not self.held_in:
            return "Answer in the language in which the caller speaks."
        return f"Answer in {ALL[self.spoken].name}."

    def after(self, heard: Heard, voice_ms: float) -> str:
        """The language that the call will be held in after a turn of ``voice_ms``; changes nothing."""
        return self.language if self.language != "auto" else self._settles(heard, voice_ms) or FALLBACK

    def follow(self, heard: Heard, voice_ms: float) -> bool:
        """Take a turn that was heard into account; whether the language of the call changed."""
        if self.language != "auto" or not heard.text.strip():
            return False
        before, self.settled = self.settled, self._settles(heard, voice_ms)
        self._others = self._turns(heard) if heard.language != self.settled else 0
        if not _doubtful(heard):
            self._other = heard.language
        return self.settled != before

    def unvoiced(self) -> str:
        """The language of the call, the first time that no voice is found to speak it; else empty."""
        language = self.held_in
        if not language or self.speaks(language) == language or language in self._warned:
            return ""
        self._warned.add(language)
        return language

    def _settles(self, heard: Heard, voice_ms: float) -> str:
        """The language that this turn leaves the call settled in; empty where nothing is known yet."""
        if heard.language not in ALL or heard.language == self.settled:
            return self.settled
        if not self.settled:
            return "" if _doubtful(heard) else heard.language
        return heard.language if self._turns(heard) >= IN_A_ROW or _sure(heard, voice_ms) else self.settled

    def missed(self) -> str:
        """The voice of the call where it is there no more, since the clip that it was made of was forgotten: the
        default one speaks from now on. Else empty."""
        ready = self.models.ready if self.models is not None else None
        if ready is None or self.voice == self.configured or self.voice in ready.voices:
            return ""
        gone, self.voice = self.voice, self.configured
        return gone

    def _turns(self, heard: Heard) -> int:
        """How many turns in a row were in this language, with this one."""
        if _doubtful(heard):
            return self._others
        return self._others + 1 if heard.language == self._other else 1


def _doubtful(heard: Heard) -> bool:
    return 0 <= heard.confidence < DOUBTFUL


def _sure(heard: Heard, voice_ms: float) -> bool:
    """Whether this one turn is enough. A confidence that is not told (negative) is enough with two turns only."""
    return voice_ms >= LONG_MS and weight(heard.text.strip()) >= LONG_WEIGHT and heard.confidence >= SURE
