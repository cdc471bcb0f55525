"""The voxtral profile: Voxtral hears and thinks, for all callers in one loop; whisper hears what Voxtral does not.

The caller's sound is encoded once, for two sequences that go on side by side: the answer and the transcript.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voxrtc.audio import HEARD_RATE, Samples, level_dbfs
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.languages import NAMES, voxtral_hears
from voxrtc.models import hub
from voxrtc.models.asr.whisper import LEAST_S, SILENT_DBFS
from voxrtc.models.broken import end_host
from voxrtc.models.hearing import Hearing
from voxrtc.models.profiles import Progress
from voxrtc.models.reading import Reading
from voxrtc.models.speaking import Speaking
from voxrtc.models.tts import choice, others
from voxrtc.models.urgency import FIRST, LAST, PATIENT, Traffic, Urgency, until_done
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

if TYPE_CHECKING:
    from voxrtc.models.voxtral.mind import Mind
    from voxrtc.models.voxtral.sequence import Runner

PACKAGES = ("torch", "transformers", "mistral_common")
INSTALL = "pip install -c constraints.txt -e '.[gpu]'"
MakeRunner = Callable[[Settings, Progress], "Runner"]


class Voxtral:
    """voxrtc.models.profiles.Profile. ``make_runner``: for tests; ``on_broken``: called when the loop has died."""

    def __init__(
        self,
        settings: Settings,
        make_runner: MakeRunner | None = None,
        on_broken: Callable[[ModelsError], None] = end_host,
    ) -> None:
        self._settings = settings
        self._make_runner = make_runner
        self._on_broken = on_broken
        self.hearing = Hearing(settings.models, settings.models.device)
        self.reading = Reading(settings.models)
        self.speaking = Speaking(settings)
        self.mind: Mind | None = None
        """Once it is loaded."""
        self._traffic = Traffic(self.hearing.hurry)

    # -- the start ------------------------------------------------------------------------------------------

    async def load(self, progress: Progress) -> Ready:
        """Fetch what is missing, load, and run everything once. Raises StoreError, ModelsError."""
        began = time.monotonic()
        _check_packages()
        folder = await asyncio.to_thread(self._fetch, progress)
        from voxrtc.models.voxtral.mind import Mind
        from voxrtc.models.voxtral.tokens import Tokens

        tokens = Tokens(folder)
        runner = await asyncio.to_thread(self._load, folder, progress)
        self.mind = Mind(runner, tokens, self._settings.models.max_waiting, self._on_broken)
        report: dict[str, str] = runner.report() if hasattr(runner, "report") else {}
        name = Path(self._settings.models.voxtral).name
        languages = [code for code in NAMES if voxtral_hears(code) or code in self.hearing.languages]
        return Ready(
            profile="voxtral",
            hears=f"{name}; {self.hearing.title} for what it does not hear",
            thinks=f"{name} ({', '.join(f'{what}: {how}' for what, how in report.items())})" if report else name,
            speaks=self.speaking.title,
            voices=self.speaking.languages,
            hears_languages=languages,
            load_s=time.monotonic() - began,
            cloning=self.speaking.cloning,
        )

    def _fetch(self, progress: Progress) -> Path:
        """The folder of the checkpoint; whisper's files are in the store after it."""
        folder = hub.checkpoint(self._settings.models.voxtral, progress)
        self.hearing.fetch(progress)
        return folder

    def _load(self, folder: Path, progress: Progress) -> Runner:
        models = self._settings.models.model_copy(update={"voxtral": str(folder)})
        settings = self._settings.model_copy(update={"models": models})
        # First: of the GPU's memory the runner takes what is left, and nobody may load while it captures its graphs.
        self.hearing.load(progress)
        if choice.engine(settings) == "chatterbox" or others.on_gpu(settings):
            self.speaking.load(progress)
        with ThreadPoolExecutor(1, "loading") as pool:
            rooms = pool.submit(self._load_rooms, progress)
            runner = (self._make_runner or _make_runner)(settings, progress)
            rooms.result()
        progress("ready", 1.0)
        return runner

    def _load_rooms(self, progress: Progress) -> None:
        """What works on the CPU."""
        if not self.speaking.voices:
            self.speaking.load(progress)
        self.reading.load(progress)

    async def close(self) -> None:
        """Stop what runs, then free the models."""
        if self.mind is not None:
            await asyncio.to_thread(self.mind.close)
            self.mind = None
        for room in (self.hearing, self.speaking, self.reading):
            await room.close()

    # -- the verbs --------------------------------------------------------------------------------------------

    async def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]:
        """Of a look at an unfinished turn that gives way: no words."""
        urgency = Urgency(LAST if ask.partial else FIRST)
        mind, samples = self._loaded, unpack(ask.audio)
        if _silent(samples):
            yield Heard("", ask.language or "", 0.0)
            return
        if ask.patient:
            yield await self._patiently(ask, samples)
            return
        with contextlib.ExitStack() as stack:
            if not ask.partial:
                stack.enter_context(self._traffic.joined(urgency))
            language = await self._language(ask.audio, ask.language, urgency)
            if voxtral_hears(language):
                words = mind.transcribe(samples, language, urgency)
            else:
                hear = self.hearing.glance if ask.partial else self.hearing.hear
                words = hear(ask.audio, language)
            async with contextlib.aclosing(words) as items:
                try:
                    async for heard in items:
                        yield heard
                except GaveWay:
                    yield Heard("", language, 0.0)

    async def _patiently(self, ask: Transcribe, samples: Samples) -> Heard:
        """The words of a piece of a file. Voxtral takes them along with whatever else it does; whisper hears while
        nobody waits for anything."""
        mind, language = self._loaded, await self._language(ask.audio, ask.language, Urgency(PATIENT))
        if voxtral_hears(language):
            return await until_done(lambda level: mind.transcribe(samples, language, Urgency(level)))
        return await until_done(partial(self.hearing.listen, ask.audio, language), self._traffic)

    async def answer(
        self, ask: Answer, urgency: Urgency | None = None
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        urgency = urgency or Urgency()
        with self._traffic.joined(urgency):
            async with contextlib.aclosing(self._answer(ask, urgency)) as items:
                async for item in items:
                    yield item

    async def _answer(self, ask: Answer, urgency: Urgency) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        mind = self._loaded
        if ask.audio is not None:
            samples = unpack(ask.audio)
            if _silent(samples):
                yield Heard("", ask.language or "", 0.0)
                return
            language = await self._language(ask.audio, ask.language, urgency)
            if voxtral_hears(language):
                async with contextlib.aclosing(mind.answer_sound(ask, samples, language, urgency)) as both:
                    async for item in both:
                        yield item
                return
            await self._traffic.clear(urgency)
            async with contextlib.aclosing(self.hearing.hear(ask.audio, language, urgency)) as items:
                async for heard in items:
                    ask = msgspec.structs.replace(ask, audio=None, text=heard.text.strip())
                    yield heard
        if not ask.text or not ask.text.strip():
            return
        async with contextlib.aclosing(mind.answer_text(ask, urgency)) as said:
            async for piece in said:
                yield piece

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        """Yields nothing: reads the conversation so far, as far as nobody waits for anything else."""
        with contextlib.suppress(GaveWay):
            await self._loaded.prepare(ask)
        return
        yield Said("")

    def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        return self.reading.ends(ask)

    def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        return self.speaking.speak(ask, urgency)

    async def clone(self, ask: Clone) -> AsyncGenerator[Cloned, None]:
        yield Cloned(await self.speaking.clone(ask.name, unpack(ask.audio), ask.rate))

    def forget(self, name: str) -> None:
        self.speaking.forget(name)

    async def _language(self, audio: bytes, language: str | None, urgency: Urgency) -> str:
        """The language that was asked for, or else the one that whisper takes it for."""
        if language not in (None, "", "auto"):
            return language
        await self._traffic.clear(urgency)
        return (await self.hearing.detect(audio, urgency))[0]

    @property
    def _loaded(self) -> Mind:
        if self.mind is None:
            raise ModelsError("the models are not loaded yet")
        return self.mind


def _make_runner(settings: Settings, progress: Progress) -> Runner:
    from voxrtc.models.voxtral.build import make  # torch comes with it

    return make(settings, progress)


def _silent(samples: Samples) -> bool:
    """Whether there is nothing in it that anybody could have said."""
    return samples.size < LEAST_S * HEARD_RATE or level_dbfs(samples) < SILENT_DBFS


def _check_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelsError(
            f'models.profile = "voxtral" needs packages that are not installed ({", ".join(missing)}); run: {INSTALL}'
        )
