"""The two kinds of work of the language model, each at one size: reading a piece of a prompt, a step of decoding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxrtc.models.gpu.attention import Context
from voxrtc.models.gpu.graphs import Pieces
from voxrtc.models.voxtral.forward import TextModel
from voxrtc.models.voxtral.sequence import GREEDY, Chunk, Row
from voxrtc.models.voxtral.staging import Staging


class Step:
    """One token for each of ``size`` sequences."""

    def __init__(self, model: TextModel, pieces: Pieces, size: int, most_pages: int, device: torch.device) -> None:
        self._model = model
        self._staging = Staging(size, most_pages, 0, device)
        self._known: list[tuple[Sequence[int], int]] = []
        self._size = size
        self.hidden = torch.empty(0)
        """(size, hidden): what the last tokens were drawn from, until any other work is done."""
        self._piece = pieces.make(self._work)

    def load(self, rows: Sequence[Row]) -> None:
        """At most ``size`` rows; what is missing is padding."""
        for number, row in enumerate(rows):
            self._staging.put(number, row.token, row.position, row.pages, row.sampling)
        self._staging.pad(len(rows))
        self._known = [(row.pages, row.position + 1) for row in rows]
        self._staging.send()

    def run(self) -> Tensor:
        """(2, size) int32: tokens, and the bits of their log-probabilities."""
        return self._piece()

    def _work(self) -> Tensor:
        told, model = self._staging, self._model
        positions, tables = told.positions.long(), told.tables
        page = model.page_size
        slots = tables.gather(1, (positions // page)[:, None])[:, 0].long() * page + positions % page
        context = Context(tables, told.positions + 1, self._known)
        self.hidden = model.forward(model.embed(told.tokens), positions, slots, context, one_sequence=False)
        return model.pick(self.hidden, told.temperatures, told.seeds, positions + 1)


class Prompt:
    """Up to ``size`` tokens of one prompt."""

    def __init__(self, model: TextModel, pieces: Pieces, size: int, most_pages: int, device: torch.device) -> None:
        self._model = model
        self._size = size
        self._staging = Staging(1, most_pages, size, device)
        self._embeds = model.embed(self._staging.loose)
        self.hidden = torch.zeros_like(self._embeds[:1])
        """(1, hidden): what the next token is drawn from."""
        self._known: list[tuple[Sequence[int], int]] = [([0] * most_pages, size)]
        self._staging.put(0, 1, 0, [0], GREEDY)  # a prompt of one token, for the warm-ups
        self._staging.send()
        self._reading = pieces.make(self._read)
        self._picking = pieces.make(self._pick)

    def load(self, chunk: Chunk, heard: Sequence[tuple[int, Tensor]]) -> None:
        """``heard``: where in the chunk embeddings of sound stand, and which."""
        self._staging.put(0, len(chunk.ids), chunk.start, chunk.pages, chunk.sampling)
        self._staging.put_tokens([max(number, 0) for number in chunk.ids])
        self._known = [(chunk.pages, chunk.start + len(chunk.ids))]
        self._staging.send()
        self._embeds.copy_(self._model.embed(self._staging.loose))
        for at, embeds in heard:
            self._embeds[at : at + embeds.shape[0]] = embeds

    def run(self) -> None:
        self._reading()

    def pick(self) -> Tensor:
        """After run(): the next token, (2, 1) int32."""
        return self._picking()

    def _read(self) -> None:
        told, model = self._staging, self._model
        page, count, start = model.page_size, told.tokens, told.positions
        places = torch.arange(self._size, device=self._embeds.device)
        positions = start + places
        pages = told.tables[0][positions // page].long()
        inside = places < count
        slots = torch.where(inside, pages, 0) * page + positions % page
        # The padding counts as more of the same sequence: it comes after all that is real, so nothing sees it.
        context = Context(told.tables, start + self._size, self._known)
        x = model.forward(self._embeds, positions, slots, context, one_sequence=True)
        self.hidden.copy_(x.index_select(0, count.long() - 1))

    def _pick(self) -> Tensor:
        told = self._staging
        return self._model.pick(self.hidden, told.temperatures, told.seeds, (told.positions + told.tokens).long())
