"""What crosses between the parts of Chatterbox: voices, what is to be said, and what its two models do.

Text becomes speech tokens (T3, a language model: 25 of them a second of speech), these become sound (S3Gen, a flow
matching model, and HiFT, a vocoder). Resemble AI, MIT; model card ResembleAI/chatterbox.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from voxrtc.audio import Samples

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_PER_S = 25
TOKEN_FRAMES = 2
"""Mel frames of one speech token."""
TOKEN_SAMPLES = 960
"""Samples of one speech token, at 24 kHz."""
CODES = 6_561
"""Speech tokens that are sound are less than this."""
START, STOP = 6_561, 6_562
"""Begin and end speech."""


@dataclass(frozen=True, eq=False, slots=True)
class Voice:
    """Everything the models know of a voice: made once of a clip, shared by all who speak with it, changed by none.

    ``speaker`` (1, 256) float32 and ``prompt`` (1, n) int64 are T3's: who speaks, and tokens of how they do.
    ``tokens`` (1, n) int64, ``mel`` (1, 2 n, 80) and ``xvector`` (1, 192) float32 are S3Gen's. On the models' device.
    """

    name: str
    speaker: Tensor
    prompt: Tensor
    tokens: Tensor
    mel: Tensor
    xvector: Tensor


@dataclass(frozen=True, slots=True)
class Manner:
    """How something is said. ``exaggeration`` 0..2, about 0.5 as people speak; ``cfg_weight`` 0..1: how closely the
    text is kept to, less for slower speech.

    Equal ``seed``, voice and text: equal speech tokens, whatever else is said. Their samples differ a little, not to
    the ear, by how the tokens were cut into chunks, which depends on time: who is about to run out of sound gets less,
    but sooner."""

    exaggeration: float = 0.5
    cfg_weight: float = 0.5
    temperature: float = 0.8
    min_p: float = 0.05
    repetition_penalty: float = 2.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Utterance:
    """One clause: ``text``, the tokenizer's ids with their start and stop, and how many speech tokens at ``most``."""

    text: Sequence[int]
    voice: Voice
    manner: Manner
    most: int


class TokenModel(Protocol):
    """T3 for ``rows`` utterances at once, each in a row of its own. One thread calls it."""

    @property
    def rows(self) -> int: ...

    def begin(self, row: int, utterance: Utterance) -> None:
        """Read what is to be said in ``row``, in place of what was said there."""

    def step(self, rows: Sequence[int]) -> list[int]:
        """The next speech token of each of ``rows``; STOP at its end, after which the row is not asked again."""


class Stream(Protocol):
    """What S3Gen and HiFT remember of one utterance between its chunks."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """More of an utterance: ``tokens`` after those of the chunks before; ``last``: there are no more."""

    stream: Stream
    tokens: Sequence[int]
    last: bool


class SoundModel(Protocol):
    """S3Gen and HiFT for up to ``batch`` utterances at once. One thread calls it."""

    @property
    def batch(self) -> int: ...

    def open(self, voice: Voice, seed: int) -> Stream:
        """Begin an utterance."""

    def sound(self, chunks: Sequence[Chunk]) -> list[Samples]:
        """24 kHz samples that go on without a joint from those of the chunk before. A chunk that is not the last gives
        less than its tokens' worth: what depends on tokens to come is kept back for the next one."""
