"""T3's keys and values: every row has its own fixed stretch, laid out as pages so that paged attention reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxrtc.models.gpu.llama import TextShape


@dataclass(frozen=True, slots=True)
class T3Plan:
    """What is held: ``rows`` utterances at once, each of ``text`` text tokens and ``speech`` speech tokens at the most.

    Memory is laid out in pages of ``page_size`` tokens, those of one sequence side by side."""

    rows: int
    text: int = 400
    speech: int = 1000
    page_size: int = 256


class T3Memory:
    """For ``rows`` rows of ``branches`` sequences of ``length`` tokens. Row ``rows`` is nobody's: page 0."""

    def __init__(
        self,
        shape: TextShape,
        rows: int,
        branches: int,
        length: int,
        page: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.rows, self.branches, self.page = rows, branches, page
        self._pages = -(-length // page)
        count = 1 + rows * branches * self._pages
        size = (shape.layers, 2, count, page, shape.kv_heads, shape.head_dim)
        self._memory = torch.zeros(size, dtype=dtype, device=device)
        theirs = torch.arange(1, count, dtype=torch.int32, device=device).view(rows, branches, self._pages)
        self._tables = torch.cat((theirs, torch.zeros_like(theirs[:1])))

    @property
    def bytes(self) -> int:
        return self._memory.numel() * self._memory.element_size()

    @property
    def reach(self) -> int:
        """Tokens that a sequence has room for."""
        return self._pages * self.page

    def known(self, row: int) -> list[Sequence[int]]:
        """The pages of each sequence of ``row``, for the host."""
        firsts = (1 + (row * self.branches + branch) * self._pages for branch in range(self.branches))
        return [range(first, first + self._pages) if row < self.rows else [0] * self._pages for first in firsts]

    def tables(self, rows: Tensor) -> Tensor:
        """(n,) to the pages (n * branches, pages) int32 of its sequences."""
        return self._tables[rows].flatten(0, 1)

    def write(self, layer: int, slots: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keep ``k`` and ``v`` (n, heads, dim) at ``slots`` (n,), page * page size + offset; the layer's pages."""
        keys, values = self._memory[layer]
        keys.flatten(0, 1).index_copy_(0, slots, k)
        values.flatten(0, 1).index_copy_(0, slots, v)
        return keys, values

    def head(self, layer: int, head: int, rows: Tensor, most: int) -> Tensor:
        """The first ``most`` keys (n, most, dim) of one head, of the first sequence of each of ``rows`` (n,)."""
        keys = self._memory[layer, 0, 1:].view(self.rows, self.branches, self.reach, *self._memory.shape[-2:])
        return keys[:, 0, :most, head][rows.clamp(max=self.rows - 1)]
