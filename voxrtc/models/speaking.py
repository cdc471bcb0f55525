"""The room of the voices: hibari and espeak-ng, one thread for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from voxrtc.errors import ModelsError
from voxrtc.models.profiles import Progress
from voxrtc.models.tts import espeak
from voxrtc.models.tts.hibari import Hibari
from voxrtc.models.tts.voice import Voice
from voxrtc.models.urgency import FIRST, Urgency
from voxrtc.models.wire import Speak, Speech, pack
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Settings

TITLES = {"hibari": "hibari (English)", "espeak": "espeak-ng (17 languages)"}


class Speaking:
    """Takes one core for 0.02 s a sentence, so guesses give way in its own queue only."""

    def __init__(self, settings: Settings) -> None:
        self._voice = settings.tts.voice
        self.voices: dict[str, Voice] = {}
        """By name, once they are loaded."""
        self._mouth = Worker("the voice", settings.models.max_waiting)

    @property
    def title(self) -> str:
        return TITLES[self._voice]

    @property
    def languages(self) -> dict[str, list[str]]:
        """Each voice's, as Ready has them."""
        return {name: list(voice.languages) for name, voice in self.voices.items()}

    def load(self, progress: Progress) -> None:
        """Load the voices and have each say something. Blocks; raises ModelsError."""
        progress("loading the voices", 0.1)
        voices: dict[str, Voice] = {}
        if self._voice == "hibari":
            voices["hibari"] = Hibari()
        if self._voice == "espeak" or espeak.installed():
            voices["espeak"] = espeak.Espeak()
        for voice in voices.values():
            for _ in voice.speak("Hello there, how are you?", "en", 1.0):
                progress("loading the voices", 0.2)
        self.voices = voices

    async def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        """24 kHz samples of one clause. Raises ModelsError for a voice or a language that is not there."""
        async with contextlib.aclosing(self._mouth.stream(self._say(ask), urgency or FIRST)) as items:
            async for speech in items:
                yield speech

    async def close(self) -> None:
        """Stop what runs."""
        await asyncio.to_thread(self._mouth.close)
        self.voices = {}

    def _say(self, ask: Speak) -> Callable[[Job[Speech]], None]:
        voice = self._find(ask.voice or self._voice, ask.language)

        def work(job: Job[Speech]) -> None:
            for samples, start, end in voice.speak(ask.text, ask.language, ask.speed):
                if job.cancelled:  # else to its end, though a guess's may be told to give way: it takes no time
                    return
                job.emit(Speech(pack(samples), start, end))

        return work

    def _find(self, name: str, language: str) -> Voice:
        """The voice of that name, or espeak where it does not speak ``language``."""
        if not self.voices:
            raise ModelsError("the models are not loaded yet")
        if name not in TITLES:
            raise ModelsError(f"there is no voice '{name}'; there are {', '.join(self.voices)}")
        voice = self.voices.get(name)
        if voice is not None and language in voice.languages:
            return voice
        if "espeak" not in self.voices:
            raise ModelsError(espeak.MISSING)
        return self.voices["espeak"]
