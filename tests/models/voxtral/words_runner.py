"""For tests only: a runner without a model that says scripted words. What it is given is kept in pages, as the scripted
runner keeps it, so that wrong pages show; what it picks depends on whether the prompt asks for a transcript."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterable, Sequence

from voxrtc.models.voxtral.sequence import Chunk, Clip, Pick, Row
from voxrtc.models.voxtral.tokens import Tokens


class WordsRunner:
    """``transcripts`` and ``replies``: the texts of each in order, the last one repeated; ids instead of text are given
    as they are. ``hold``: cleared, nothing goes on, until it is set."""

    page_size, pages, rows = 64, 512, 8

    def __init__(
        self,
        tokens: Tokens,
        transcripts: Iterable[str] = (),
        replies: Iterable[str | list[int]] = (),
        context: int = 4096,
    ) -> None:
        self.tokens = tokens
        self.context = context
        self.transcripts, self.replies = list(transcripts), list(replies)
        self.hold = threading.Event()
        self.hold.set()
        self.holds_before = 0
        """The step before which it holds by itself; 0 for none."""
        self.held = threading.Event()
        """Once it does."""
        self.steps = 0
        self.encoded: list[int] = []
        self.failing: set[str] = set()
        self.prompts: list[list[int]] = []
        """Every prompt that was read to its end."""
        self.closed = False
        self._memory: dict[tuple[int, int], int] = {}
        self._going: dict[int, list[int]] = {}
        """What is still to be picked, by the sequence's first page."""

    def chunk_size(self, rows: int, limit_ms: float) -> int:
        return 256

    def encode(self, clip: Clip) -> Generator[None, None, None]:
        yield
        self.encoded.append(clip.key)
        clip.embeds = clip.key  # type: ignore[assignment]  # stands for the tensor

    def prefill(self, chunk: Chunk) -> Pick | None:
        self.hold.wait(10)
        for offset, number in enumerate(chunk.ids):
            self._write(chunk.pages, chunk.start + offset, number)
        if not chunk.last:
            return None
        whole = [self._read(chunk.pages, at) for at in range(chunk.start + len(chunk.ids))]
        self.prompts.append(whole)
        of_transcript = whole[-1] == self.tokens.transcribe
        if ("transcript" if of_transcript else "reply") in self.failing:
            raise RuntimeError("scripted")
        script = self.transcripts if of_transcript else self.replies
        words = script.pop(0) if len(script) > 1 else script[0]
        ids = self.tokens.encode(words) if isinstance(words, str) else list(words)
        self._going[chunk.pages[0]] = [*ids, self.tokens.eos]
        return self._pick(chunk.pages)

    def decode(self, rows: Sequence[Row]) -> list[Pick]:
        self.steps += 1
        if self.steps == self.holds_before:
            self.hold.clear()
            self.held.set()
        self.hold.wait(10)
        for row in rows:
            self._write(row.pages, row.position, row.token)
        return [self._pick(row.pages) for row in rows]

    def close(self) -> None:
        self.closed = True

    def _pick(self, pages: Sequence[int]) -> Pick:
        return Pick(self._going[pages[0]].pop(0), math.log(0.5))

    def _write(self, pages: Sequence[int], position: int, number: int) -> None:
        self._memory[pages[position // self.page_size], position % self.page_size] = number

    def _read(self, pages: Sequence[int], position: int) -> int:
        return self._memory[pages[position // self.page_size], position % self.page_size]
