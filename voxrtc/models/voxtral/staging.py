"""What one piece of work is told, as one array of numbers: written on the host, sent to the GPU in one copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from voxrtc.models.voxtral.sequence import Sampling

HEADER = 4
"""Numbers of a row in front of its table of pages: its token, its position, its seed, its temperature's bits."""


class Staging:
    """``rows`` rows, each with a table of ``most_pages`` pages, and ``tokens`` loose tokens behind them, all int32."""

    def __init__(self, rows: int, most_pages: int, tokens: int, device: torch.device) -> None:
        self._rows = rows
        self._width = HEADER + most_pages
        size = rows * self._width + tokens
        pinned = device.type == "cuda"
        host = torch.zeros(size, dtype=torch.int32, pin_memory=pinned)
        self._sent = torch.zeros(size, dtype=torch.int32, device=device) if pinned else host
        self._host = host
        numbers = host.numpy()
        self._table = numbers[: rows * self._width].reshape(rows, self._width)
        self._temperatures = self._table.view(np.float32)
        self._loose = numbers[rows * self._width :]
        self._written: list[list[int]] = [[] for _ in range(rows)]
        """The pages in each row's table."""

    # -- on the host ------------------------------------------------------------------------------------------

    def put(self, row: int, token: int, position: int, pages: Sequence[int], sampling: Sampling) -> None:
        numbers = self._table[row]
        numbers[0], numbers[1], numbers[2] = token, position, sampling.seed & 0x7FFFFFFF
        self._temperatures[row, 3] = sampling.temperature
        if self._written[row] != pages:  # mostly they are those of the last step
            self._written[row] = list(pages)
            numbers[HEADER : HEADER + len(pages)] = pages
            numbers[HEADER + len(pages) :] = 0

    def pad(self, rows: int) -> None:
        """All but the first ``rows`` are of no sequence: the first token of page 0."""
        if self._table[rows:, 1:].any():
            self._table[rows:] = 0
            self._written[rows:] = [[] for _ in range(self._rows - rows)]

    def put_tokens(self, tokens: Sequence[int]) -> None:
        self._loose[: len(tokens)] = tokens
        self._loose[len(tokens) :] = 0

    def send(self) -> None:
        """Begin to copy; the host's side must stay as it is until the work is done."""
        if self._sent is not self._host:
            self._sent.copy_(self._host, non_blocking=True)

    # -- on the device ----------------------------------------------------------------------------------------

    @property
    def rows(self) -> Tensor:
        return self._sent[: self._rows * self._width].view(self._rows, self._width)

    @property
    def tokens(self) -> Tensor:
        """(rows,) of the rows."""
        return self.rows[:, 0]

    @property
    def positions(self) -> Tensor:
        return self.rows[:, 1]

    @property
    def seeds(self) -> Tensor:
        return self.rows[:, 2].long()

    @property
    def temperatures(self) -> Tensor:
        return self.rows[:, 3].view(torch.float32)

    @property
    def tables(self) -> Tensor:
        return self.rows[:, HEADER:].contiguous()

    @property
    def loose(self) -> Tensor:
        """(tokens,) behind the rows."""
        return self._sent[self._rows * self._width :]
