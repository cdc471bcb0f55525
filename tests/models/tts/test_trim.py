import numpy as np
import pytest

from voxrtc.models.tts.trim import AFTER, BEFORE, FRAME, pause, trim

RATE = 24_000


def tone(seconds: float) -> np.ndarray:
    return (0.3 * np.cos(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


def test_quiet_ends_are_cut_to_a_margin():
    kept = trim(np.concatenate([silence(0.3), tone(1.0), silence(0.5)]))
    assert abs(kept.size - (RATE + BEFORE + AFTER)) <= 2 * FRAME


def test_quiet_in_the_middle_stays():
    kept = trim(np.concatenate([tone(0.5), silence(0.4), tone(0.5)]))
    assert kept.size == int(1.4 * RATE)


def test_nothing_but_quiet_is_nothing():
    assert trim(silence(1.0)).size == 0
    assert trim(silence(0.0)).size == 0
    assert trim(tone(1.0) * 0.001).size == 0


def test_both_ends_fade_from_and_to_zero():
    kept = trim(tone(1.0))
    assert abs(kept[0]) < 1e-6
    assert abs(kept[-1]) < 1e-6
    steps = np.abs(np.diff(kept))
    assert steps.max() <= np.abs(np.diff(tone(1.0))).max() * 1.01


def test_the_given_samples_are_left_alone():
    samples = tone(0.2)
    before = samples.copy()
    trim(samples)
    assert np.array_equal(samples, before)


PAUSES = {
    "Well,": 80,
    "So:": 120,
    "Yes.": 180,
    '"Yes!"': 180,
    "really?) ": 180,
    "and then": 0,
    "": 0,
    "好。": 180,
    "是，": 80,
    "नमस्ते।": 180,
}


@pytest.mark.parametrize(("text", "ms"), PAUSES.items())
def test_punctuation_asks_for_its_pause(text, ms):
    assert pause(text).size == RATE * ms // 1000
