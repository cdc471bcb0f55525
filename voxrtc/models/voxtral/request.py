"""What is asked of the loop, how it ends, and what the loop keeps of it while it is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from voxrtc.errors import ModelsError
from voxrtc.models.urgency import Urgency
from voxrtc.models.voxtral.sequence import GREEDY, Clip, Pick, Sampling, clip_of
from voxrtc.models.voxtral.slots import Slot


class End(Enum):
    """Why a request ended that did not fail."""

    STOP = "stop"
    """One of its stop ids was picked, which is not told as a pick."""
    MAX_TOKENS = "max_tokens"
    CONTEXT = "context"
    """Prompt and answer fill models.context_tokens, or all of the memory."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request's prompt, and how many of these its session had kept."""

    prompt: int = 0
    reused: int = 0

    @property
    def prefilled(self) -> int:
        """Tokens that were to be read."""
        return self.prompt - self.reused


@dataclass(eq=False, slots=True)
class Request:
    """One sequence that is to be read and gone on with. For one submit()."""

    ids: Sequence[int]
    """The prompt, a list; sound as ``Clip.ids()``."""
    max_tokens: int
    """Of the answer; 0 to read the prompt only, for what comes after it."""
    clips: Mapping[int, Clip] = field(default_factory=dict)
    """By key: those whose ids are in ``ids``."""
    session: str = ""
    """Whose memory is gone on with, and kept afterwards; "" for none."""
    sampling: Sampling = GREEDY
    stop: frozenset[int] = frozenset()
    urgency: Urgency = field(default_factory=Urgency)
    """Its level may change at any time (Urgency.release)."""
    cancelled: bool = field(default=False, init=False)
    end: End | ModelsError | None = field(default=None, init=False)
    """Once it has ended."""
    usage: Usage | None = field(default=None, init=False)
    """Once it was admitted."""


Picked = Callable[[Pick], None]
Ended = Callable[[End | ModelsError], None]


@dataclass(eq=False, slots=True)
class Run:
    """A request under way, in the loop's thread."""

    request: Request
    on_pick: Picked
    on_end: Ended
    spans: list[tuple[int, Clip]]
    """Its clips that are not read yet, each with where its ids end in the prompt."""
    number: int = 0
    """In order of arrival."""
    slot: Slot | None = None
    """Once it was admitted."""
    token: int = 0
    """Picked last, not in the slot yet."""
    picked: int = 0
    served: int = 0
    """The step that it was in last."""
    stepped: float = 0.0
    """When it was given its last token; seconds of the loop's clock."""

    @property
    def level(self) -> int:
        return self.request.urgency.level

    @property
    def memory(self) -> Slot:
        assert self.slot is not None, "not admitted yet"
        return self.slot

    def rank(self) -> tuple[int, int]:
        """Who goes first: the most urgent, of these the oldest."""
        return self.request.urgency.level, self.number


def spans_of(ids: Sequence[int], clips: Mapping[int, Clip]) -> list[tuple[int, Clip]]:
    """The clips of a prompt in order, each with where its ids end. Raises ValueError where one of them is not given."""
    numbers = np.asarray(ids, dtype=np.int64)
    (sound,) = np.nonzero(numbers < 0)
    if not sound.size:
        return []
    # A clip's ids go down by one each: where they do not, it ends.
    last = sound[np.append(np.diff(numbers[sound]) != -1, True)]
    spans = []
    for at in last.tolist():
        found = clip_of(int(numbers[at]))
        assert found is not None
        if found[0] not in clips:
            raise ValueError(f"the prompt has sound of clip {found[0]}, which was not given")
        spans.append((at + 1, clips[found[0]]))
    return spans
