"""The voices beside the main ones, and who speaks a language where several could. Imports no runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voxrtc.languages import ALL
from voxrtc.models import threads
from voxrtc.models.profiles import Progress
from voxrtc.models.tts.engine import Threaded
from voxrtc.models.tts.voice import Voice
from voxrtc.models.worker import Worker
from voxrtc.settings import Settings, Tts

TITLES = {
    "indic": "Indic-TTS (AI4Bharat)",
    "mms": "MMS-TTS (Meta)",
    "dia": "Dia-1.6B (Nari Labs)",
    "kokoro": "Kokoro-82M (hexgrad)",
}
ENGINES = (*TITLES, "hibari", "espeak")
"""Engines whose one voice has their name; other voices are Chatterbox's."""


def configured(tts: Tts) -> list[str]:
    """Which of these the settings name."""
    named = {"indic": tts.indic, "mms": tts.mms, "kokoro": tts.kokoro, "dia": "dia" in tts.languages.values()}
    return [name for name in TITLES if named[name]]


class Later(Threaded):
    """Engine whose models are loaded when they first are to speak: there are several, and most calls need none."""

    def load(self, progress: Progress) -> None:
        """Look whether the files are there. Raises ModelsError."""
        progress(f"looking for the voice {self.name}", 0.1)
        self._voice = self._make()


def engine(name: str, settings: Settings, worker: Worker) -> Later:
    """One of TITLES."""
    return Later(name, TITLES[name], lambda: make(name, settings), worker, settings.emotion)


def make(name: str, settings: Settings) -> Voice:
    """Imports what it runs on only when it speaks. Raises ModelsError."""
    tts = settings.tts
    device = settings.models.device if settings.models.profile == "voxtral" else "cpu"
    match name:
        case "indic":
            from voxrtc.models.tts.indic import Indic

            return Indic(tts.indic, tts.indic_speaker, device)
        case "mms":
            from voxrtc.models.tts.vits import Vits

            return Vits(tts.mms, device)
        case "dia":
            from voxrtc.models.tts.dia import Dia

            return Dia(tts.dia, device)
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
