"""The embedded profile: whisper hears, a GGUF model thinks, hibari or espeak-ng speaks, on the cores there are.

What a caller waits for goes first, then guesses (models/urgency). Looks at unfinished turns (partial transcripts,
prepare) have threads of their own and end as soon as an answer is asked for. On two cores: a thread for each of
whisper's lanes (models/asr/whisper), all cores for the language model (bound by memory, but its prompts are not), one
for hibari (0.02 s a clause).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models import threads
from voxrtc.models.asr.whisper import CAREFUL_S, SHORTEST_S, Whisper
from voxrtc.models.llm.ending import READS, UNKNOWN
from voxrtc.models.llm.gguf import Gguf, Sampling
from voxrtc.models.llm.slots import Slots
from voxrtc.models.profiles import Progress
from voxrtc.models.store import ensure
from voxrtc.models.tts import espeak
from voxrtc.models.tts.hibari import Hibari
from voxrtc.models.tts.voice import Voice
from voxrtc.models.urgency import FIRST, LAST, SPECULATIVE, Traffic, Urgency
from voxrtc.models.wire import (
    Answer,
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
    pack,
    unpack,
)
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Settings

THINKS = {
    "qwen2.5-1.5b": "Qwen2.5-Coder 1.5B Instruct (Q4_K_M, llama.cpp)",
    "smollm2-135m": "SmolLM2 135M Instruct (Q4_1, llama.cpp)",
}
HEARS = "whisper-base (int8, ctranslate2)"
SPEAKS = {"hibari": "hibari (English)", "espeak": "espeak-ng (17 languages)"}
HEARS_LANGUAGES = ["en", "es", "fr", "de", "it", "pt", "ja", "ko", "zh", "ms", "hi"]
"""What whisper-base makes usable text of; the others it fails on."""
GAVE_WAY = "a guess gave way to what another caller waits for"
LOOKS = 4
"""Partial transcripts and prepares that may wait; when more come the oldest are refused."""


@dataclass(frozen=True, slots=True)
class _Engines:
    whisper: Whisper
    gguf: Gguf
    turns: Gguf | None
    """Reads whether a turn's words are complete."""
    voices: dict[str, Voice]


class Embedded:
    """voxrtc.models.profiles.Profile by small models, all of them in this process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        models = settings.models
        self._engines: _Engines | None = None
        self._slots = Slots(models.slots)
        self._traffic = Traffic(self._hurry)
        self._ears = Worker("hearing", models.max_waiting)
        self._glances = Worker("hearing unfinished turns", LOOKS)
        self._mind = Worker("the language model", models.max_waiting, models.slots)
        self._mouth = Worker("the voice", models.max_waiting)
        self._reader = Worker("reading for the end of a turn", models.max_waiting)

    # -- the start ------------------------------------------------------------------------------------------

    async def load(self, progress: Progress) -> Ready:
        """Fetch what is missing, load, and run everything once. Raises StoreError, ModelsError."""
        began = time.monotonic()
        self._engines = await asyncio.to_thread(self._load, progress)
        voice = self._settings.tts.voice
        return Ready(
            profile="embedded",
            hears=HEARS,
            thinks=THINKS[self._settings.models.llm],
            speaks=SPEAKS[voice],
            voices={name: list(engine.languages) for name, engine in self._engines.voices.items()},
            hears_languages=HEARS_LANGUAGES,
            load_s=time.monotonic() - began,
        )

    def _load(self, progress: Progress) -> _Engines:
        models = self._settings.models
        hears, thinks = (ensure(name, models.cache_path, progress) for name in (models.whisper, models.llm))
        with ThreadPoolExecutor(2, "loading") as pool:  # most of it waits for the disk, or uses one core
            ears = pool.submit(self._load_ears_and_voices, hears, progress)
            mind = pool.submit(self._load_mind, thinks, progress)
            whisper, voices = ears.result()
            engines = _Engines(whisper, mind.result(), self._load_turns(progress), voices)
        progress("ready", 1.0)
        return engines

    def _load_ears_and_voices(self, folder: Path, progress: Progress) -> tuple[Whisper, dict[str, Voice]]:
        """Whisper and the voices, each run once as a call will."""
        progress(f"loading {self._settings.models.whisper}", 0.0)
        whisper = Whisper(folder, threads.count(self._settings.models.threads))
        hiss = np.random.default_rng(0).standard_normal(int(CAREFUL_S * HEARD_RATE), np.float32) * 0.01
        for seconds in (SHORTEST_S / 2, CAREFUL_S - 2):
            whisper.hear(hiss[: int(seconds * HEARD_RATE)], "en")
        progress("loading the voices", 0.1)
        voices: dict[str, Voice] = {}
        if self._settings.tts.voice == "hibari":
            voices["hibari"] = Hibari()
        if self._settings.tts.voice == "espeak" or espeak.installed():
            voices["espeak"] = espeak.Espeak()
        for voice in voices.values():
            for _ in voice.speak("Hello there, how are you?", "en", 1.0):
                progress("loading the voices", 0.2)
        return whisper, voices

    def _load_mind(self, folder: Path, progress: Progress) -> Gguf:
        """The language model, with the system prompt's state in every slot."""
        models = self._settings.models
        progress(f"loading {models.llm}", 0.2)
        gguf = Gguf(
            next(folder.glob("*.gguf")),
            threads=threads.count(models.threads),
            slots=models.slots,
            context_tokens=models.context_tokens,
        )
        system = self._settings.dialogue.system_prompt
        for slot in range(models.slots):
            progress("reading the system prompt", 0.6 + 0.4 * slot / models.slots)
            gguf.generate(system, [], "Hello.", slot, Sampling(2, 0.0), lambda text: None)
        return gguf

    def _load_turns(self, progress: Progress) -> Gguf | None:
        models = self._settings.models
        if models.turns == "none":
            return None
        folder = ensure(models.turns, models.cache_path, progress)
        # One thread: half a sentence takes it 15 ms, and the cores belong to the answer that is being made meanwhile.
        turns = Gguf(next(folder.glob("*.gguf")), threads=1, slots=1, context_tokens=512)
        turns.ending("Hello there.")
        return turns

    async def close(self) -> None:
        """Stop what runs, then free the models."""
        for worker in (self._ears, self._glances, self._mind, self._mouth, self._reader):
            await asyncio.to_thread(worker.close)
        if self._engines is not None:
            self._engines.gguf.close()
            if self._engines.turns is not None:
                self._engines.turns.close()
            self._engines = None

    # -- the verbs --------------------------------------------------------------------------------------------

    async def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]:
        if ask.partial:
            looking = self._glances.stream(self._hear(ask.audio, ask.language), LAST)
            async with contextlib.aclosing(looking) as items:
                async for heard in items:
                    yield heard
            return
        with self._traffic.joined(Urgency()):
            async with contextlib.aclosing(self._ears.stream(self._hear(ask.audio, ask.language))) as items:
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
                hearing = self._ears.stream(self._hear(ask.audio, ask.language), urgency)
                async with contextlib.aclosing(hearing) as items:
                    async for heard in items:
                        text = heard.text
                        yield heard
            if not text.strip():
                return
            await self._traffic.clear(urgency)
            with self._slots.use(ask.session) as slot:
                async with contextlib.aclosing(self._mind.stream(self._think(ask, text, slot), urgency)) as said:
                    async for piece in said:
                        yield piece

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        """Yields nothing. Does nothing while a caller waits for something, and stops as soon as one does."""
        if self._traffic.any or not ask.text.strip():
            return
        with self._slots.use(ask.session) as slot:
            async with contextlib.aclosing(self._mind.stream(self._read(ask, slot), LAST)) as items:
                async for said in items:
                    yield said

    async def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        if self._loaded.turns is None or ask.language not in READS:
            yield Ending(UNKNOWN)
            return
        async with contextlib.aclosing(self._reader.stream(self._read_for_end(ask.text))) as items:
            async for ending in items:
                yield ending

    async def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        """Takes one core for 0.02 s a sentence, so guesses give it way in the voice's own queue only."""
        self._hurry(SPECULATIVE)
        async with contextlib.aclosing(self._mouth.stream(self._say(ask), urgency or FIRST)) as items:
            async for speech in items:
                yield speech

    # -- what the threads do ----------------------------------------------------------------------------------

    def _hear(self, audio: bytes, language: str | None) -> Callable[[Job[Heard]], None]:
        whisper = self._loaded.whisper

        def work(job: Job[Heard]) -> None:
            known = None if language in ("", "auto") else language
            heard = whisper.hear(unpack(audio), known, job.stops)
            if job.gave_way and job.priority < LAST:
                raise GaveWay(GAVE_WAY)
            job.emit(heard)

        return work

    def _think(self, ask: Answer, text: str, slot: int) -> Callable[[Job[Said | ToolCall]], None]:
        gguf = self._loaded.gguf

        def work(job: Job[Said | ToolCall]) -> None:
            def call(name: str, arguments: str) -> None:
                job.emit(ToolCall(name, arguments, secrets.token_urlsafe(9)))

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
        gguf = self._loaded.gguf

        def work(job: Job[Said]) -> None:
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

    def _read_for_end(self, text: str) -> Callable[[Job[Ending]], None]:
        turns = self._loaded.turns
        assert turns is not None

        def work(job: Job[Ending]) -> None:
            job.emit(Ending(turns.ending(text)))

        return work

    def _say(self, ask: Speak) -> Callable[[Job[Speech]], None]:
        voice = self._voice(ask.voice or self._settings.tts.voice, ask.language)

        def work(job: Job[Speech]) -> None:
            for samples, start, end in voice.speak(ask.text, ask.language, ask.speed):
                if job.cancelled:  # else to its end, though a guess's may be told to give way: it takes no time
                    return
                job.emit(Speech(pack(samples), start, end))

        return work

    def _voice(self, name: str, language: str) -> Voice:
        """The voice of that name, or espeak where it does not speak ``language``. Raises ModelsError."""
        voices = self._loaded.voices
        if name not in SPEAKS:
            raise ModelsError(f"there is no voice '{name}'; there are {', '.join(voices)}")
        voice = voices.get(name)
        if voice is not None and language in voice.languages:
            return voice
        if "espeak" not in voices:
            raise ModelsError(espeak.MISSING)
        return voices["espeak"]

    @property
    def _loaded(self) -> _Engines:
        if self._engines is None:
            raise ModelsError("the models are not loaded yet")
        return self._engines

    def _hurry(self, level: int) -> None:
        """Something of this urgency has come: what is less urgent gives way."""
        for worker in (self._ears, self._glances, self._mind):
            worker.hurry(level)
