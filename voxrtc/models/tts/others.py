"""The voices beside the main ones, and who speaks a language where several could. Imports no runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from voxrtc.languages import ALL
from voxrtc.models import threads
from voxrtc.models.profiles import Progress
from voxrtc.models.tts.engine import Threaded
from voxrtc.models.tts.voice import Voice
from voxrtc.models.worker import Worker
from voxrtc.settings import Emotion, Settings, Tts

TITLES = {
    "indic": "Indic-TTS (AI4Bharat)",
    "mms": "MMS-TTS (Meta)",
    "dia": "Dia-1.6B (Nari Labs)",
    "kokoro": "Kokoro-82M (hexgrad)",
}
BYTES = {"indic": 600_000_000, "mms": 700_000_000, "dia": 1_200_000_000}
"""Of a GPU's memory, by arithmetic, not measured. Indic-TTS: FastPitch and HiFi-GAN, some 60 M parameters in float32,
and their work; MMS-TTS: twice 36 M, and their work. Dia: keys and values of its 3,072 steps and its text, twice
(guidance), 0.5 GB in bfloat16, and the codec's work; its weights are loaded at the start."""
DIA_WEIGHTS = 3_600_000_000
"""Bytes: 1.6 B parameters in bfloat16, and the codec's 76 M in float32."""
ENGINES = (*TITLES, "hibari", "espeak")
"""Engines whose one voice has their name; other voices are Chatterbox's."""


def configured(tts: Tts) -> list[str]:
    """Which of these the settings name."""
    named = {"indic": tts.indic, "mms": tts.mms, "kokoro": tts.kokoro, "dia": "dia" in tts.languages.values()}
    return [name for name in TITLES if named[name]]


@runtime_checkable
class Preparing(Voice, Protocol):
    """A voice that can load before it is to speak."""

    def prepare(self, language: str) -> None:
        """Load what ``language`` needs. Raises Unloadable."""


class Later(Threaded):
    """Engine whose models are loaded when they first are to speak: there are several, and most calls need none. But
    those of the languages ``at_start`` are loaded at the start, as far as they are kept: on a GPU, whose memory is
    shared out then."""

    def __init__(
        self,
        name: str,
        title: str,
        make: Callable[[], Voice],
        worker: Worker,
        table: Emotion,
        at_start: Sequence[str] = (),
    ) -> None:
        super().__init__(name, title, make, worker, table)
        self._at_start = at_start

    def load(self, progress: Progress) -> None:
        """Look whether the files are there. Raises ModelsError."""
        progress(f"looking for the voice {self.name}", 0.1)
        self._voice = voice = self._make()
        if isinstance(voice, Preparing):
            for language in self._at_start:
                progress(f"loading the voice {self.name}", 0.1)
                voice.prepare(language)


def engine(name: str, settings: Settings, worker: Worker) -> Later:
    """One of TITLES."""
    at_start = [code for code, engine in settings.tts.languages.items() if engine == name and on_gpu(settings)]
    return Later(name, TITLES[name], lambda: make(name, settings), worker, settings.emotion, at_start)


def on_gpu(settings: Settings) -> bool:
    """Whether a voice of these that is configured works on the GPU."""
    return device(settings) == "cuda" and bool(set(BYTES) & set(configured(settings.tts)))


def device(settings: Settings) -> str:
    """What these voices work on, as torch names it."""
    return settings.models.device if settings.models.profile == "voxtral" else "cpu"


def gpu_bytes(settings: Settings) -> int:
    """Of the GPU's memory, that the configured ones may come to take once they are to speak, beside what is loaded at
    the start: nobody else may take it for good."""
    if not on_gpu(settings):
        return 0
    return sum(BYTES[name] for name in configured(settings.tts) if name in BYTES)


def make(name: str, settings: Settings) -> Voice:
    """Imports what it runs on only when it speaks. Raises ModelsError."""
    tts, place = settings.tts, device(settings)
    match name:
        case "indic":
            from voxrtc.models.tts.indic import Indic

            return Indic(tts.indic, tts.indic_speaker, place)
        case "mms":
            from voxrtc.models.tts.vits import Vits

            return Vits(tts.mms, place)
        case "dia":
            from voxrtc.models.tts.dia import Dia

            return Dia(tts.dia, place)
        case "kokoro":
            from voxrtc.models.tts.kokoro import Kokoro

            return Kokoro(tts.kokoro, threads.count(settings.models.threads))
    raise AssertionError(name)


def order(language: str, wanted: str, voices: Iterable[str], overrides: dict[str, str]) -> Sequence[str]:
    """Names of ``voices``, in the order in which they are to be asked to speak ``language``: those of the engine that
    ``overrides`` has for it, then the ``wanted`` one, then as the table has them (languages.py)."""
    table = ALL[language].voices if language in ALL else ()

    def rank(name: str) -> tuple[bool, bool, int]:
        engine = name if name in ENGINES else "chatterbox"
        place = table.index(engine) if engine in table else len(table)
        return overrides.get(language) != engine, name != wanted, place

    return sorted(voices, key=rank)
