"""The room where whisper hears: turns that were spoken to their end, and looks at unfinished ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import numpy as np

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models import threads
from voxrtc.models.asr.whisper import CAREFUL_S, SHORTEST_S, Whisper
from voxrtc.models.profiles import Progress
from voxrtc.models.store import ensure
from voxrtc.models.urgency import GAVE_WAY, LAST, Urgency
from voxrtc.models.wire import Heard, unpack
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Models

LANGUAGES = ["en", "es", "fr", "de", "it", "pt", "ja", "ko", "zh", "ms", "hi"]
"""What whisper-base makes usable text of; the others it fails on."""
LOOKS = 4
"""Looks at unfinished turns that may wait; when more come the oldest are refused."""


class Hearing:
    """One whisper, two threads: looks at unfinished turns have their own, and end as soon as an answer is asked for."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._folder: Path | None = None
        self._whisper: Whisper | None = None
        self._ears = Worker("hearing", models.max_waiting)
        self._glances = Worker("hearing unfinished turns", LOOKS)

    @property
    def title(self) -> str:
        return f"{self._models.whisper} (int8, ctranslate2)"

    def fetch(self, progress: Progress) -> None:
        """Have the files in the store. Raises StoreError."""
        self._folder = ensure(self._models.whisper, self._models.cache_path, progress)

    def load(self, progress: Progress) -> None:
        """Load it, and run it as a call will. Blocks; raises ModelsError, StoreError."""
        if self._folder is None:
            self.fetch(progress)
        assert self._folder is not None
        progress(f"loading {self._models.whisper}", 0.0)
        whisper = Whisper(self._folder, threads.count(self._models.threads))
        hiss = np.random.default_rng(0).standard_normal(int(CAREFUL_S * HEARD_RATE), np.float32) * 0.01
        for seconds in (SHORTEST_S / 2, CAREFUL_S - 2):
            whisper.hear(hiss[: int(seconds * HEARD_RATE)], "en")
        self._whisper = whisper

    async def hear(
        self, audio: bytes, language: str | None, urgency: Urgency | None = None
    ) -> AsyncGenerator[Heard, None]:
        """The words of packed samples; ``language`` None or "auto" to detect it. A guess raises GaveWay."""
        stream = self._ears.stream(self._hear(audio, language), urgency or Urgency())
        async with contextlib.aclosing(stream) as items:
            async for heard in items:
                yield heard

    async def glance(self, audio: bytes, language: str | None) -> AsyncGenerator[Heard, None]:
        """As ``hear``, but gives way to everything else: ends with what there is by then."""
        async with contextlib.aclosing(self._glances.stream(self._hear(audio, language), LAST)) as items:
            async for heard in items:
                yield heard

    def hurry(self, level: int) -> None:
        """Something of this urgency has come: what is less urgent gives way."""
        self._ears.hurry(level)
        self._glances.hurry(level)

    async def close(self) -> None:
        """Stop what runs, then free the model."""
        for worker in (self._ears, self._glances):
            await asyncio.to_thread(worker.close)
        self._whisper = None

    def _hear(self, audio: bytes, language: str | None) -> Callable[[Job[Heard]], None]:
        whisper = self._whisper
        if whisper is None:
            raise ModelsError("the models are not loaded yet")

        def work(job: Job[Heard]) -> None:
            known = None if language in ("", "auto") else language
            heard = whisper.hear(unpack(audio), known, job.stops)
            if job.gave_way and job.priority < LAST:
                raise GaveWay(GAVE_WAY)
            job.emit(heard)

        return work
