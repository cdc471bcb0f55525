"""What is a voice in a clip, and what is none: real speech, noise and tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from voxrtc.errors import BadClip  # noqa: E402
from voxrtc.models.chatterbox import clips, voiced  # noqa: E402

RATE = 16_000
DATA = Path(__file__).parents[2] / "data"
TIME = np.arange(10 * RATE) / RATE


def read(name: str) -> np.ndarray:
    samples, rate = soundfile.read(DATA / name, dtype="float32")
    assert rate == RATE
    return samples[: 10 * RATE]


def noise(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(TIME.size)


def rumble() -> np.ndarray:
    low = np.cumsum(noise())
    low -= np.convolve(low, np.ones(800) / 800, "same")
    return 0.1 * low / low.std()


def tone(hz: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hz * TIME)


@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("*.wav")))
def test_people_who_speak_are_voices(name: str) -> None:
    samples = read(name)
    share = voiced.seconds(samples) / (samples.size / RATE)
    assert 0.4 < share < 0.75
    if samples.size >= clips.SHORTEST_S * RATE:
        assert clips.check(samples, RATE, "the clip").size == samples.size * 3 // 2


@pytest.mark.parametrize("snr_db", [20, 10, 5])
def test_people_who_speak_in_noise_are_voices(snr_db: float) -> None:
    samples = read("jfk.wav")
    loudness = float(np.sqrt(np.square(samples).mean()))
    noisy = samples + loudness * 10 ** (-snr_db / 20) * noise()[: samples.size]
    assert voiced.seconds(noisy.astype(np.float32)) > 2.5


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(0.1 * noise(), id="hiss"),
        pytest.param(0.1 * noise() * (0.5 + 0.5 * np.sin(8 * np.pi * TIME)), id="hiss in swells"),
        pytest.param(rumble(), id="rumble"),
        pytest.param(tone(220), id="a low tone"),
        pytest.param(tone(1_000), id="a tone"),
        pytest.param(tone(440) * (TIME % 1 < 0.5), id="beeps"),
        pytest.param(tone(220) * (0.5 + 0.5 * np.sin(8 * np.pi * TIME)), id="a tone in swells"),
        pytest.param(sum(tone(110 * n) / n / 3 for n in range(1, 50)), id="a buzz"),
        pytest.param(sum(tone(hz) / 3 for hz in (220, 277, 330)), id="a chord"),
        pytest.param(sum(tone(50 * n) / n / 3 for n in range(1, 20)), id="hum"),
    ],
)
def test_noise_and_tones_are_no_voice(sound: np.ndarray) -> None:
    assert voiced.seconds(sound.astype(np.float32)) == 0.0
    with pytest.raises(BadClip, match=r"too little speech: 0\.0 s"):
        clips.check(sound.astype(np.float32), RATE, "the clip")


def test_a_word_in_four_seconds_of_silence_is_too_little() -> None:
    sound = np.zeros(4 * RATE, np.float32)
    sound[RATE : RATE + RATE // 2] = read("jfk.wav")[RATE : RATE + RATE // 2]
    assert 0.1 < voiced.seconds(sound) <= 0.5
    with pytest.raises(BadClip, match="too little speech"):
        clips.check(sound, RATE, "the clip")


def test_what_is_shorter_than_a_window_is_no_voice() -> None:
    assert voiced.seconds(np.zeros(voiced.WINDOW - 1, np.float32)) == 0.0
