"""The room where a GGUF model thinks: it answers in words or calls a function, and reads ahead."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models import threads
from voxrtc.models.llm.gguf import Gguf, Sampling
from voxrtc.models.llm.slots import Slots
from voxrtc.models.profiles import Progress
from voxrtc.models.store import ensure
from voxrtc.models.urgency import GAVE_WAY, LAST, Urgency
from voxrtc.models.wire import Answer, Prepare, Said, ToolCall
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Settings

TITLES = {
    "qwen2.5-1.5b": "Qwen2.5-Coder 1.5B Instruct (Q4_K_M, llama.cpp)",
    "smollm2-135m": "SmolLM2 135M Instruct (Q4_1, llama.cpp)",
}


class Thinking:
    """One language model on all cores (bound by memory, but its prompts are not), with a slot for each of the sessions
    that spoke last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        models = settings.models
        self._folder: Path | None = None
        self.gguf: Gguf | None = None
        """Once it is loaded."""
        self._slots = Slots(models.slots)
        self._mind = Worker("the language model", models.max_waiting, models.slots)

    @property
    def title(self) -> str:
        return TITLES[self._settings.models.llm]

    def fetch(self, progress: Progress) -> None:
        """Have the file in the store. Raises StoreError."""
        self._folder = ensure(self._settings.models.llm, self._settings.models.cache_path, progress)

    def load(self, progress: Progress) -> None:
        """Load it, with the system prompt's state in every slot. Blocks; raises ModelsError, StoreError."""
        if self._folder is None:
            self.fetch(progress)
        assert self._folder is not None
        models = self._settings.models
        progress(f"loading {models.llm}", 0.2)
        gguf = Gguf(
            next(self._folder.glob("*.gguf")),
            threads=threads.count(models.threads),
            slots=models.slots,
            context_tokens=models.context_tokens,
        )
        system = self._settings.system_prompt
        for slot in range(models.slots):
            progress("reading the system prompt", 0.6 + 0.4 * slot / models.slots)
            gguf.generate(system, [], "Hello.", slot, Sampling(2, 0.0), lambda text: None)
        self.gguf = gguf

    async def answer(self, ask: Answer, text: str, urgency: Urgency) -> AsyncGenerator[Said | ToolCall, None]:
        """What the model says to ``text``, which is the caller's turn in words. A guess raises GaveWay."""
        with self._slots.use(ask.session) as slot:
            async with contextlib.aclosing(self._mind.stream(self._think(ask, text, slot), urgency)) as said:
                async for piece in said:
                    yield piece

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        """Read what the caller seems to be saying. Yields nothing; gives way to everything else."""
        with self._slots.use(ask.session) as slot:
            async with contextlib.aclosing(self._mind.stream(self._read(ask, slot), LAST)) as items:
                async for said in items:
                    yield said

    def hurry(self, level: int) -> None:
        """Something of this urgency has come: what is less urgent gives way."""
        self._mind.hurry(level)

    async def close(self) -> None:
        """Stop what runs, then free the model."""
        await asyncio.to_thread(self._mind.close)
        if self.gguf is not None:
            self.gguf.close()
            self.gguf = None

    @property
    def _loaded(self) -> Gguf:
        if self.gguf is None:
            raise ModelsError("the models are not loaded yet")
        return self.gguf

    def _think(self, ask: Answer, text: str, slot: int) -> Callable[[Job[Said | ToolCall]], None]:
        gguf = self._loaded

        def work(job: Job[Said | ToolCall]) -> None:
            def call(name: str, arguments: str) -> None:
                job.emit(ToolCall(name, arguments, secrets.token_urlsafe(9)))

            if job.stops():  # told while it waited: not even begun, since its first step would be one of the others'
                raise GaveWay(GAVE_WAY)
            gguf.generate(
                ask.system,
                ask.history,
                text,
                slot,
                Sampling(ask.max_tokens, ask.temperature, ask.seed),
                lambda piece: job.emit(Said(piece)),
                job.stops,
                tools=ask.tools,
                steps=ask.steps,
                call=call if ask.may_call else None,
            )
            if job.gave_way:
                raise GaveWay(GAVE_WAY)

        return work

    def _read(self, ask: Prepare, slot: int) -> Callable[[Job[Said]], None]:
        gguf = self._loaded

        def work(job: Job[Said]) -> None:
            if job.stops():  # as above
                return
            gguf.generate(
                ask.system,
                ask.history,
                ask.text,
                slot,
                Sampling(1, 0.0),
                lambda piece: None,
                job.stops,
                tools=ask.tools,
            )

        return work
