"""The parts of the voice detector: levels, quantiles, silero's windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.endpointing import sounds
from voxrtc.endpointing.vad import FRAME, LevelGate, Quantile, Silero, Vad


@given(st.lists(st.floats(-120, 0), min_size=1, max_size=60), st.integers(1, 30))
def test_quantile_is_that_of_the_window(values: list[float], window: int) -> None:
    quantile = Quantile(0.1, window)
    for value in values:
        quantile.add(value)
    last = sorted(values[-window:])
    assert quantile.get(0.0) == last[min(len(last) - 1, int(0.1 * len(last)))]


def test_an_empty_quantile_is_the_default() -> None:
    assert Quantile(0.5, 10).get(-35.0) == -35.0


def test_the_gate_follows_the_noise_and_the_voice() -> None:
    gate = LevelGate()
    for _ in range(300):
        assert not gate.loud(-60, speech=False) or gate.threshold < -60
    assert gate.threshold == pytest.approx(-53)  # 7 dB over the noise
    for _ in range(100):
        assert gate.loud(-20, speech=True)
    assert gate.threshold == pytest.approx(-42)  # 22 dB under the voice
    for _ in range(300):
        gate.loud(-35, speech=False)
    assert gate.threshold == pytest.approx(-28)  # a fan was switched on


@pytest.mark.models
def test_silero_sees_the_same_however_it_is_fed() -> None:
    samples = sounds.clip("austen-0880")
    whole, pieces = Silero(sounds.silero()), Silero(sounds.silero())
    whole.feed(samples)
    for at in range(0, samples.size, FRAME):
        pieces.feed(samples[at : at + FRAME])
    assert pieces.probability == whole.probability


@pytest.mark.models
def test_silero_knows_speech() -> None:
    silero = Silero(sounds.silero())
    assert silero.feed(sounds.spoken("austen-0870")[:16000]) > 0.9
    assert silero.feed(np.zeros(16000, np.float32)) < 0.1


@pytest.mark.models
def test_a_loud_noise_is_loud_but_not_speech() -> None:
    vad = Vad(sounds.silero(), aggressiveness=2, threshold=0.5)
    quiet = [vad.judge(sounds.noise(FRAME, -70, seed=n)) for n in range(100)]
    loud = [vad.judge(sounds.noise(FRAME, -20, seed=n)) for n in range(20)]
    assert not any(frame.loud for frame in quiet[50:])
    assert any(frame.loud for frame in loud)
    assert all(frame.speech < 0.5 for frame in quiet + loud)
