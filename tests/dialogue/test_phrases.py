"""What is said without a model."""

from __future__ import annotations

import numpy as np

from tests.dialogue.scripted import READY, ScriptedModels, hum
from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.config import Settings
from voxrtc.dialogue.phrases import APOLOGY, GOODBYE, ONE_MOMENT, STILL_THERE, Phrases, two_tones, words
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES


@in_virtual_time
async def test_phrases_are_voiced_once_in_the_languages_of_the_voice() -> None:
    models = ScriptedModels()
    phrases = await Phrases.render(models, Settings())
    assert [ask.language for ask in models.spoken] == ["en"]
    np.testing.assert_array_equal(phrases.apology("en"), hum(len(APOLOGY["en"])))
    np.testing.assert_array_equal(phrases.apology("auto"), phrases.apology("en"))
    np.testing.assert_array_equal(phrases.apology("de"), two_tones())
    assert len(models.spoken) == 1


@in_virtual_time
async def test_a_voice_that_fails_leaves_a_tone() -> None:
    for models in (ScriptedModels(fail=lambda verb, given: ModelsError("no voice")), ScriptedModels(ready=None)):
        phrases = await Phrases.render(models, Settings())
        np.testing.assert_array_equal(phrases.apology("en"), two_tones())


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
