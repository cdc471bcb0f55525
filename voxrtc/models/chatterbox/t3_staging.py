"""What one piece of T3's work is told, as one array of numbers: written on the host, sent to the GPU in one copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

INTEGERS = ("row", "token", "position", "frame", "text", "ends", "seed")
FLOATS = ("temperature", "weight", "min_p", "penalty")
_WIDTH = len(INTEGERS) + len(FLOATS)


@dataclass(frozen=True, slots=True)
class Told:
    """Of one row: ``token`` is its last one, to be written at ``position`` of its sequences, the ``frame``-th of its
    speech tokens (0: START). Its text has ``text`` tokens. ``ends``: it is to say STOP now. The rest: parts.Manner."""

    row: int
    token: int
    position: int
    frame: int
    text: int
    ends: bool
    seed: int
    temperature: float
    weight: float
    min_p: float
    penalty: float


class Staging:
    """``size`` rows, and ``tokens`` loose tokens behind them, all int32. What is not told is the row ``spare``."""

    def __init__(self, size: int, tokens: int, spare: int, device: torch.device) -> None:
        pinned = device.type == "cuda"
        self._size, self._spare = size, spare
        host = torch.zeros(size * _WIDTH + tokens, dtype=torch.int32, pin_memory=pinned)
        self._host = host
        self._sent = torch.zeros_like(host, device=device) if pinned else host
        numbers = host.numpy()
        self._integers = numbers[: size * _WIDTH].reshape(size, _WIDTH)
        self._floats = self._integers.view(np.float32)
        self._loose = numbers[size * _WIDTH :]
        self._copied = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call]

    def put(self, rows: Sequence[Told], tokens: Sequence[int] = ()) -> None:
        """Tell these, at most ``size`` and ``tokens``; begins to copy, after the copy before."""
        if self._copied is not None:
            self._copied.synchronize()
        count, split = len(rows), len(INTEGERS)
        for number, told in enumerate(rows):
            self._integers[number, :split] = [int(getattr(told, name)) for name in INTEGERS]
            self._floats[number, split:] = [getattr(told, name) for name in FLOATS]
        self._integers[count:] = 0
        self._integers[count:, 0] = self._spare
        self._loose[: len(tokens)] = tokens
        self._loose[len(tokens) :] = 0
        if self._copied is not None:
            self._sent.copy_(self._host, non_blocking=True)
            self._copied.record()

    def integers(self, name: str) -> Tensor:
        """(size,) int64."""
        return self._table[:, INTEGERS.index(name)].long()

    def floats(self, name: str) -> Tensor:
        """(size,) float32."""
        return self._table.view(torch.float32)[:, len(INTEGERS) + FLOATS.index(name)]

    @property
    def loose(self) -> Tensor:
        """(tokens,) int64."""
        return self._sent[self._size * _WIDTH :].long()

    @property
    def _table(self) -> Tensor:
        return self._sent[: self._size * _WIDTH].view(self._size, _WIDTH)
