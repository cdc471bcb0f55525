"""A clause on its way to the ear: its text, its samples as they are made, and how far it was heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Mark, Recording, Samples
from voxrtc.dialogue.emotion import NEUTRAL, Mood
from voxrtc.dialogue.phrases import Voiced
from voxrtc.models.wire import Speech, unpack

T = TypeVar("T")

BACK = (SPOKEN_RATE * 200 // 1000, SPOKEN_RATE * 500 // 1000)
"""Samples. Who was made to stop goes back by as much as lies between, to where the voice is quietest: between words."""
BACK_MISSED = (0, SPOKEN_RATE * 300 // 1000)
"""The same where what left did not arrive: what is uncertain of that is taken off already (media.presence)."""
STEP = SPOKEN_RATE // 100
FADE_IN = (0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, STEP))).astype(np.float32)
"""For sound that begins inside a word, (STEP,)."""


class Growing(Generic[T]):
    """A list that one task appends to while others follow it to its end. As long as one reply, no longer."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self.closed = False
        self._error: BaseException | None = None
        self._more = asyncio.Event()

    def append(self, item: T) -> None:
        self.items.append(item)
        self._signal()

    def close(self, error: BaseException | None = None) -> None:
        """Nothing comes any more; who follows gets ``error`` raised, if there is one, after the last item."""
        self.closed = True
        self._error = error
        self._signal()

    async def follow(self, start: int = 0) -> AsyncGenerator[T, None]:
        """The items from ``start`` on, those there are and those to come."""
        at = start
        while True:
            if at < len(self.items):
                yield self.items[at]
                at += 1
            elif self.closed:
                if self._error is not None:
                    raise self._error
                return
            else:
                await self._more.wait()

    def _signal(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


class SpokenClause:
    """One clause of a reply. ``start``: where its text begins in the text of the reply, in characters. ``filler``: it
    is said to pass the time, and is no part of the answer. ``mood``: how it is meant. ``mute``: it is only read."""

    def __init__(
        self, index: int, start: int, text: str, filler: bool = False, mood: Mood = NEUTRAL, mute: bool = False
    ) -> None:
        self.index = index
        self.start = start
        self.text = text
        self.filler = filler
        self.mood = mood
        self.mute = mute
        self.speech: Growing[tuple[Samples, int, int]] = Growing()
        """Samples at 24 kHz, and the span of ``text`` that they say."""
        self.mark = Mark()
        self.begun = asyncio.Event()
        """Set once its first sample was heard, or it turned out to have none."""
        self.poured = asyncio.Event()
        """Set once all its samples are in the mouth."""
        self._recording: Recording | None = None
        self._from = 0  # the sample with which this mouth began ...
        self._heard_before = 0  # ... and how many were heard before that

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def asks(self) -> bool:
        """Whether it ends in a question mark."""
        return self.text.rstrip(" \"'”’»)").endswith(("?", "？"))

    @property
    def heard(self) -> int:
        """Samples. What was said again, after going back, counts once."""
        return max(self._heard_before, self._from + self.mark.heard)

    @property
    def left(self) -> int:
        """Samples that were made and not heard."""
        return max(0, sum(samples.size for samples, _, _ in self.speech.items) - self.heard)

    @property
    def all_heard(self) -> bool:
        return self.speech.closed and not self.left

    def add(self, speech: Speech) -> None:
        """Append the voice's next samples. Their span counts in the text as the voice got it: stripped."""
        lead = len(self.text) - len(self.text.lstrip())
        self.speech.append((unpack(speech.samples), lead + speech.start, lead + speech.end))

    def say(self, voiced: Voiced) -> None:
        """It was said before, and sounds like that."""
        self._recording = voiced.recording
        for speech in voiced.speech:
            self.add(speech)

    def rewind(self, back: bool = False) -> None:
        """What was queued and not heard is to be poured again, into another mouth. ``back``: where the clause was cut
        off in its middle, with the last moment before that; so too where some of it left and did not arrive."""
        heard, broken_off = self.heard, self.heard > 0 and not self.all_heard
        way = BACK if back else BACK_MISSED if self.mark.missed else None
        self._from = self._before(heard, way) if way and broken_off else heard
        self._heard_before = heard
        self.mark = Mark()
        self.poured.clear()

    def _before(self, sample: int, way: tuple[int, int]) -> int:
        """Where to take up again what broke off at ``sample``: the quietest place on ``way`` back, or the beginning."""
        early, late = sample - way[1], sample - way[0]
        if early <= 0:
            return 0
        made = np.concatenate([samples for samples, _, _ in self.speech.items])
        steps = made[early : early + (late - early) // STEP * STEP].reshape(-1, STEP)
        return early + STEP * int(np.argmin(np.sum(np.square(steps), axis=1)))

    async def unheard(self) -> AsyncGenerator[Samples | Recording, None]:
        """Its samples, from where ``rewind`` found it, as they are made."""
        if self._recording is not None and not self._from:
            yield self._recording
            return
        skip = self._from
        inside = 0 < skip < self._heard_before
        async for samples, _, _ in self.speech.follow():
            if skip < samples.size:
                rest = samples[skip:]
                if inside:
                    rest = np.concatenate([rest[:STEP] * FADE_IN[: rest.size], rest[STEP:]])
                yield rest
                inside = False
            skip = max(0, skip - samples.size)

    def heard_chars(self) -> int:
        """How many characters of ``text`` were heard: exact at the voice's own spans, proportional inside them."""
        if self.mute:
            return len(self.text) if self.speech.closed else 0
        left = self.heard
        reached = 0
        for samples, start, end in self.speech.items:
            if left < samples.size:
                return start + round((end - start) * left / samples.size) if left else reached
            left -= samples.size
            reached = end
        return len(self.text) if self.speech.closed and self.speech.items else reached

    def heard_text(self) -> str:
        """``heard_chars`` of the text, to the nearest end of a word."""
        return to_word(self.text, self.heard_chars())


LONGEST_WORD = 30
"""Characters. What is longer has no spaces between its words (Chinese, Japanese) and is cut where it is."""


def to_word(text: str, chars: int) -> str:
    """The first ``chars`` characters of ``text``, with the word they end in if at least half of it is among them."""
    if chars >= len(text) or chars <= 0:
        return text[: max(0, chars)]
    start = text.rfind(" ", 0, chars) + 1
    end = text.find(" ", chars)
    end = len(text) if end < 0 else end
    if end - start > LONGEST_WORD:
        return text[:chars]
    return text[:end] if 2 * (chars - start) >= end - start else text[:start].rstrip()
