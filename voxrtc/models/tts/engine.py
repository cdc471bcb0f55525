"""What an engine of voices is to the room that they are in (models/speaking), and the one for engines of one thread."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from voxrtc.audio import Samples
from voxrtc.models.profiles import Progress
from voxrtc.models.tts.delivery import delivery, silence, speed
from voxrtc.models.tts.voice import Voice
from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import Speak, Speech, pack
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Emotion


class Engine(Protocol):
    """Voices that are made in one way."""

    title: str
    """For people: "hibari (English)"."""

    @property
    def voices(self) -> Mapping[str, Sequence[str]]:
        """By name, the ISO 639-1 codes that each one speaks; empty before they are loaded."""

    def load(self, progress: Progress) -> None:
        """Load the voices and have them say something, so that the first clause is as fast as any. Blocks; raises
        ModelsError, StoreError."""

    def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
        """24 kHz samples of one clause by the voice ``ask.voice``, which is one of ``voices`` and speaks
        ``ask.language``. Closing it stops the work. Raises ModelsError."""

    async def close(self) -> None:
        """Stop what runs, then free the models."""


@runtime_checkable
class Cloning(Engine, Protocol):
    """An engine that makes voices of clips."""

    async def clone(self, name: str, samples: Samples, rate: int) -> None:
        """From now on ``name`` is a voice, made of ``samples`` (n,) at ``rate`` Hz. It is in ``clones``, not in
        ``voices``. Raises BadClip where the clip is of no use, ModelsError where that is not allowed, or the name is
        taken."""

    def forget(self, name: str) -> None:
        """Forget the voice ``name`` of a clip, if there is one. What is being said with it is said to its end."""

    @property
    def clones(self) -> Mapping[str, Sequence[str]]:
        """The voices of clips by name, with the ISO 639-1 codes that each one speaks."""


class Threaded:
    """Engine of one Voice that works in ``worker``, which others may share."""

    def __init__(self, name: str, title: str, make: Callable[[], Voice], worker: Worker, table: Emotion) -> None:
        """``make``: loads the voice. ``table``: how emotions sound."""
        self.name = name
        self.title = title
        self._make = make
        self._worker = worker
        self._table = table
        self._voice: Voice | None = None

    @property
    def voices(self) -> Mapping[str, Sequence[str]]:
        return {} if self._voice is None else {self.name: self._voice.languages}

    def load(self, progress: Progress) -> None:
        progress(f"loading the voice {self.name}", 0.1)
        voice = self._make()
        for _ in voice.speak("Hello there, how are you?", "en", 1.0):
            progress(f"loading the voice {self.name}", 0.2)
        self._voice = voice

    async def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
        async with contextlib.aclosing(self._worker.stream(self._say(ask), urgency)) as items:
            async for speech in items:
                yield speech

    async def close(self) -> None:
        """The worker is closed by who made it."""
        self._voice = None

    def _say(self, ask: Speak) -> Callable[[Job[Speech]], None]:
        voice = self._voice
        assert voice is not None, "not loaded"

        sounds = delivery(self._table, ask.emotion, ask.intensity)

        def work(job: Job[Speech]) -> None:
            end = 0
            for samples, start, end in voice.speak(ask.text, ask.language, speed(ask.speed, sounds)):
                if job.cancelled:  # else to its end, though a guess's may be told to give way: it takes no time
                    return
                job.emit(Speech(pack(samples), start, end))
            if end and sounds.pause_ms:
                job.emit(Speech(pack(silence(sounds)), end, end))

        return work
