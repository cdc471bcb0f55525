import gc
import importlib.util

import numpy as np
import pytest

from voxrtc.audio import level_dbfs
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES
from voxrtc.models.tts import espeak
from voxrtc.models.tts.espeak import Espeak

GREETINGS = {
    "en": "Hello, how are you?",
    "hi": "नमस्ते, आप कैसे हैं?",
    "es": "Hola, ¿cómo estás?",
    "fr": "Bonjour, comment allez-vous ?",
    "de": "Guten Tag, wie geht es Ihnen?",
    "it": "Ciao, come stai?",
    "pt": "Olá, como você está?",
    "ja": "こんにちは、おげんきですか",
    "ko": "안녕하세요, 어떻게 지내세요?",
    "zh": "你好，你今天怎么样？",
    "ms": "Selamat pagi, apa khabar?",
    "ta": "வணக்கம், எப்படி இருக்கிறீர்கள்?",
    "te": "నమస్కారం, మీరు ఎలా ఉన్నారు?",
    "mr": "नमस्कार, तुम्ही कसे आहात?",
    "kn": "ನಮಸ್ಕಾರ, ನೀವು ಹೇಗಿದ್ದೀರಿ?",
    "ml": "നമസ്കാരം, സുഖമാണോ?",
    "bn": "নমস্কার, আপনি কেমন আছেন?",
}

needs_espeak = pytest.mark.skipif(not espeak.installed(), reason="the extra espeak is not installed")


@pytest.fixture(scope="module")
def voice() -> Espeak:
    return Espeak()


@needs_espeak
class TestInstalled:
    @pytest.mark.parametrize("language", NAMES)
    def test_every_language_is_audible(self, voice, language):
        text = GREETINGS[language]
        ((samples, start, end),) = voice.speak(text, language)
        assert (start, end) == (0, len(text))
        assert 0.6 < samples.size / 24_000 < 6
        assert level_dbfs(samples) > -35
        assert np.abs(samples).max() <= 1.0

    def test_languages_sound_their_own_way(self, voice):
        (english, *_), (german, *_) = (next(iter(voice.speak("Hamburg ist schön", code))) for code in ("en", "de"))
        assert english.size != german.size

    def test_speed(self, voice):
        (slow, *_), (fast, *_) = (next(iter(voice.speak("This is how fast.", "en", speed))) for speed in (0.7, 1.6))
        assert fast.size < 0.7 * slow.size

    @pytest.mark.parametrize("text", ["", "...", "   ", "\0"])
    def test_nothing_to_say_is_no_samples(self, voice, text):
        assert list(voice.speak(text, "en")) == []

    def test_unknown_language_is_a_sentence(self, voice):
        with pytest.raises(ModelsError, match="no language 'xx'"):
            list(voice.speak("Hello", "xx"))


def test_not_installed_is_a_sentence_that_says_what_to_do(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "espeakng_loader" else find(name))
    with pytest.raises(ModelsError, match=r"pip install 'voxrtc\[espeak\]'"):
        Espeak()


@needs_espeak
def test_one_that_is_gone_does_not_take_the_others_sound(voice: Espeak) -> None:
    other = Espeak()
    assert list(other.speak("Hello.", "en"))
    del other
    gc.collect()
    assert list(voice.speak("Hello.", "en"))
