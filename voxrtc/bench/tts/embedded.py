"""The voices that need no GPU, through the room that profiles share: the sound as a call gets it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import resource
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import numpy as np

from voxrtc import __version__
from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, resample
from voxrtc.bench.machine import machine
from voxrtc.bench.tts import callers, texts
from voxrtc.bench.tts.listener import Reply
from voxrtc.bench.tts.options import Options
from voxrtc.bench.tts.parts import Parts, Progress
from voxrtc.bench.voxtral.timing import median
from voxrtc.bench.wer import Errors, count_errors
from voxrtc.errors import ModelsError, VoxrtcError
from voxrtc.models import store, threads
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.speaking import Speaking
from voxrtc.models.wire import Speak, unpack
from voxrtc.settings import Settings

PACKAGES = {"hibari": "hibari-tts", "espeak": "espeakng-loader", "kokoro": "onnxruntime"}
"""What a voice comes with, or runs on, whose version is told. Those that are measured."""


class Room:
    """callers.Voice by the room models.speaking: a reply is its clauses, one after the other."""

    def __init__(self, speaking: Speaking, options: Options) -> None:
        self._speaking = speaking
        self._options = options
        self._replies = texts.replies(options.language)

    def clauses(self, caller: int, turn: int) -> list[str]:
        """What this caller is told in this turn."""
        return self._replies[(caller + turn) % len(self._replies)]

    async def say(self, caller: int, turn: int) -> AsyncGenerator[tuple[int, Samples], None]:
        for number, clause in enumerate(self.clauses(caller, turn)):
            ask = Speak(clause, voice=self._options.voice, language=self._options.language)
            async with aclosing(self._speaking.speak(ask)) as items:
                async for speech in items:
                    yield number, unpack(speech.samples)


def of_voice(settings: Settings, voice: str) -> Settings:
    """``settings`` with no other voices than the one that is measured, and hibari, beside which Kokoro speaks. Raises
    VoxrtcError for one that cannot be."""
    if voice not in PACKAGES:
        raise VoxrtcError(f"bench tts measures no voice '{voice}'; it measures chatterbox, {', '.join(PACKAGES)}")
    kokoro = settings.tts.kokoro if voice == "kokoro" else ""
    if voice == "kokoro" and not kokoro:
        raise VoxrtcError("tts.kokoro names no folder; bench tts measures Kokoro where it does (docs/languages.md)")
    engine = "hibari" if voice == "kokoro" else voice
    wanted = {"engine": engine, "voice": "auto", "kokoro": kokoro, "languages": {}, "mms": "", "indic": ""}
    return Settings.model_validate(settings.model_dump() | {"tts": settings.tts.model_dump() | wanted})


def measure(settings: Settings, options: Options, parts: Parts, progress: Progress) -> Iterator[dict[str, Any]]:
    """All figures of one voice, part after part. Raises VoxrtcError where it cannot be loaded."""
    replies = texts.replies(options.language)
    settings = of_voice(settings, options.voice)
    progress("loading the voice", 0.0)
    began = perf_counter()
    speaking = Speaking(settings)
    speaking.load(lambda what, part: None)
    start_s = perf_counter() - began
    spoken = speaking.languages[options.voice]
    if options.language not in spoken:
        there = ", ".join(spoken)
        raise VoxrtcError(f"the voice '{options.voice}' does not speak '{options.language}'; it speaks {there}")
    yield {
        "device": f"CPU: {machine()['cpu']}",
        "shape": None,
        "language": options.language,
        "versions": _versions(options.voice),
        "start_s": round(start_s, 2),
    }
    found, told = asyncio.run(_heard(speaking, options, progress))
    yield found | {"peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)}
    progress("measuring the package's own", 0.6)
    yield {"stock": parts.take("stock", lambda: _stock(options.voice, replies)) if options.stock else None}
    yield {"wer": parts.take("wer", lambda: _wer(settings, options, told, progress))}


Told = list[tuple[str, Reply]]
"""What was said, and how it sounded."""


async def _heard(speaking: Speaking, options: Options, progress: Progress) -> tuple[dict[str, Any], Told]:
    """What one caller hears, and what many do; what was said to the one."""
    room = Room(speaking, options)
    try:
        await callers.heard(room, 0, 0)  # the first one of a process loads what is loaded late
        progress("measuring one caller", 0.2)
        alone = [await callers.heard(room, 0, turn) for turn in range(options.repeat)]
        progress(f"measuring {options.callers} callers at once", 0.3)
        plan = callers.Plan(options.callers, options.seconds, options.seed)
        many, together = alone, []
        if options.callers > 1:
            many = await callers.listen(room, plan)
            together = await callers.listen(room, callers.Plan(options.callers, 0.0, together=True))
    finally:
        await speaking.close()
    one = callers.figures(alone)
    figures = {
        **callers.figures(many),
        "rtf": one["rtf"],
        "alone": one,
        "together": callers.figures(together) if together else None,
        **callers.joints([*alone, *many, *together] if options.callers > 1 else alone),
    }
    return figures, [(" ".join(room.clauses(0, turn)), reply) for turn, reply in enumerate(alone)]


# -- the package's own -------------------------------------------------------------------------------------------


def _stock(voice: str, replies: list[list[str]]) -> dict[str, Any] | None:
    """The package's own call, a clause for the first sound and the reply for the rtf; None where it has none."""
    if voice != "hibari":
        return None
    from voxrtc.models.tts.hibari import Hibari

    engine = Hibari()._engine  # the package's own, of which ours is made
    engine("Warm up.")
    firsts = [_timed(lambda clauses=clauses: engine(clauses[0], seed=0))[0] for clauses in replies]  # type: ignore[misc]
    whole = [_timed(lambda clauses=clauses: engine(" ".join(clauses), seed=0)) for clauses in replies]  # type: ignore[misc]
    seconds = sum(sound.size for _, sound in whole) / SPOKEN_RATE
    return {
        "first_audio_ms": median([1e3 * took for took in firsts]),
        "rtf": round(sum(took for took, _ in whole) / seconds, 4),
        "quiet_ms": median([_quiet_ms(sound) for _, sound in whole]),
    }


def _timed(work: Callable[[], Samples]) -> tuple[float, Samples]:
    began = perf_counter()
    sound = work()
    return perf_counter() - began, sound


def _quiet_ms(sound: Samples, threshold: float = 10.0 ** (-45 / 20)) -> float:
    """What comes before anything can be heard."""
    loud = np.flatnonzero(np.abs(sound) > threshold)
    return 1e3 * (int(loud[0]) if loud.size else sound.size) / SPOKEN_RATE


# -- what is understood of it ------------------------------------------------------------------------------------


def _wer(settings: Settings, options: Options, told: Told, progress: Progress) -> dict[str, Any] | None:
    """Words that whisper mishears of the replies, by their number."""
    if not options.words:
        return None
    progress("hearing what was said", 0.7)
    models = settings.models
    whisper = Whisper(store.ensure(models.whisper, models.cache_path, progress), threads.count(models.threads))
    errors = Errors(0, 0)
    for text, reply in _each_once(told):
        sound = resample(reply.sound, SPOKEN_RATE, HEARD_RATE)
        errors += count_errors(text, whisper.hear(sound, options.language).text)
    return {"rate": round(errors.rate or 0.0, 4), "words": errors.words, "by": models.whisper}


def _each_once(told: Told) -> Iterator[tuple[str, Reply]]:
    seen: set[str] = set()
    for text, reply in told:
        if text not in seen:
            seen.add(text)
            yield text, reply


def _versions(voice: str) -> dict[str, str]:
    found = {"voxrtc": __version__}
    if voice in PACKAGES:
        try:
            found[PACKAGES[voice]] = importlib.metadata.version(PACKAGES[voice])
        except importlib.metadata.PackageNotFoundError as error:
            raise ModelsError(f"the voice {voice} comes with {PACKAGES[voice]}, which is not installed") from error
    return found
