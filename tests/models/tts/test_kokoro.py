"""Kokoro's real files, where ``tts.kokoro`` has them: what it says is heard again."""

from __future__ import annotations

import numpy as np
import pytest

from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, resample
from voxrtc.bench.wer import Errors, count_errors
from voxrtc.config import load
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.store import ensure
from voxrtc.models.tts import espeak
from voxrtc.models.tts.kokoro import Kokoro

SENTENCES = {
    "en": [
        "The nearest station is two streets away, just past the library.",
        "Tomorrow it will rain in the morning and be sunny after lunch.",
        "I can look that up for you, it will only take a moment.",
    ],
    "es": [
        "La estación más cercana está a dos calles de aquí.",
        "Mañana va a llover por la mañana y después hará sol.",
        "Puedo buscarlo ahora, solo tarda un momento.",
    ],
    "fr": [
        "La gare la plus proche est à deux rues d'ici.",
        "Demain il va pleuvoir le matin, puis il fera beau.",
        "Je peux chercher cela pour vous, un petit moment.",
    ],
    "it": [
        "La stazione più vicina è a due strade da qui.",
        "Domani pioverà la mattina e poi ci sarà il sole.",
        "Posso cercarlo per lei, ci vuole solo un momento.",
    ],
    "pt": [
        "A estação mais próxima fica a duas ruas daqui.",
        "Amanhã vai chover de manhã e depois vai fazer sol.",
        "Posso procurar isso para você, é só um momento.",
    ],
}
MOST = {"en": 0.05, "es": 0.25, "fr": 0.25, "it": 0.25, "pt": 0.25}
"""Word error rate, over all sentences of a language."""


@pytest.fixture(scope="module")
def kokoro() -> Kokoro:
    folder = load().tts.kokoro
    if not folder:
        pytest.skip("no files: tts.kokoro (VOXRTC_TTS__KOKORO) names no folder")
    if not espeak.installed():
        pytest.skip("espeak-ng is not installed: pip install 'voxrtc[espeak]'")
    return Kokoro(folder)


@pytest.mark.models
@pytest.mark.parametrize("language", SENTENCES)
def test_what_it_says_is_heard_again(kokoro: Kokoro, language: str) -> None:
    if language not in kokoro.languages:
        pytest.skip(f"the folder has no voice for {language}")
    settings = load()
    whisper = Whisper(ensure("whisper-base", settings.models.cache_path, lambda what, fraction: None), threads=2)
    errors = Errors(0, 0)
    for text in SENTENCES[language]:
        said = np.concatenate([samples for samples, _, _ in kokoro.speak(text, language)])
        errors += count_errors(text, whisper.hear(resample(said, SPOKEN_RATE, HEARD_RATE), language).text)
    assert errors.rate is not None
    assert errors.rate <= MOST[language]
