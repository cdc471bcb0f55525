"""The room of the voices: those of all engines there are, by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from voxrtc.audio import Samples
from voxrtc.errors import ModelsError, Unloadable
from voxrtc.languages import ALL, NAMES
from voxrtc.models.profiles import Progress
from voxrtc.models.tts import choice, espeak, names, others
from voxrtc.models.tts.engine import Cloning, Engine, Threaded
from voxrtc.models.tts.normalization import normalize
from voxrtc.models.tts.voice import Voice
from voxrtc.models.urgency import FIRST, Urgency
from voxrtc.models.wire import Speak, Speech
from voxrtc.models.worker import Worker
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

RETRY_S, RETRY_MOST_S = 300.0, 3_600.0
"""After which a voice that could not be loaded is asked again, twice as long after each further time, up to an hour:
whatever it lacked, its files or memory, may be there by then."""


@dataclass(slots=True)
class _Loss:
    """Why a voice could not be loaded for a language; when it is next asked, and how long after that the next time."""

    why: str
    again_at: float
    wait_s: float


class Speaking:
    """The engine that is configured, and espeak-ng where it is installed, for languages that this does not speak.

    ``engines``: in place of these, for tests; the first one speaks where no voice is asked for. ``clock``: seconds."""

    def __init__(
        self,
        settings: Settings,
        engines: Sequence[Engine] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._worker = Worker("the voice", settings.models.max_waiting)
        """Of the engines that have no thread of their own. Takes one core for 0.02 s a sentence, so guesses give way in
        its own queue only."""
        self._slow = Worker("the other voices", settings.models.max_waiting)
        """Of those that are loaded when they are first to speak: nobody else waits for that."""
        self._engines = list(engines) if engines is not None else self._configured()
        self.voices: dict[str, Engine] = {}
        """By name, once they are loaded; first the one that speaks where none is asked for."""
        self._lost: dict[tuple[str, str], _Loss] = {}
        """Voices that could not be loaded for a language: as many as both make at the most."""

    @property
    def title(self) -> str:
        return self._engines[0].title

    @property
    def languages(self) -> dict[str, list[str]]:
        """Each voice's, as Ready has them."""
        return {name: list(engine.voices[name]) for name, engine in self.voices.items()}

    def load(self, progress: Progress) -> None:
        """Load the voices and have each say something. Blocks; raises ModelsError, StoreError."""
        for engine in self._engines:
            engine.load(progress)
        first = self._first()
        voices: dict[str, Engine] = {first: self._engines[0]}
        for engine in self._engines:
            for name in engine.voices:
                voices.setdefault(name, engine)
        self.voices = voices

    async def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        """24 kHz samples of one clause. A voice that cannot be loaded is told to the log, once, and not asked for that
        language for some minutes: the next one that speaks it does. Raises ModelsError for a voice that is not there,
        and for a language that none of them speaks."""
        while True:
            engine, told = self._find(ask)
            try:
                async with contextlib.aclosing(_said(engine, told, urgency or Urgency(FIRST))) as items:
                    async for speech in items:
                        self._found(told)
                        yield speech
            except Unloadable as error:
                self._lose(told, error)
            else:
                self._found(told)  # there may be nothing to be heard
                return

    @property
    def cloning(self) -> bool:
        """Whether voices may be made of clips, and can be."""
        return self._settings.tts.allow_cloning and self._cloner() is not None

    async def clone(self, name: str, samples: Samples, rate: int) -> list[str]:
        """From now on ``name`` is a voice, made of the clip ``samples`` (n,) at ``rate`` Hz; returns the languages that
        it speaks. Raises BadClip where the clip is of no use, ModelsError where that is not allowed or not possible, or
        the name is taken."""
        if not self._settings.tts.allow_cloning:
            raise ModelsError("voices of clips are not allowed here; tts.allow_cloning would allow them")
        engine = self._cloner()
        if engine is None:
            raise ModelsError('voices of clips need tts.engine = "chatterbox"')
        if not names.possible(name):
            raise ModelsError(names.POSSIBLE)
        if why := names.taken(name, self.voices):
            raise ModelsError(why)
        await engine.clone(name, samples, rate)
        return list(engine.clones[name])

    def forget(self, name: str) -> None:
        """Forget the voice ``name`` of a clip, if there is one."""
        if (engine := self._cloner()) is not None:
            engine.forget(name)

    async def close(self) -> None:
        """Stop what runs."""
        for worker in (self._worker, self._slow):
            await asyncio.to_thread(worker.close)
        for engine in self._engines:
            await engine.close()
        self.voices = {}

    # -- which one ------------------------------------------------------------------------------------------

    def _configured(self) -> list[Engine]:
        chosen = choice.engine(self._settings)
        first = self._make(chosen)
        engines = [first, self._make("espeak")] if chosen != "espeak" and espeak.installed() else [first]
        for name in others.configured(self._settings.tts):
            # Kokoro takes its phonemes from espeak-ng, which is one for all and for one thread.
            worker = self._worker if name == "kokoro" else self._slow
            engines.append(others.engine(name, self._settings, worker))
        return engines

    def _make(self, name: choice.Name) -> Engine:
        """Imports its runtime only where it is loaded."""
        table = self._settings.emotion
        match name:
            case "hibari":
                return Threaded(name, "hibari (English)", _hibari, self._worker, table)
            case "espeak":
                return Threaded(name, "espeak-ng (17 languages)", espeak.shared, self._worker, table)
            case "chatterbox":
                from voxrtc.models.chatterbox.engine import Chatterbox

                return Chatterbox(self._settings)

    def _cloner(self) -> Cloning | None:
        return next((engine for engine in self._engines if isinstance(engine, Cloning)), None)

    def _first(self) -> str:
        """The configured voice. Raises ModelsError where it is not there."""
        wanted, there = self._settings.tts.voice, self._engines[0].voices
        if wanted == choice.AUTO:
            return next(iter(there))
        if wanted not in there:
            raise ModelsError(f"tts.voice is '{wanted}', and {self._engines[0].title} has {', '.join(there)}")
        return wanted

    def _find(self, ask: Speak) -> tuple[Engine, Speak]:
        """Who says ``ask``, and how it is to be asked: another voice takes a language that the wanted one does not
        speak. Nobody reads a language as another one: a call for whose language there is no voice is held in English
        (dialogue/tongue)."""
        if not self.voices:
            raise ModelsError("the models are not loaded yet")
        name = next(iter(self.voices)) if ask.voice in ("", choice.AUTO) else ask.voice
        voices = self._with(name)
        lost = ""
        for other in others.order(ask.language, name, voices, self._settings.tts.languages):
            if ask.language not in _languages(voices[other], other):
                continue
            loss = self._lost.get((other, ask.language))
            if loss is None or self._tried_again(loss):
                return voices[other], msgspec.structs.replace(ask, voice=other)
            lost = lost or loss.why
        raise ModelsError(lost or _unspoken(ask.language, self.languages))

    def _tried_again(self, loss: _Loss) -> bool:
        """Whether it is time to: by one who asks, the others do not wait for what becomes of it."""
        if self._clock() < loss.again_at:
            return False
        loss.wait_s = min(RETRY_MOST_S, 2 * loss.wait_s)
        loss.again_at = self._clock() + loss.wait_s
        return True

    def _lose(self, told: Speak, error: Unloadable) -> None:
        """The voice of ``told`` cannot be loaded for its language."""
        key = (told.voice, told.language)
        loss = self._lost.get(key)
        if loss is None:
            self._lost[key] = _Loss(str(error), self._clock() + RETRY_S, RETRY_S)
            minutes = RETRY_S / 60
            logger.warning(
                "the voice %s speaks no '%s' for now, and is asked again in %g min: %s", *key, minutes, error
            )
        else:  # it was asked again, or this clause waited for the same
            loss.why = str(error)

    def _found(self, told: Speak) -> None:
        """The voice of ``told`` is loaded for its language."""
        self._lost.pop((told.voice, told.language), None)

    def _with(self, name: str) -> Mapping[str, Engine]:
        """Those who may speak for the voice ``name``, itself among them. Raises ModelsError where it is not there."""
        if name in self.voices:
            return self.voices
        engine = self._cloner()
        if engine is None or name not in engine.clones:
            raise ModelsError(f"there is no voice '{name}'; there are {', '.join(self.voices)}")
        return {**self.voices, name: engine}


async def _said(engine: Engine, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
    """``ask`` as it is read out, with spans of what is written; nothing, where no word is left of it (emoji alone)."""
    reading = normalize(ask.text, ask.language)
    if not any(sign.isalnum() for sign in reading.text):
        return  # engines would fail, breathe, or name the signs
    read = msgspec.structs.replace(ask, text=reading.text)
    async with contextlib.aclosing(engine.speak(read, urgency)) as items:
        async for speech in items:
            start, end = reading.written(speech.start, speech.end)
            yield msgspec.structs.replace(speech, start=start, end=end) if reading.pieces else speech


def _languages(engine: Engine, name: str) -> Sequence[str]:
    """Those of the voice ``name`` of ``engine``."""
    if name in engine.voices:
        return engine.voices[name]
    return engine.clones[name] if isinstance(engine, Cloning) else ()


def _unspoken(language: str, voices: Mapping[str, Sequence[str]]) -> str:
    """Why nobody says it: ``voices`` are those there are, with what they speak."""
    if language in NAMES and "espeak" not in voices:
        return espeak.MISSING
    spoken = sorted({code for codes in voices.values() for code in codes})
    named = ALL[language].name if language in ALL else f"the language '{language[:16]}'"
    return f"no voice here speaks {named}; they speak {', '.join(spoken)}"


def _hibari() -> Voice:
    from voxrtc.models.tts.hibari import Hibari

    return Hibari()
