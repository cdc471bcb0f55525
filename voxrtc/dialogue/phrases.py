"""The few things said that no model has thought of.

The apology is voiced once at the start and kept, for when the models are gone. The others are voiced when they are
first said, and kept for all calls: the second caller is greeted at once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
import numpy as np

from voxrtc.audio import SPOKEN_RATE, Recording, Samples
from voxrtc.errors import ModelsError
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Speak, Speech, pack, unpack
from voxrtc.settings import Settings

log = logging.getLogger(__name__)

KEPT = 64
"""Clauses that are kept, the last ones said."""
LONGEST = 15 * SPOKEN_RATE
"""Samples of a clause that is kept, so that all of them have 90 MB at the most."""

APOLOGY = {
    "en": "Sorry, something went wrong. Please say that again.",
    "es": "Perdón, algo salió mal. Por favor, repítalo.",
    "fr": "Désolé, un problème est survenu. Pouvez-vous répéter?",
    "de": "Entschuldigung, da ging etwas schief. Bitte sagen Sie das noch einmal.",
    "it": "Scusi, qualcosa è andato storto. Può ripetere?",
    "pt": "Desculpe, algo deu errado. Por favor, repita.",
    "hi": "माफ़ कीजिए, कुछ गड़बड़ हो गई। कृपया फिर से कहिए।",
    "ja": "すみません、問題が起きました。もう一度お願いします。",
    "ko": "죄송합니다. 문제가 생겼습니다. 다시 말씀해 주세요.",
    "zh": "抱歉，出了点问题。请再说一遍。",
    "ms": "Maaf, ada masalah. Sila ulang sekali lagi.",
}
"""Language to what is said when a reply fails."""

STILL_THERE = {
    "en": "Are you still there?",
    "es": "¿Sigue ahí?",
    "fr": "Vous êtes toujours là?",
    "de": "Sind Sie noch da?",
    "it": "È ancora lì?",
    "pt": "Ainda está aí?",
    "hi": "क्या आप अभी भी हैं?",
    "ja": "まだいらっしゃいますか?",
    "ko": "아직 계신가요?",
    "zh": "您还在吗？",
    "ms": "Anda masih di sana?",
}
"""Asked after a long silence."""

GOODBYE = {
    "en": "I have to hang up now. Goodbye!",
    "es": "Ahora tengo que colgar. ¡Adiós!",
    "fr": "Je dois raccrocher maintenant. Au revoir!",
    "de": "Ich muss jetzt auflegen. Auf Wiederhören!",
    "it": "Ora devo riattaccare. Arrivederci!",
    "pt": "Agora tenho de desligar. Adeus!",
    "hi": "अब मुझे फ़ोन रखना होगा। नमस्ते!",
    "ja": "そろそろ失礼いたします。さようなら。",
    "ko": "이제 끊어야 합니다. 안녕히 계세요.",
    "zh": "我现在要挂断了。再见！",
    "ms": "Saya perlu menamatkan panggilan sekarang. Selamat tinggal!",
}
"""Said before the assistant hangs up."""

ONE_MOMENT = {
    "en": "One moment, please.",
    "es": "Un momento, por favor.",
    "fr": "Un instant, s'il vous plaît.",
    "de": "Einen Moment, bitte.",
    "it": "Un momento, per favore.",
    "pt": "Um momento, por favor.",
    "hi": "एक क्षण रुकिए।",
    "ja": "少々お待ちください。",
    "ko": "잠시만 기다려 주세요.",
    "zh": "请稍等。",
    "ms": "Sebentar, ya.",
}
"""Said while a function takes its time."""


def words(phrase: dict[str, str], language: str) -> tuple[str, str]:
    """``phrase`` in ``language``, or where it has none, in English; and the language it is in."""
    return (phrase[language], language) if language in phrase else (phrase["en"], "en")


@dataclass(frozen=True)
class Voiced:
    """A clause as a voice said it: all of it, and which words its parts say."""

    recording: Recording
    speech: tuple[Speech, ...]


class Phrases:
    """What is said again and again, in all calls of a server: the apology, and fixed clauses once they were voiced."""

    def __init__(self, apologies: dict[str, Samples] | None = None) -> None:
        """``apologies``: samples (n,) at 24 kHz, by language."""
        self._apologies = {language: _voiced(samples) for language, samples in (apologies or {}).items()}
        self._tones = _voiced(two_tones())
        self._kept: OrderedDict[Speak, Voiced] = OrderedDict()

    @classmethod
    async def render(cls, models: Models, settings: Settings) -> Phrases:
        """Voice the phrases in every language that the configured voice speaks. What cannot be voiced is a tone."""
        ready = models.ready
        voice = settings.tts.voice
        voices = ready.voices if ready is not None else {}
        speaks = voices.get(next(iter(voices), "") if voice == "auto" else voice, [])
        apologies: dict[str, Samples] = {}
        for language, text in APOLOGY.items():
            if language not in speaks:
                continue
            try:
                apologies[language] = await _voice(models, Speak(text, voice, language, settings.tts.speed))
            except ModelsError as error:
                log.warning("no spoken apology in %s, a tone instead: %s", language, error)
        return cls({language: samples for language, samples in apologies.items() if samples.size})

    def apology(self, language: str) -> Voiced:
        """What to say when a reply failed; two soft tones where there are no words in ``language``."""
        return self._apologies.get("en" if language == "auto" else language, self._tones)

    def known(self, ask: Speak) -> Voiced | None:
        """What was kept of ``ask``."""
        wording = _wording(ask)
        if wording in self._kept:
            self._kept.move_to_end(wording)
        return self._kept.get(wording)

    def keep(self, ask: Speak, speech: Sequence[Speech]) -> None:
        """``ask`` will be asked again: ``speech`` is all that the voice gave."""
        samples = [unpack(part.samples) for part in speech]
        if not samples or sum(part.size for part in samples) > LONGEST:
            return
        self._kept[_wording(ask)] = Voiced(Recording(np.concatenate(samples)), tuple(speech))
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _wording(ask: Speak) -> Speak:
    """What can be heard of ``ask``: not who waits for it."""
    return msgspec.structs.replace(ask, guess="", ahead_ms=0)


def _voiced(samples: Samples) -> Voiced:
    return Voiced(Recording(samples), (Speech(pack(samples), 0, 0),))


async def _voice(models: Models, ask: Speak) -> Samples:
    parts: list[Samples] = []
    async with aclosing(models.speak(ask)) as stream:
        async for speech in stream:
            parts.append(unpack(speech.samples))  # noqa: PERF401 - aclosing has to outlive the comprehension
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def two_tones() -> Samples:
    """Two soft falling tones, 0.5 s: "that did not work" without words."""
    tones = [_tone(hz) for hz in (523.25, 392.0)]  # C5, G4
    return np.concatenate([tones[0], np.zeros(SPOKEN_RATE // 20, np.float32), tones[1]])


def _tone(hz: float, seconds: float = 0.22, level: float = 0.12) -> Samples:
    t = np.arange(int(seconds * SPOKEN_RATE)) / SPOKEN_RATE
    envelope = np.sin(np.pi * t / seconds) ** 2  # no click at either end
    return np.asarray(level * envelope * np.sin(2 * np.pi * hz * t), np.float32)
