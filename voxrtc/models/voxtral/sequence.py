"""What crosses between the parts of Voxtral: clips, the ids of a prompt, what the runner is asked and what it picks."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from voxrtc.audio import Samples

if TYPE_CHECKING:
    import torch

WINDOW_SAMPLES = 480_000
"""Samples of 16 kHz in one window of the encoder: 30 s. Sound is always padded to whole windows."""
WINDOW_TOKENS = 375
"""Tokens of one window: 1500 positions of the encoder, four to a token (Voxtral, arXiv:2507.13264, section 2)."""
_POSITIONS = 1 << 20
"""Tokens that one clip can have."""
_keys = itertools.count()


@dataclass(eq=False, slots=True)
class Clip:
    """A stretch of a caller's sound, encoded once for every sequence that hears it.

    ``samples`` (n,) at 16 kHz, n > 0. ``embeds``: (tokens, hidden) on the runner's device once encoded.
    """

    samples: Samples
    embeds: torch.Tensor | None = None
    key: int = field(default_factory=lambda: next(_keys))

    @property
    def windows(self) -> int:
        """How many windows of 30 s it fills."""
        return max(1, -(-self.samples.size // WINDOW_SAMPLES))

    @property
    def tokens(self) -> int:
        return self.windows * WINDOW_TOKENS

    def ids(self) -> list[int]:
        """One id for each of its tokens: negative, and of this clip only, so that equal ids mean equal content.

        Where the model is concerned they all are the token [AUDIO], its embedding replaced by a row of ``embeds``.
        """
        first = -1 - self.key * _POSITIONS
        return list(range(first, first - self.tokens, -1))


def clip_of(number: int) -> tuple[int, int] | None:
    """The clip's key and the row of its embeds that the id ``number`` stands for; None where it is text."""
    return None if number >= 0 else divmod(-1 - number, _POSITIONS)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. ``temperature`` 0: the likeliest.

    Equal ``seed`` and prompt give equal tokens, whatever else runs at the same time."""

    temperature: float = 0.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a prompt that is to be read. ``ids``, of which the first is token ``start`` of its sequence, whose
    memory is ``pages``, in order, with room for them; tokens before ``start`` are read already. ``clips``: by key.
    ``last``: the prompt ends with it, so that its first token is to be picked."""

    ids: Sequence[int]
    start: int
    pages: Sequence[int]
    clips: Mapping[int, Clip]
    last: bool
    sampling: Sampling = GREEDY


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence in a step of decoding: ``token`` was picked last and is token ``position`` of the sequence, whose
    memory is ``pages``, in order, with room for it."""

    token: int
    position: int
    pages: Sequence[int]
    sampling: Sampling = GREEDY


@dataclass(frozen=True, slots=True)
class Pick:
    """A token that was picked, and the natural logarithm of its probability at temperature 1."""

    token: int
    logprob: float


class Runner(Protocol):
    """The GPU's work. One thread calls it, one call at a time; a prompt or a step is done when the call returns, a
    stage of the encoder only begun: what is called next comes after it on the device, and waits for it.

    Pages are numbered 1 to ``pages``, and hold ``page_size`` tokens each; page 0 is the runner's own.
    """

    @property
    def page_size(self) -> int: ...

    @property
    def pages(self) -> int: ...

    @property
    def context(self) -> int:
        """The most tokens that one sequence may have, prompt and answer."""

    @property
    def rows(self) -> int:
        """The most rows of one step."""

    def chunk_size(self, rows: int, limit_ms: float) -> int:
        """How many tokens of a prompt can be read in ``limit_ms`` beside steps of ``rows`` rows; some, at the least."""

    def encode(self, clip: Clip) -> Generator[None, None, None]:
        """Encode in stages, each of which is short; the last one sets ``clip.embeds``. Closing it gives it up.

        One clip at a time: another one's encoding begins after this one's end, or after it was closed."""

    def prefill(self, chunk: Chunk) -> Pick | None:
        """Read a chunk; the token after it where it is the last."""

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        """One step: the next token of each row, at most ``rows`` of them."""
