import numpy as np
import pytest

from voxrtc.models.asr.features import BANDS, HOP, WINDOW, log_mel, mel_filters


def tone(hz: float, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def centres() -> np.ndarray:
    """Hz of each filter's peak, by Slaney's scale, computed here another way: 66.67 Hz apart, then 1.0711 times."""
    step = np.log(6.4) / 27
    top = 15 + np.log(8.0) / step
    mels = np.linspace(0, top, BANDS + 2)[1:-1]
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * step))


def test_shape_is_a_frame_every_10_ms():
    mel = log_mel(tone(440, 2.5))
    assert mel.shape == (BANDS, 250)
    assert mel.dtype == np.float32
    assert mel.flags.c_contiguous


def test_filters_are_triangles_of_unit_area_peaking_at_slaneys_centres():
    filters = mel_filters()
    assert filters.shape == (BANDS, WINDOW // 2 + 1)
    assert (filters >= 0).all()
    bins = np.fft.rfftfreq(WINDOW, 1 / 16_000)
    wide = filters[60:]  # many bins wide: sums are close to integrals
    np.testing.assert_allclose(wide.sum(axis=1) * (bins[1] - bins[0]), 1.0, rtol=0.02)
    np.testing.assert_allclose(bins[wide.argmax(axis=1)], centres()[60:], atol=bins[1])


def test_first_filter_values_of_the_published_table():
    """openai/whisper assets/mel_filters.npz, mel_80: row 0 starts 0, 0.02486259."""
    row = mel_filters()[0]
    assert row[0] == 0
    assert row[1] == pytest.approx(0.02486259, abs=2e-6)


def test_large_v3_has_128_bands():
    """openai/whisper assets/mel_filters.npz, mel_128: row 0 starts 0, 0.01237398."""
    filters = mel_filters(128)
    assert filters.shape == (128, WINDOW // 2 + 1)
    assert filters[0, :2] == pytest.approx([0, 0.01237398], abs=2e-6)
    assert log_mel(tone(440), 128).shape == (128, 100)


@pytest.mark.parametrize("hz", [100, 440, 1000, 3000, 7000])
def test_a_tone_is_loudest_in_its_band(hz):
    mel = log_mel(tone(hz))
    assert abs(centres()[mel[:, 50].argmax()] - hz) < max(60, 0.06 * hz)


def test_range_is_eight_decades_and_levels_are_decades_over_four():
    quiet, loud = log_mel(tone(1000, amplitude=0.05)), log_mel(tone(1000, amplitude=0.5))
    assert loud.max() - loud.min() == pytest.approx(2.0, abs=1e-5)
    assert loud.max() - quiet.max() == pytest.approx(0.5, abs=1e-3)


def test_silence_is_flat_and_finite():
    mel = log_mel(np.zeros(16_000, np.float32))
    assert (mel == mel[0, 0]).all()
    assert mel[0, 0] == pytest.approx((-10 + 4) / 4)


def test_moves_with_the_sound():
    """A hop later in the sound is a frame later in the picture."""
    sound = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    later = np.concatenate([np.zeros(HOP, np.float32), sound])
    np.testing.assert_allclose(log_mel(later)[:, 10:90], log_mel(sound)[:, 9:89], atol=1e-4)
