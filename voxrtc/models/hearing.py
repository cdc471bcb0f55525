"""The room where whisper hears: turns that were spoken to their end, and looks at unfinished ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import numpy as np

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.languages import LANGUAGES
from voxrtc.models import threads
from voxrtc.models.asr import choice
from voxrtc.models.asr.whisper import CAREFUL_S, COMPUTE, SHORTEST_S, Whisper
from voxrtc.models.profiles import Progress
from voxrtc.models.store import ensure
from voxrtc.models.urgency import FIRST, GAVE_WAY, LAST, PATIENT, Urgency
from voxrtc.models.wire import Heard, unpack
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Models

logger = logging.getLogger(__name__)

LOOKS = 4
"""Looks at unfinished turns that may wait; when more come the oldest are refused."""


class Hearing:
    """One whisper, two threads: looks at unfinished turns have their own, and end as soon as an answer is asked for."""

    def __init__(self, models: Models, device: str = "cpu") -> None:
        """``device``: "cuda" to hear on the GPU, if whisper's runtime can use the one that is there."""
        self._models = models
        self._device = device
        self._name = choice.whisper(models) if device == "cuda" else models.whisper
        self._folder: Path | None = None
        self._whisper: Whisper | None = None
        self._ears = Worker("hearing", models.max_waiting)
        self._glances = Worker("hearing unfinished turns", LOOKS)
        self._listening = asyncio.Lock()
        """One piece of a file at a time: a look waits for no more than one."""

    @property
    def title(self) -> str:
        compute = self._whisper.compute if self._whisper is not None else COMPUTE[self._device]
        return f"{self._name} ({compute}, ctranslate2)"

    @property
    def languages(self) -> list[str]:
        """What it makes usable text of."""
        base = self._name == choice.BASE
        return [code for code, language in LANGUAGES.items() if language.base or not base]

    def fetch(self, progress: Progress) -> None:
        """Have the files in the store. Raises StoreError."""
        self._folder = ensure(self._name, self._models.cache_path, progress)

    def load(self, progress: Progress) -> None:
        """Load it, and run it as a call will. Blocks; raises ModelsError, StoreError."""
        if self._folder is None:
            self.fetch(progress)
        assert self._folder is not None
        progress(f"loading {self._name}", 0.0)
        if self._device == "cuda" and self._on_gpu(progress):
            return
        self._whisper = self._warm("cpu")

    def _on_gpu(self, progress: Progress) -> bool:
        """Load it there. Where that is not possible the base one is taken for the CPU, if it may be chosen: the large
        one is slower there than callers speak."""
        reason = choice.lacking()
        if not reason:
            try:
                self._whisper = self._warm("cuda")
                return True
            except (ModelsError, RuntimeError) as error:  # no CUDA device, or not the libraries that ctranslate2 wants
                reason = str(error)
        if self._models.asr == "auto" and self._name != choice.BASE:
            self._name = choice.BASE
            self.fetch(progress)
        logger.warning("%s hears on the CPU, since it cannot use the GPU: %s", self._name, reason)
        return False

    def _warm(self, device: str) -> Whisper:
        assert self._folder is not None
        whisper = Whisper(self._folder, threads.count(self._models.threads), device)
        hiss = np.random.default_rng(0).standard_normal(int(CAREFUL_S * HEARD_RATE), np.float32) * 0.01
        for seconds in (SHORTEST_S / 2, CAREFUL_S - 2):
            whisper.hear(hiss[: int(seconds * HEARD_RATE)], "en")
        return whisper

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

    async def listen(self, audio: bytes, language: str | None, level: int = PATIENT) -> AsyncGenerator[Heard, None]:
        """As ``hear``, for who has time: in the thread of the looks, in turn with them, so that a turn never waits for
        it. Raises GaveWay, within a native step, where somebody came to wait for something; not with ``level`` FIRST:
        it has waited long enough."""
        async with self._listening:
            work = self._hear(audio, language, gives_way=level != FIRST)
            async with contextlib.aclosing(self._glances.stream(work, FIRST if level == FIRST else LAST)) as items:
                async for heard in items:
                    yield heard

    async def detect(self, audio: bytes, urgency: Urgency | None = None) -> tuple[str, float]:
        """The language of packed samples (ISO 639-1), and its probability; "" where there is no sound."""
        whisper = self._loaded

        def work(job: Job[tuple[str, float]]) -> None:
            job.emit(whisper.detect(unpack(audio)))

        async with contextlib.aclosing(self._ears.stream(work, urgency or Urgency())) as items:
            async for found in items:
                return found
        return "", 0.0

    def hurry(self, level: int) -> None:
        """Something of this urgency has come: what is less urgent gives way."""
        self._ears.hurry(level)
        self._glances.hurry(level)

    async def close(self) -> None:
        """Stop what runs, then free the model."""
        for worker in (self._ears, self._glances):
            await asyncio.to_thread(worker.close)
        self._whisper = None

    @property
    def _loaded(self) -> Whisper:
        if self._whisper is None:
            raise ModelsError("the models are not loaded yet")
        return self._whisper

    def _hear(self, audio: bytes, language: str | None, *, gives_way: bool = False) -> Callable[[Job[Heard]], None]:
        whisper = self._loaded

        def work(job: Job[Heard]) -> None:
            known = None if language in ("", "auto") else language
            heard = whisper.hear(unpack(audio), known, job.stops)
            if job.gave_way and (gives_way or job.priority < LAST):
                raise GaveWay(GAVE_WAY)
            job.emit(heard)

        return work
