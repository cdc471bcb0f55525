"""What is said without a model."""

from __future__ import annotations

import numpy as np

from tests.dialogue.scripted import READY, ScriptedModels, hum
from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.dialogue.phrases import (
    APOLOGY,
    GOODBYE,
    KEPT,
    LONGEST,
    ONE_MOMENT,
    STILL_THERE,
    Phrases,
    two_tones,
    words,
)
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES
from voxrtc.models.wire import Speak, Speech, pack, unpack
from voxrtc.settings import Settings


@in_virtual_time
async def test_phrases_are_voiced_once_in_the_languages_of_the_voice() -> None:
    models = ScriptedModels()
    phrases = await Phrases.render(models, Settings())
    assert [ask.language for ask in models.spoken] == ["en"]
    np.testing.assert_array_equal(
        phrases.apology("en").recording.samples[: hum(len(APOLOGY["en"])).size], hum(len(APOLOGY["en"]))
    )
    assert phrases.apology("auto") is phrases.apology("en")
    np.testing.assert_array_equal(unpack(phrases.apology("de").speech[0].samples), two_tones())
    assert len(models.spoken) == 1


@in_virtual_time
async def test_a_voice_that_fails_leaves_a_tone() -> None:
    for models in (ScriptedModels(fail=lambda verb, given: ModelsError("no voice")), ScriptedModels(ready=None)):
        phrases = await Phrases.render(models, Settings())
        np.testing.assert_array_equal(unpack(phrases.apology("en").speech[0].samples), two_tones())


def test_the_tones_are_soft_and_do_not_click() -> None:
    tones = two_tones()
    assert 0.4 < tones.size / SPOKEN_RATE < 0.6
    assert np.abs(tones).max() < 0.2
    assert np.abs(np.diff(tones)).max() < 0.03
    assert tones[0] == 0


def test_every_phrase_is_in_the_same_languages_of_the_table() -> None:
    assert set(APOLOGY) <= set(NAMES)
    assert READY.voices
    for phrase in (STILL_THERE, GOODBYE, ONE_MOMENT):
        assert set(phrase) == set(APOLOGY)


def test_a_phrase_in_a_language_that_has_none_is_english() -> None:
    assert words(GOODBYE, "de") == (GOODBYE["de"], "de")
    assert words(GOODBYE, "ta") == (GOODBYE["en"], "en")


def test_only_so_much_is_kept() -> None:
    phrases, speech = Phrases(), (Speech(pack(two_tones()), 0, 2),)
    for number in range(KEPT + 1):
        phrases.keep(Speak(f"Number {number}."), speech)
    assert phrases.known(Speak("Number 0.")) is None
    assert phrases.known(Speak(f"Number {KEPT}.")) is not None
    phrases.keep(Speak("Long."), [Speech(pack(np.zeros(LONGEST + 1, np.float32)), 0, 5)])
    phrases.keep(Speak("Empty."), [])
    assert phrases.known(Speak("Long.")) is None
    assert phrases.known(Speak("Empty.")) is None
