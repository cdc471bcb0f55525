"""The measure of clicks, on speech that has none and on joints that were made bad by a known amount."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from voxrtc.audio import SPOKEN_RATE, Samples, from_pcm16, resample
from voxrtc.bench.tts.clicks import FAINT, by_chance, clicks, roughness
from voxrtc.models.tts.hibari import Hibari

DATA = Path(__file__).resolve().parents[1] / "data"
PLACES = 400


def recorded(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return resample(from_pcm16(file.readframes(file.getnframes())), file.getframerate(), SPOKEN_RATE)


@pytest.fixture(scope="module", params=["austen-0870", "austen-0890", "austen-0930", "jfk", "hibari"])
def speech(request: pytest.FixtureRequest) -> Samples:
    if request.param == "hibari":
        text = "Six sharp knives, please! Is there anything else that you would like to buy today? Then we are done."
        return np.concatenate([samples for samples, _, _ in Hibari().speak(text)])
    return recorded(request.param)


def places(speech: Samples, count: int = PLACES) -> list[int]:
    return [int(place) for place in np.random.default_rng(3).integers(1_000, speech.size - 1_000, count)]


def stepped(speech: Samples, at: int, step: float) -> Samples:
    """What comes around ``at``, ``step`` higher from there on."""
    near = speech[at - 1_000 : at + 1_000].copy()
    near[1_000:] += step
    return near


def test_speech_has_no_clicks(speech: Samples) -> None:
    assert len(clicks(speech, places(speech))) <= PLACES // 100
    assert by_chance(speech, [], count=PLACES) <= 0.01


@pytest.mark.parametrize(("share", "found"), [(0.05, 0.3), (0.1, 0.55), (0.3, 0.85)])
def test_a_step_is_found_where_it_is(speech: Samples, share: float, found: float) -> None:
    """Of a share of the peak: where the voice is loudest its own pulses hide the smallest."""
    step = share * float(np.abs(speech).max())
    told = [bool(clicks(stepped(speech, place, step), [1_000])) for place in places(speech)]
    assert np.mean(told) >= found
    missed = [bool(clicks(stepped(speech, place, step), [600])) for place in places(speech)]
    assert np.mean(missed) <= 0.01, "the joint is clean, though another place near it is not"


def test_a_cut_without_a_fade_is_found_more_often_than_not(speech: Samples) -> None:
    """Two places that have nothing to do with each other, one put after the other where both are loud."""
    loud = [at for at in places(speech) if np.abs(speech[at - 240 : at + 240]).max() > 0.3 * np.abs(speech).max()]
    joined = [
        np.concatenate([speech[a - 1_000 : a], speech[b : b + 1_000]]) for a, b in zip(loud, loud[::-1], strict=True)
    ]
    assert np.mean([bool(clicks(sound, [1_000])) for sound in joined]) > 0.3


def test_a_fade_between_them_is_no_click(speech: Samples) -> None:
    loud = places(speech, 200)
    rise = np.sin(0.5 * np.pi * (np.arange(240) + 0.5) / 240).astype(np.float32) ** 2
    told = []
    for a, b in zip(loud, loud[::-1], strict=True):
        fade = (1 - rise) * speech[a : a + 240] + rise * speech[b - 240 : b]
        sound = np.concatenate([speech[a - 760 : a], fade, speech[b : b + 1_000]])
        told.append(bool(clicks(sound, [1_000])))
    assert np.mean(told) <= 0.015


def test_noise_and_silence_have_none() -> None:
    noise = 0.3 * np.random.default_rng(0).standard_normal(24_000).astype(np.float32)
    assert len(clicks(noise, places(noise))) <= PLACES // 100
    silence = np.zeros(24_000, np.float32)
    assert clicks(silence, places(silence)) == []


def test_a_step_in_silence_counts_from_what_can_be_heard_on() -> None:
    silence = np.zeros(24_000, np.float32)
    silence[12_000:] = 2 * FAINT
    assert clicks(silence, [12_000, 6_000]) == [12_000]
    silence[12_000:] = FAINT / 2
    assert clicks(silence, [12_000]) == []


def test_at_the_ends_there_is_nothing_to_compare_with(speech: Samples) -> None:
    assert clicks(speech, [0, 1, 30, speech.size - 1, speech.size]) == []
    assert clicks(speech[:50], [25]) == []
    assert by_chance(speech[:50], [25]) == 0.0
    assert roughness(np.concatenate([speech[5_000:5_100], speech[5_100:5_120] + 0.5]), 100) == 0.0
