"""A runner that is watched: what each step of it took, and how many it was for."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from time import perf_counter

from voxrtc.bench.voxtral.timing import Wait
from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row, Runner


class Watched:
    """``runner`` as it is, and the times of its calls, in ms. Implements sequence.Runner.

    A stage of the encoder is only begun when its call returns: it is waited for here, by ``wait``, so that its time is
    its own and not that of what comes after it."""

    def __init__(self, runner: Runner, wait: Wait) -> None:
        self._runner = runner
        self._wait = wait
        self.steps: list[float] = []
        self.rows_of_steps: list[int] = []
        self.chunks: list[float] = []
        self.stages: list[float] = []

    @property
    def page_size(self) -> int:
        return self._runner.page_size

    @property
    def pages(self) -> int:
        return self._runner.pages

    @property
    def context(self) -> int:
        return self._runner.context

    @property
    def rows(self) -> int:
        return self._runner.rows

    def chunk_size(self, rows: int, limit_ms: float) -> int:
        return self._runner.chunk_size(rows, limit_ms)

    def encode(self, clip: Clip) -> Generator[None, None, None]:
        stages = self._runner.encode(clip)
        while True:
            began = perf_counter()
            try:
                next(stages)
            except StopIteration:
                return
            finally:
                self._wait()
                self.stages.append(_ms_since(began))
            yield

    def prefill(self, chunk: Chunk) -> Pick | None:
        began = perf_counter()
        pick = self._runner.prefill(chunk)
        self.chunks.append(_ms_since(began))
        return pick

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        began = perf_counter()
        picks = self._runner.decode(rows)
        self.steps.append(_ms_since(began))
        self.rows_of_steps.append(len(rows))
        return picks


def _ms_since(began: float) -> float:
    return 1_000.0 * (perf_counter() - began)
