"""One utterance between its chunks: which tokens the flow sees next, which frames and samples go on from which.

Each pass of the flow sees the end of the voice's reference, the last ``context`` tokens of the utterance, the new
ones and three to come: a bounded number. Frames it makes again have the noise they had, so they come out nearly as
before. The last KEPT frames of a pass are not given away as sound: the next pass makes them again, with more to come
in sight, and its frames are blended into the old ones. The vocoder sees BEHIND frames that it has sounded before, and
beyond the last frame, where there are more to come, that frame again and again in place of the silence that zeros
would mean. The pitch of what was given is kept and the phase goes on from there, so the samples it makes again are
nearly those it made; over FADE frames the two are blended. Given the same frames, windows of the vocoder so joined
differ from one over all of them by -34 dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from voxrtc.audio import Samples
from voxrtc.models.chatterbox.flow_encoder import LOOK_AHEAD
from voxrtc.models.chatterbox.parts import CODES, TOKEN_FRAMES, Voice
from voxrtc.models.chatterbox.vocoder_source import HOP

KEPT = 5
"""Frames, 0.1 s, that the next pass makes again. The pitch of a frame depends on 5 to each side: with fewer, the pitch
of what is given would not be settled, and the phase would drift from that of the utterance made in one pass."""
FADE = 2
"""Of these the first, over which samples are blended."""
BEHIND = 16
"""Frames: the vocoder's convolutions see 13 to each side."""
BEYOND = 8
LEAST = 4
"""New tokens that are worth a pass, unless they are the last: what is given then is longer than a blend."""

_FADE_IN = np.square(np.sin(np.pi / 2 * (np.arange(FADE * HOP, dtype=np.float32) + 0.5) / (FADE * HOP)))
_START = np.concatenate((np.zeros(HOP), (1 - np.cos(np.linspace(0, np.pi, HOP))) / 2)).astype(np.float32)
"""The first 40 ms: silent, then faded in, against what spills over from the reference (chatterbox's trim_fade)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens that a pass of the flow sees at the most: of the reference, of the utterance before, of new ones."""

    reference: int
    context: int
    most: int

    @property
    def all(self) -> int:
        return self.reference + self.context + self.most + LOOK_AHEAD


@dataclass(frozen=True, slots=True)
class Pass:
    """Of the flow: ``tokens`` (reference, then from token ``first`` of the utterance on), whose frames of the tokens
    from ``made`` to ``end`` are new. ``last``: the utterance ends with these."""

    tokens: list[int]
    reference: int
    first: int
    made: int
    end: int
    last: bool

    @property
    def frames(self) -> int:
        """That are to be made: those of the tokens to come are not."""
        return TOKEN_FRAMES * (self.reference + self.end - self.first)

    @property
    def new(self) -> slice:
        """Where the new frames are."""
        return slice(TOKEN_FRAMES * (self.reference + self.made - self.first), self.frames)

    @property
    def again(self) -> slice:
        """Where the KEPT frames before them are."""
        return slice(self.new.start - KEPT, self.new.start)


@dataclass(frozen=True, slots=True)
class Reference:
    """The end of a voice's reference, ``tokens`` of it and their ``mel`` (2 n, 80); ``xvector`` (192,)."""

    tokens: list[int]
    mel: Tensor
    xvector: Tensor

    @classmethod
    def of(cls, voice: Voice, most: int) -> Reference:
        """The last ``most`` tokens: what comes before the utterance."""
        tokens = voice.tokens[0, -most:].tolist()
        return cls(tokens, voice.mel[0, voice.mel.shape[1] - TOKEN_FRAMES * len(tokens) :], voice.xvector[0])


@dataclass(frozen=True, slots=True)
class Tail:
    """What the vocoder has seen of late: ``mel`` (n, 80) and ``pitch`` (n,), up to the last frame made; ``phase`` (),
    cycles at their beginning; ``samples`` that were made but not given, of FADE frames."""

    mel: Tensor
    pitch: Tensor
    phase: Tensor
    samples: Samples


class SoundStream:
    """Implements parts.Stream. What it holds is freed with it: no model knows of it."""

    def __init__(self, reference: Reference, seed: int) -> None:
        self.reference = reference
        self.seed = seed & 0x7FFFFFFF
        self.tail: Tail | None = None
        self._tokens: list[int] = []
        self._made = 0
        self._complete = False

    @property
    def made(self) -> int:
        """Tokens whose frames were made."""
        return self._made

    def check(self, tokens: Sequence[int]) -> None:
        """Raises ValueError where ``tokens`` may not be added."""
        if self._complete:
            raise ValueError("the last chunk of this stream has been given")
        if any(not 0 <= token < CODES for token in tokens):
            raise ValueError(f"a speech token is not below {CODES}")

    def add(self, tokens: Sequence[int], last: bool) -> None:
        """``tokens`` that check() has passed."""
        self._tokens.extend(tokens)
        self._complete = last

    def next(self, limits: Limits) -> Pass | None:
        """What the flow is to do now, if there is enough for it."""
        there, made = len(self._tokens), self._made
        last = self._complete and there - made <= limits.most + LOOK_AHEAD
        end = there if last else min(there - LOOK_AHEAD, made + limits.most)
        if end <= made if last else end - made < LEAST:
            return None
        first = max(0, made - limits.context)
        own = self._tokens[first : min(there, end + LOOK_AHEAD)]
        reference = self.reference.tokens
        return Pass(reference + own, len(reference), first, made, end, last)

    # -- frames -----------------------------------------------------------------------------------------------

    @property
    def known(self) -> int:
        """Frames of the tail whose pitch is settled: those that were given."""
        return 0 if self.tail is None else self.tail.mel.shape[0] - KEPT

    def window(self, turn: Pass, mel: Tensor) -> Tensor:
        """(n, 80) that the vocoder is to see, of what the flow made, ``mel`` (frames, 80) float32, in ``turn``."""
        parts = [mel[turn.new]]
        if self.tail is not None:
            ramp = torch.arange(1, KEPT + 1, device=mel.device)[:, None] / (KEPT + 1)
            blended = torch.lerp(self.tail.mel[-KEPT:], mel[turn.again], ramp)
            parts = [self.tail.mel[:-KEPT], blended, *parts]
        if not turn.last:
            parts.append(parts[-1][-1:].expand(BEYOND, -1))
        return torch.cat(parts)

    def first_frame(self, turn: Pass) -> int:
        """Where in the utterance the window begins."""
        return TOKEN_FRAMES * turn.made - (0 if self.tail is None else self.tail.mel.shape[0])

    # -- samples ----------------------------------------------------------------------------------------------

    def give(self, turn: Pass, window: Tensor, pitch: Tensor, phases: Tensor, samples: Samples) -> Samples:
        """What is to be heard of ``samples``, made of ``window`` with ``pitch`` (n,) and ``phases`` (n + 1,) at its
        frames' edges; the rest is kept for the next pass."""
        begin, end = self.first_frame(turn), TOKEN_FRAMES * turn.end
        given_from = 0 if self.tail is None else TOKEN_FRAMES * turn.made - KEPT
        given_to = end if turn.last else end - KEPT
        heard = samples[(given_from - begin) * HOP : (given_to - begin) * HOP].copy()
        if self.tail is not None:
            blend = heard[: FADE * HOP]
            blend += (1.0 - _FADE_IN) * (self.tail.samples - blend)
        else:
            heard[: 2 * HOP] *= _START
        self._made = turn.end
        if turn.last:
            self.tail = None
        else:
            kept = max(0, end - KEPT - BEHIND - begin)
            over = slice(kept, end - begin)
            begun = (given_to - begin) * HOP
            rest = samples[begun : begun + FADE * HOP].copy()
            self.tail = Tail(window[over].clone(), pitch[over].clone(), phases[kept].clone(), rest)
        return heard
