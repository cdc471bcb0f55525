"""Pieces of GPU work, captured once as CUDA graphs and replayed: one launch in place of hundreds.

A piece reads tensors that stay where they are and returns tensors that do, too. All pieces of a runner share one pool
of memory, since no two of them run at once: what a piece returns is to be read before the next one runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")

WARM_UPS = 3
"""Runs before a capture: libraries pick their kernels and take their workspaces, compilers compile."""


class Pieces:
    """Makes pieces for one device. ``captures``: as CUDA graphs; else they are called as they are."""

    def __init__(self, device: torch.device, captures: bool) -> None:
        self._captures = captures and device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._captures else None
        self._device = device
        # One for all warm-ups: cuBLAS keeps memory for each stream that it has ever seen.
        self._side = torch.cuda.Stream(device) if self._captures else None  # type: ignore[no-untyped-call]

    @property
    def captures(self) -> bool:
        return self._captures

    def make(self, work: Callable[[], T]) -> Piece[T]:
        """``work`` as a piece, warm. Everything it reads must have its final shape, and may have any content."""
        side = self._side
        if side is None:
            return Piece(work, None, None)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads of this process may use the GPU meanwhile (whisper, the voice).
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            result = work()
        return Piece(work, graph, result)


class Piece(Generic[T]):
    """One piece of work."""

    def __init__(self, work: Callable[[], T], graph: torch.cuda.CUDAGraph | None, result: T | None) -> None:
        self._work = work
        self._graph = graph
        self._result = result

    def __call__(self) -> T:
        """Do it. The result is overwritten by the next piece that runs."""
        if self._graph is None:
            return self._work()
        self._graph.replay()
        return self._result  # type: ignore[return-value]  # what the work returned
