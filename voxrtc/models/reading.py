"""The room where a small language model reads whether somebody who said these words is done (models.llm.ending)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from voxrtc.models.llm.ending import READS, UNKNOWN
from voxrtc.models.llm.gguf import Gguf
from voxrtc.models.profiles import Progress
from voxrtc.models.store import ensure
from voxrtc.models.wire import Ending, Ends
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Models


class Reading:
    """``models.turns`` reads, or nobody does."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._turns: Gguf | None = None
        self._reader = Worker("reading for the end of a turn", models.max_waiting)

    def load(self, progress: Progress) -> None:
        """Load it, where one is wanted. Blocks; raises ModelsError, StoreError."""
        if self._models.turns != "none":
            folder = ensure(self._models.turns, self._models.cache_path, progress)
            # One thread: half a sentence takes it 15 ms, and the cores belong to the answer that is made meanwhile.
            turns = Gguf(next(folder.glob("*.gguf")), threads=1, slots=1, context_tokens=512)
            turns.ending("Hello there.")
            self._turns = turns

    async def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        """One Ending; negative where nothing reads, or not this language."""
        if self._turns is None or ask.language not in READS:
            yield Ending(UNKNOWN)
            return
        async with contextlib.aclosing(self._reader.stream(_read(self._turns, ask.text))) as items:
            async for ending in items:
                yield ending

    async def close(self) -> None:
        """Stop what runs, then free the model."""
        await asyncio.to_thread(self._reader.close)
        if self._turns is not None:
            self._turns.close()
            self._turns = None


def _read(turns: Gguf, text: str) -> Callable[[Job[Ending]], None]:
    def work(job: Job[Ending]) -> None:
        job.emit(Ending(turns.ending(text)))

    return work
