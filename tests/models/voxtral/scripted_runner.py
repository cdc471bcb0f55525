"""For tests only: a runner without a model. It keeps the ids it is given in pages, as the real one keeps keys and
values, and what it picks next is a hash of all ids of the sequence as they really stand there: a wrong page, a stale
one, or another session's shows as wrong tokens. Time is virtual: each call moves ``now`` by its scripted cost.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from voxrtc.models.voxtral.request import Request
from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row, Sampling

VOCABULARY = 50
STAGES = 3


@dataclass(frozen=True)
class Costs:
    """Milliseconds."""

    call: float = 2.0
    token: float = 0.5
    step: float = 4.0
    row: float = 0.1
    stage: float = 3.0


class Failure(Exception):
    """What a scripted call fails with."""


def token_after(ids: Sequence[int], sampling: Sampling) -> int:
    """The token after ``ids``, the only one that a correct loop can come to."""
    return hash((*ids, sampling.seed)) % VOCABULARY


def alone(request: Request, context: int) -> list[int]:
    """What ``request`` is answered when nothing else runs."""
    ids, said = list(request.ids), []
    while len(said) < request.max_tokens and len(ids) < context:
        token = token_after(ids, request.sampling)
        if token in request.stop:
            break
        ids.append(token)
        said.append(token)
    return said


class ScriptedRunner:
    def __init__(
        self, pages: int = 64, page_size: int = 4, context: int = 64, rows: int = 4, costs: Costs | None = None
    ) -> None:
        self.pages, self.page_size, self.context, self.rows = pages, page_size, context, rows
        self.costs = costs or Costs()
        self.now = 0.0
        """Seconds."""
        self.fails: set[int] = set()
        """Numbers of the calls that fail, from 1."""
        self.failure: Exception = Failure("scripted")
        self.calls = 0
        self.prefilled: list[int] = []
        """Length of each chunk."""
        self.stepped: list[int] = []
        """Rows of each step."""
        self.encoded: list[int] = []
        """Keys of the clips, in the order of their ends."""
        self.given_up: list[int] = []
        self.order: list[str] = []
        """What was called: "encode", "prefill", "decode"."""
        self._memory: list[list[int | None]] = [[None] * page_size for _ in range(pages + 1)]

    def clock(self) -> float:
        return self.now

    def chunk_size(self, rows: int, limit_ms: float) -> int:
        return max(1, int((limit_ms - self.costs.call) / self.costs.token))

    def encode(self, clip: Clip) -> Generator[None, None, None]:
        try:
            for _ in range(STAGES - 1):
                self._call("encode", self.costs.stage)
                yield
            self._call("encode", self.costs.stage)
        except GeneratorExit:
            self.given_up.append(clip.key)
            raise
        self.encoded.append(clip.key)
        clip.embeds = clip.key  # type: ignore[assignment]  # stands for the tensor

    def prefill(self, chunk: Chunk) -> Pick | None:
        assert chunk.ids, "an empty chunk"
        self._call("prefill", self.costs.call + self.costs.token * len(chunk.ids))
        self.prefilled.append(len(chunk.ids))
        for number in {(-1 - id) >> 20 for id in chunk.ids if id < 0}:
            assert chunk.clips[number].embeds == number, "read before it was encoded"
        for offset, id in enumerate(chunk.ids):
            self._write(chunk.pages, chunk.start + offset, id)
        ids = self._read(chunk.pages, chunk.start + len(chunk.ids))
        return self._pick(ids, chunk.sampling) if chunk.last else None

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        assert 0 < len(rows) <= self.rows
        self._call("decode", self.costs.step + self.costs.row * len(rows))
        self.stepped.append(len(rows))
        for row in rows:
            assert row.position < self.context - 1
            self._write(row.pages, row.position, row.token)
        return [self._pick(self._read(row.pages, row.position + 1), row.sampling) for row in rows]

    def _call(self, what: str, cost: float) -> None:
        self.calls += 1
        self.now += cost / 1000
        self.order.append(what)
        if self.calls in self.fails:
            raise type(self.failure)(*self.failure.args)

    def _write(self, pages: Sequence[int], position: int, id: int) -> None:
        page = pages[position // self.page_size]
        assert 0 < page <= self.pages
        self._memory[page][position % self.page_size] = id

    def _read(self, pages: Sequence[int], count: int) -> list[int | None]:
        stored = [id for page in pages for id in self._memory[page]]
        assert len(stored) >= count
        return stored[:count]

    def _pick(self, ids: Sequence[int | None], sampling: Sampling) -> Pick:
        return Pick(token_after(ids, sampling), -0.5)  # type: ignore[arg-type]
