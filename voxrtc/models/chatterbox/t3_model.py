"""T3 over its memory: reading a text, saying one token more. A row has two sequences, with its text and without
(classifier-free guidance); in Turbo only the first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from voxrtc.models.chatterbox import t3_alignment, t3_conditioning
from voxrtc.models.chatterbox.parts import START, STOP
from voxrtc.models.chatterbox.t3_alignment import Places
from voxrtc.models.chatterbox.t3_backbone import backbone
from voxrtc.models.chatterbox.t3_memory import T3Memory, T3Plan
from voxrtc.models.chatterbox.t3_picking import Wishes, guided, picked, picked_turbo
from voxrtc.models.chatterbox.t3_weights import T3Weights
from voxrtc.models.gpu.attention import Attention, Context
from voxrtc.models.gpu.compiled import Compiled


class T3Model:
    """Everything but ``known``, what the host knows for attention that is not captured, is on the GPU.

    Row ``plan.rows`` is nobody's, for padding."""

    def __init__(self, weights: T3Weights, attention: Attention, plan: T3Plan, compiled: Compiled) -> None:
        shape, device, dtype = weights.shape, weights.speech.device, weights.speech.dtype
        self.weights, self.plan, self.device = weights, plan, device
        self.branches = 1 if weights.turbo else 2
        self.prefix = t3_conditioning.length(weights)
        length = self.prefix + plan.text + 2 + plan.speech
        self.memory = T3Memory(shape, plan.rows, self.branches, length, plan.page_size, dtype, device)
        self._attention = attention
        self._backbone = backbone(weights, self.memory.reach, compiled)
        self._said = torch.zeros(plan.rows + 1, shape.vocabulary, dtype=torch.bool, device=device)
        self._fresh = torch.zeros(1, shape.vocabulary, dtype=torch.bool, device=device)
        self._fresh[0, START] = True
        self._places = Places.of(plan.rows + 1, device)
        self._text_attention = compiled(t3_alignment.text_attention)
        self._picked = compiled(picked)
        self._picked_turbo = compiled(picked_turbo)

    # -- a text -----------------------------------------------------------------------------------------------

    def embed_text(self, text: Tensor) -> Tensor:
        """What stands behind the conditioning: (n,) to (branches, n + 1, hidden), of which START is the last.

        chatterbox gives START twice, both times as the first speech token: here, and as what the first step is
        given. That is how its weights are used, so it is kept."""
        own = self.weights
        words = own.text[text][None]
        if self.branches == 2:
            words = torch.cat((words, torch.zeros_like(words)))
        if own.text_positions is not None:
            words = words + own.text_positions[: text.shape[0]]
        if own.turbo:  # gives it once
            return words
        first = torch.zeros(1, dtype=torch.int64, device=self.device)
        start = self.embed_speech(first + START, first)
        return torch.cat((words, start.expand(self.branches, 1, -1)), dim=1)

    def embed_speech(self, tokens: Tensor, frames: Tensor) -> Tensor:
        """(n,) each to (n, hidden)."""
        embeds = functional.embedding(tokens, self.weights.speech)
        positions = self.weights.speech_positions
        return embeds if positions is None else embeds + positions[frames]

    def read(self, embeds: Tensor, row: Tensor, count: Tensor, known: Sequence[Sequence[int]]) -> None:
        """Take ``embeds`` (branches, size, hidden), of which ``count`` (1,) are real, as the beginning of ``row`` (1,).

        ``known``: the pages of its sequences."""
        size, page = embeds.shape[1], self.memory.page
        places = torch.arange(size, device=self.device)
        tables = self.memory.tables(row)
        pages = torch.where(places < count, tables[:, places // page].long(), 0)
        slots = (pages * page + places % page).flatten()
        # Padding counts as more of the same sequence: it comes after all that is real, so nothing real sees it.
        length = torch.full((1,), size, dtype=torch.int32, device=self.device)
        contexts = [Context(tables[n, None], length, [(own, size)]) for n, own in enumerate(known)]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.memory.write(layer, slots, k, v)
            branches = zip(q.view(self.branches, size, *q.shape[1:]), contexts, strict=True)
            return torch.cat([self._attention.prefill(one, keys, values, where) for one, where in branches]).flatten(1)

        self._backbone(embeds.flatten(0, 1), places.repeat(self.branches), attend)
        self._said.index_copy_(0, row, self._fresh)
        self._places.clear(row)

    # -- a token ----------------------------------------------------------------------------------------------

    def hear(
        self, x: Tensor, rows: Tensor, positions: Tensor, most: int, known: Sequence[tuple[Sequence[int], int]]
    ) -> tuple[Tensor, Tensor | None]:
        """Take one token ``x`` (n, hidden) in each of ``rows`` (n,), at ``positions`` (n,) of their sequences.

        Returns hidden states (n * branches, hidden), normed, and how far the text's tokens are attended to (n,
        plan.text) where that is known. ``most``: tokens that no sequence has more of; ``known``: their pages and
        lengths."""
        page, branches = self.memory.page, self.branches
        at = positions.repeat_interleave(branches)
        tables = self.memory.tables(rows)
        slots = tables.gather(1, (at // page)[:, None])[:, 0].long() * page + at % page
        context = Context(tables, (at + 1).int(), known)
        spoken: list[Tensor] = []

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.memory.write(layer, slots, k, v)
            for head in (head for of, head in t3_alignment.HEADS if of == layer and self.weights.multilingual):
                theirs = self.memory.head(layer, head, rows, most)
                asked = q[::branches, head]
                spoken.append(self._text_attention(asked, theirs, positions + 1, self.prefix, self.plan.text))
            return self._attention.decode(q, keys, values, context).flatten(1)

        hidden = self._backbone(x.repeat_interleave(branches, 0), at, attend)
        return hidden, torch.stack(spoken).mean(0) if spoken else None

    def say(self, hidden: Tensor, spoken: Tensor | None, rows: Tensor, text: Tensor, wishes: Wishes) -> Tensor:
        """The tokens (n,) int64 that come next, after what hear() gives."""
        said, logits = self._said[rows], self.logits(hidden)
        if self.weights.turbo:
            tokens: Tensor = self._picked_turbo(logits, said, wishes)
            self._mark(rows, START, False)  # what it was given does not count as said
        elif spoken is None:
            tokens = self._picked(logits, said, torch.zeros_like(wishes.ends), wishes)
        else:
            early, late = self._places.update(rows, spoken, wishes.frame, text)
            tokens = torch.where(late, STOP, self._picked(logits, said, early, wishes))
        self._mark(rows, tokens, True)
        return tokens

    def _mark(self, rows: Tensor, tokens: Tensor | int, said: bool) -> None:
        self._said.view(-1).index_fill_(0, rows * self._said.shape[1] + tokens, said)

    def logits(self, hidden: Tensor) -> Tensor:
        """(n * branches, hidden) to (n, branches, vocabulary)."""
        head = self.weights.head
        logits = functional.linear(hidden, head.weight, head.bias)
        return logits.view(-1, self.branches, logits.shape[-1])

    def guided(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """As logits(), (n, vocabulary) float32: for checks."""
        logits = self.logits(hidden)
        return logits[:, 0].float() if self.branches == 1 else guided(logits, weight)
