"""What really left the mouth of a reply: to the sample, by looking for its clauses in the packets; to the word, by when
the voice says each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.bench.turns.standin import Clause
from voxrtc.bench.turns.voice import Voice
from voxrtc.bench.virtual import Packet
from voxrtc.events import Event, ReplyText

ALIKE = 0.9
"""Correlation from which on a packet is that stretch of the reply, at whatever level."""
SILENT = 1e-6


@dataclass(frozen=True, slots=True)
class Left:
    """One clause of a reply: of its ``size`` samples at 24 kHz, ``heard`` left, and ``words`` of its words."""

    text: str
    size: int
    heard: int
    words: int


def what_left(
    reply: int, events: Sequence[Event], spoken: Sequence[Clause], packets: Sequence[Packet], timing: WordTiming
) -> list[Left]:
    """The clauses of the reply of that number, as announced in ``events``, and how much of each left in ``packets``.

    ``spoken``: what was voiced. A clause that was never voiced has no samples.
    """
    texts = [e.text for e in events if isinstance(e, ReplyText) and e.reply == reply]
    voiced = {_key(clause.text): clause.samples for clause in spoken}
    sounds = [voiced.get(_key(text), np.zeros(0, np.float32)) for text in texts]
    reached = furthest(np.concatenate([*sounds, np.zeros(0, np.float32)]), packets)
    left = []
    for text, sound in zip(texts, sounds, strict=True):
        heard = min(max(0, reached), sound.size)
        left.append(Left(text, sound.size, heard, timing.words(text, heard, sound.size)))
        reached -= sound.size
    return left


def furthest(sound: Samples, packets: Sequence[Packet]) -> int:
    """The sample of ``sound`` (n,) after the last that is in ``packets``. Whatever else is in them is ignored."""
    data = sound.tobytes()
    reached = expected = 0
    for packet in packets:
        samples = packet.samples
        if not _alike(sound[expected : expected + samples.size], samples):
            loud = np.flatnonzero(np.abs(samples) > SILENT)
            if loud.size < samples.size // 8:
                continue
            samples = samples[: int(loud[-1]) + 1]
            found = data.find(samples.tobytes())
            if found < 0:
                continue
            expected = found // sound.itemsize
        expected = min(sound.size, expected + samples.size)
        reached = max(reached, expected)
    return reached


class WordTiming:
    """When ``voice`` says each word of a clause.

    It does not tell, so the clause is voiced up to each word, and from each word on: the one makes the boundary come
    late by the length of an ending, the other early by that of a beginning, and the mean is taken. Against whisper's
    alignment of three clauses: 0.08 s off in the mean, 0.2 s at the most, where a word takes 0.3 s.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._known: dict[str, list[float]] = {}

    def words(self, text: str, heard: int, size: int) -> int:
        """How many words of ``text`` were said in the first ``heard`` of its ``size`` samples; a word counts from its
        middle on."""
        count = len(text.split())
        if heard <= 0:
            return 0
        if heard >= size:
            return count
        bounds = [0.0, *self.boundaries(text), size / SPOKEN_RATE]
        middles = [(a + b) / 2 for a, b in pairwise(bounds)]
        return sum(bool(middle <= heard / SPOKEN_RATE) for middle in middles)

    def boundaries(self, text: str) -> list[float]:
        """Seconds from the beginning of the clause to the beginning of each of its words but the first."""
        if text not in self._known:
            words = text.split()
            whole = self._size(" ".join(words))
            cuts = range(1, len(words))
            before = [self._size(" ".join(words[:n])) for n in cuts]
            after = [whole - self._size(" ".join(words[n:])) for n in cuts]
            means = [(b + a) / 2 / SPOKEN_RATE for b, a in zip(before, after, strict=True)]
            self._known[text] = list(np.maximum.accumulate(means)) if means else []
        return self._known[text]

    def _size(self, text: str) -> int:
        """Samples of ``text`` without what its punctuation adds."""
        return sum(samples.size for samples, _, _ in self._voice.speak(text.rstrip(" .,;:!?")))


def _key(text: str) -> str:
    """What a clause's text and the text its voice was given have in common."""
    return text.strip().rstrip(" ,")


def _alike(one: Samples, packet: Samples) -> bool:
    """Whether ``packet`` is the stretch ``one``, which is shorter where the sound ends in it."""
    if not one.size:
        return False
    other, rest = packet[: one.size], packet[one.size :]
    if np.abs(rest).max(initial=0.0) > SILENT:
        return False
    norms = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    if max(norms) < SILENT:
        return True
    return min(norms) > SILENT and float(np.dot(one, other)) / (norms[0] * norms[1]) >= ALIKE
