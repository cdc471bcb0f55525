"""The embedded profile: whisper hears, a GGUF model thinks, hibari or espeak-ng speaks, on the cores there are.

What a caller waits for goes first, then guesses (models/urgency). Looks at unfinished turns (partial transcripts,
prepare) have threads of their own and end as soon as an answer is asked for; files are heard in turn with them. On two
cores: a thread for each of whisper's lanes (models/asr/whisper), all cores for the language model, one for hibari
(0.02 s a clause).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from voxrtc.models.hearing import Hearing
from voxrtc.models.profiles import Progress
from voxrtc.models.reading import Reading
from voxrtc.models.speaking import Speaking
from voxrtc.models.thinking import Thinking
from voxrtc.models.urgency import SPECULATIVE, Traffic, Urgency, until_done
from voxrtc.models.wire import (
    Answer,
    Clone,
    Cloned,
    Ending,
    Ends,
    Heard,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    ToolCall,
    Transcribe,
    unpack,
)
from voxrtc.settings import Settings


class Embedded:
    """voxrtc.models.profiles.Profile by small models, all of them in this process."""

    def __init__(self, settings: Settings) -> None:
        self.hearing = Hearing(settings.models)
        self.thinking = Thinking(settings)
        self.reading = Reading(settings.models)
        self.speaking = Speaking(settings)
        self._traffic = Traffic(self._hurry)

    async def load(self, progress: Progress) -> Ready:
        """Fetch what is missing, load, and run everything once. Raises StoreError, ModelsError."""
        began = time.monotonic()
        await asyncio.to_thread(self._load, progress)
        return Ready(
            profile="embedded",
            hears=self.hearing.title,
            thinks=self.thinking.title,
            speaks=self.speaking.title,
            voices=self.speaking.languages,
            hears_languages=self.hearing.languages,
            load_s=time.monotonic() - began,
            cloning=self.speaking.cloning,
        )

    def _load(self, progress: Progress) -> None:
        self.hearing.fetch(progress)
        self.thinking.fetch(progress)
        with ThreadPoolExecutor(2, "loading") as pool:  # most of it waits for the disk, or uses one core
            ears = pool.submit(self._load_ears_and_voices, progress)
            mind = pool.submit(self.thinking.load, progress)
            ears.result()
            mind.result()
            self.reading.load(progress)
        progress("ready", 1.0)

    def _load_ears_and_voices(self, progress: Progress) -> None:
        self.hearing.load(progress)
        self.speaking.load(progress)

    async def close(self) -> None:
        """Stop what runs, then free the models."""
        for room in (self.hearing, self.thinking, self.speaking, self.reading):
            await room.close()

    async def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]:
        if ask.partial:
            async with contextlib.aclosing(self.hearing.glance(ask.audio, ask.language)) as items:
                async for heard in items:
                    yield heard
            return
        if ask.patient:
            yield await until_done(partial(self.hearing.listen, ask.audio, ask.language), self._traffic)
            return
        with self._traffic.joined(Urgency()):
            async with contextlib.aclosing(self.hearing.hear(ask.audio, ask.language)) as items:
                async for heard in items:
                    yield heard

    async def answer(
        self, ask: Answer, urgency: Urgency | None = None
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        urgency = urgency or Urgency()
        with self._traffic.joined(urgency):
            text = ask.text or ""
            if ask.audio is not None:
                await self._traffic.clear(urgency)
                async with contextlib.aclosing(self.hearing.hear(ask.audio, ask.language, urgency)) as items:
                    async for heard in items:
                        text = heard.text
                        yield heard
            if not text.strip():
                return
            await self._traffic.clear(urgency)
            async with contextlib.aclosing(self.thinking.answer(ask, text, urgency)) as said:
                async for piece in said:
                    yield piece

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        """Yields nothing. Does nothing while a caller waits for something, and stops as soon as one does."""
        if self._traffic.any or not ask.text.strip():
            return
        async with contextlib.aclosing(self.thinking.prepare(ask)) as items:
            async for said in items:
                yield said

    def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        return self.reading.ends(ask)

    async def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        self._hurry(SPECULATIVE)
        async with contextlib.aclosing(self.speaking.speak(ask, urgency)) as items:
            async for speech in items:
                yield speech

    async def clone(self, ask: Clone) -> AsyncGenerator[Cloned, None]:
        yield Cloned(await self.speaking.clone(ask.name, unpack(ask.audio), ask.rate))

    def forget(self, name: str) -> None:
        self.speaking.forget(name)

    def _hurry(self, level: int) -> None:
        """Something of this urgency has come: what is less urgent gives way."""
        self.hearing.hurry(level)
        self.thinking.hurry(level)
