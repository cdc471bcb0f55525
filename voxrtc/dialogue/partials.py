"""What the caller seems to be saying: looks at the unfinished turn, one at a time, each text going on from the last."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.dialogue.tasks import Tasks
from voxrtc.errors import ModelsError
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard, Prepare

log = logging.getLogger(__name__)

_WORD = re.compile(r"[぀-ヿ㐀-鿿豈-﫿]|[^\s぀-ヿ㐀-鿿豈-﫿]+")
"""A word; in Chinese and Japanese, a character."""
_END = re.compile(r"[\s.,;:!?…。、！？]+$")


LONGEST = 25 * HEARD_RATE
"""Samples. A longer turn gets no more looks: each one is at the whole turn, and recognisers take 30 s at a time."""


class StableText:
    """A text that only grows: words are shown once two hypotheses in a row agree on them, and never taken back.

    LocalAgreement-2 of Macháček et al., "Turning Whisper into Real-Time Transcription System" (2023).
    """

    def __init__(self) -> None:
        self.shown = ""
        self._before: list[str] = []
        """The words of the hypothesis before, as they are compared."""

    def extend(self, hypothesis: str, whole: bool) -> str:
        """The text to show now. A ``whole`` one needs nobody's agreement."""
        words = list(_WORD.finditer(hypothesis))
        if not words:
            return self.shown  # a look that gave way says nothing, and contradicts nothing
        keys = [_key(word[0]) for word in words]
        agreed = len(words) if whole else _common(keys, self._before)
        self._before = keys
        known = len(_WORD.findall(self.shown))
        wanted = words[known:agreed]
        if wanted:
            # From the hypothesis as it stands, with the space that parts it from the words before.
            start = words[known - 1].end() if known else wanted[0].start()
            self.shown += hypothesis[start : wanted[-1].end()]
            self.shown = _END.sub("", self.shown)
        return self.shown


def likely(hypothesis: str) -> str:
    """What of a ``hypothesis`` about unfinished speech will probably stay: all but the last word, which may be cut."""
    words = list(_WORD.finditer(hypothesis))
    return _END.sub("", hypothesis[: words[-2].end()]) if len(words) > 1 else ""


def _key(word: str) -> str:
    return _END.sub("", word).casefold()


def _common(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


class Partials:
    """Partial transcripts of one turn."""

    def __init__(
        self,
        models: Models,
        every_ms: int,
        start: int,
        show: Callable[[str, Heard], None],
        prepare: Callable[[str], Prepare],
    ) -> None:
        """``every_ms``: between looks, 0 for none. ``show``: told each longer text. ``prepare``: what to warm."""
        self._models = models
        self._every = every_ms * HEARD_RATE // 1000
        self._next = start + self._every
        self._last = start + LONGEST
        self._show = show
        self._prepare = prepare
        self._text = StableText()
        self._task: asyncio.Task[None] | None = None

    @property
    def shown(self) -> str:
        """What is known of the turn's words."""
        return self._text.shown

    def due(self, now: int) -> bool:
        """Whether it is time for another look, at sample ``now``."""
        idle = self._task is None or self._task.done()
        return self._every > 0 and self._next <= now < self._last and idle

    def look(self, audio: Samples, language: str | None, now: int, tasks: Tasks) -> None:
        """Transcribe ``audio``, the turn so far."""
        self._next = now + self._every
        self._task = tasks.spawn(self._look(audio, language), "partial transcript")

    def stop(self) -> None:
        """Give up the look that is under way: something more urgent needs the models."""
        if self._task is not None:
            self._task.cancel()

    def add(self, heard: Heard, whole: bool) -> None:
        """Show what ``heard`` adds."""
        before = self._text.shown
        if self._text.extend(heard.text, whole) != before:
            self._show(self._text.shown, heard)

    async def _look(self, audio: Samples, language: str | None) -> None:
        try:
            heard = await self._models.transcribe(audio, language, partial=True)
            self.add(heard, whole=False)
            # Not what is shown: that keeps early mishearings, and the model would read the whole turn anew at its end.
            if text := likely(heard.text):
                await self._models.prepare(self._prepare(text))
        except ModelsError as error:
            log.debug("a partial transcript was not to be had: %s", error)  # the turn itself will tell the caller
