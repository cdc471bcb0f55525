import numpy as np
import pytest

from voxrtc import audio


def tone(hz: float, rate: int, seconds: float = 0.5, level: float = 0.5) -> audio.Samples:
    return (level * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("rate", "to"), [(22_050, 24_000), (48_000, 16_000), (16_000, 24_000), (16_000, 16_000)])
def test_resampling_keeps_length_level_and_pitch(rate: int, to: int) -> None:
    out = audio.resample(tone(440, rate), rate, to)
    assert out.dtype == np.float32
    assert abs(out.size - 0.5 * to) <= 0.01 * to
    middle = out[out.size // 4 : -out.size // 4]
    assert audio.level_dbfs(middle) == pytest.approx(audio.level_dbfs(tone(440, rate)), abs=0.3)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(middle.size)))
    assert np.argmax(spectrum) * to / middle.size == pytest.approx(440, abs=to / middle.size)


def test_resampling_nothing() -> None:
    assert audio.resample(np.zeros(0, np.float32), 8_000, 16_000).size == 0


def test_level() -> None:
    assert audio.level_dbfs(np.zeros(10, np.float32)) == -120
    assert audio.level_dbfs(np.zeros(0, np.float32)) == -120
    assert audio.level_dbfs(np.ones(10, np.float32)) == pytest.approx(0)


def test_pcm16_round_trip_and_clipping() -> None:
    samples = np.array([0, 0.5, -0.5, 2.0, -2.0], np.float32)
    back = audio.from_pcm16(audio.to_pcm16(samples) + b"\x01")
    assert back == pytest.approx(np.clip(samples, -1, 1), abs=1e-4)
