"""Where in its text an utterance is: an end that comes too soon is held back, one that does not come is made.

Three of the multilingual T3's heads attend to the text token that is being spoken. What follows from that is
chatterbox's AlignmentStreamAnalyzer, its rules and numbers, as arithmetic of all rows at once that stays on the GPU:

- STOP is not drawn before the text's last three tokens, in texts of more than five tokens.
- STOP is made when one of these tokens has been spoken for 5 frames (0.2 s) after they were reached, or when
  attention has gone back to earlier ones for as long.

It differs in two things. Three equal tokens in a row make STOP, as the package's comment says, not two, which its code
takes and which long vowels and silence have (resemble-ai/chatterbox#549). And texts of five tokens or fewer, which
have no "earlier ones" and make the package fail (#548), are given 20 frames for each of the last three tokens: these
are the whole text then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

HEADS = ((12, 15), (13, 11), (9, 2))
"""Layer and head (chatterbox's LLAMA_ALIGNED_HEADS)."""
LAST = 3
SHORT = 5
LONG_TAIL, SHORT_TAIL = 5.0, 20.0
GONE_BACK = 5.0
EQUAL = 3


@dataclass(eq=False, slots=True)
class Places:
    """What is known of each row: (rows,) and ``tail`` (rows, 3)."""

    place: Tensor
    """int64: the text token that is being spoken."""
    complete: Tensor
    """bool: the last tokens have been reached."""
    tail: Tensor
    """float32: frames of attention on each of the last tokens since."""
    back: Tensor
    """float32: frames of attention on earlier ones since."""

    @classmethod
    def of(cls, rows: int, device: torch.device) -> Places:
        return cls(
            torch.zeros(rows, dtype=torch.int64, device=device),
            torch.zeros(rows, dtype=torch.bool, device=device),
            torch.zeros(rows, LAST, device=device),
            torch.zeros(rows, device=device),
        )

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.place, self.complete, self.tail, self.back

    def clear(self, rows: Tensor) -> None:
        """Begin anew in ``rows`` (n,) int64."""
        for known in self.all:
            known.index_fill_(0, rows, 0)

    def update(self, rows: Tensor, attended: Tensor, frame: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """One frame of ``rows``; returns which may not end yet, and which must: (n,) bool each. See follow()."""
        before = (self.place[rows], self.complete[rows], self.tail[rows], self.back[rows])
        *known, early, late = follow(*before, attended, frame, text)
        for old, new in zip(self.all, known, strict=True):
            old.index_copy_(0, rows, new)
        return early, late


def text_attention(queries: Tensor, keys: Tensor, lengths: Tensor, start: int, width: int) -> Tensor:
    """How far one head attends to each text token: (n, width) float32, of its ``queries`` (n, dim) to ``keys``
    (n, most, dim), of which each row has ``lengths`` (n,). The text begins at key ``start``."""
    scores = torch.bmm(keys, queries[:, :, None])[..., 0].float() * queries.shape[-1] ** -0.5
    there = torch.arange(keys.shape[1], device=keys.device) < lengths[:, None]
    return torch.where(there, scores, float("-inf")).softmax(-1)[:, start : start + width]


def follow(
    place: Tensor,
    complete: Tensor,
    tail: Tensor,
    back: Tensor,
    attended: Tensor,
    frame: Tensor,
    text: Tensor,
) -> tuple[Tensor, ...]:
    """One frame: the four of Places as they are after it; which rows may not end yet, and which must.

    ``attended`` (n, width) float32: the mean of the heads' attention to the text, of which ``text`` (n,) are real;
    ``frame`` (n,): how many there were before in the utterance.
    """
    columns = torch.arange(attended.shape[1], device=attended.device)
    # What lies further than there were frames cannot be spoken yet: monotone, at most one token a frame.
    seen = torch.where((columns <= frame[:, None]) & (columns < text[:, None]), attended, 0.0)
    now = seen.argmax(-1)
    step = now - place
    place = torch.where((step > -4) & (step < 7), now, place)

    counted = complete.float()  # from the frame after the one that completes
    last = text[:, None] - LAST + torch.arange(LAST, device=text.device)
    on_last = torch.where(last >= 0, seen.gather(1, last.clamp(0, attended.shape[1] - 1)), 0.0)
    earlier = torch.where(columns < text[:, None] - SHORT, seen, 0.0).amax(-1)
    tail = tail + counted[:, None] * on_last
    back = back + counted * earlier
    complete = complete | (place >= text - LAST)

    long_enough = text > SHORT
    limit = torch.where(long_enough, LONG_TAIL, SHORT_TAIL)
    early = long_enough & (now < text - LAST)
    late = complete & ((tail.amax(-1) >= limit) | (back > GONE_BACK))
    return place, complete, tail, back, early, late
