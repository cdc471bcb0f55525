"""Where sound is cut: everything once, nothing too long, in the pauses, and nowhere else."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxrtc.audio import HEARD_RATE, Samples, from_pcm16
from voxrtc.models.asr.cutting import FRAME, Limits, cut, levels_of, quiet_of

DATA = Path(__file__).parents[2] / "data"
LIMITS = Limits(1.0, 2.8, 0.8)
"""A tenth of what is usual, so that many cuts are made in little sound."""


def sound(parts: list[tuple[float, float]], seed: int = 0) -> Samples:
    """Noise of so many seconds at such a level in dBFS, one part after the other."""
    rng = np.random.default_rng(seed)
    pieces = [rng.standard_normal(int(s * HEARD_RATE)) * 10 ** (level / 20) for s, level in parts]
    return np.concatenate([np.zeros(0), *pieces]).astype(np.float32)


PARTS = st.lists(st.tuples(st.floats(0.0, 4.0), st.sampled_from([-120.0, -70.0, -45.0, -20.0, -6.0])), max_size=8)


@given(PARTS, st.sampled_from([LIMITS, Limits(2.2, 2.8), Limits(0.5, 1.0, 0.5)]))
@example([(30.0, -120.0)], LIMITS)
@example([(30.0, -20.0)], LIMITS)
@settings(max_examples=150, deadline=None)
def test_everything_is_in_one_piece_and_no_piece_is_too_long(parts: list[tuple[float, float]], limits: Limits) -> None:
    samples = sound(parts)
    pieces = cut(samples, limits)
    assert [p.start for p in pieces] == [0, *(p.end for p in pieces)][: len(pieces)]
    assert (pieces[-1].end if pieces else 0) == samples.size
    assert all(0 < p.end - p.start <= limits.latest * HEARD_RATE for p in pieces)
    assert all(p.start <= p.first <= p.last <= p.end for p in pieces)
    assert pieces == cut(samples, limits)
    quiet = quiet_of(levels_of(samples))
    for number, silent in enumerate(quiet):  # whatever sounds lies between first and last of its piece
        if not silent:
            at = min((number + 1) * FRAME, samples.size)
            assert any(p.first <= number * FRAME and at <= p.last for p in pieces)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 1_000])
def test_very_short_sound_is_one_piece_or_none(size: int) -> None:
    assert [(p.start, p.end) for p in cut(np.full(size, 0.1, np.float32), LIMITS)] == [(0, size)] * bool(size)


def test_silence_sounds_nowhere() -> None:
    assert all(p.first == p.last for p in cut(sound([(30.0, -80.0)]), LIMITS))


def test_it_is_cut_in_the_longest_pause_that_is_late_enough() -> None:
    samples = sound([(0.5, -20), (0.6, -70), (0.5, -20), (0.3, -70), (0.4, -20), (0.2, -70), (3.0, -20)])
    first = cut(samples, LIMITS)[0]
    assert 1.6 * HEARD_RATE < first.end < 1.9 * HEARD_RATE
    assert (first.first, first.last) == pytest.approx((0, 1.6 * HEARD_RATE), abs=FRAME)


def test_without_a_pause_it_is_cut_where_it_is_quietest() -> None:
    samples = sound([(1.9, -20), (0.2, -30), (4.0, -20)])
    assert cut(samples, LIMITS)[0].end == pytest.approx(2.0 * HEARD_RATE, abs=2 * FRAME)


def test_a_long_pause_ends_a_piece_and_belongs_to_none_that_sounds() -> None:
    samples = sound([(0.6, -20), (6.0, -70), (0.7, -20)])
    sounding = [p for p in cut(samples, LIMITS) if p.last > p.first]
    assert [(p.first / HEARD_RATE, p.last / HEARD_RATE) for p in sounding] == [
        pytest.approx((0.0, 0.6), abs=0.02),
        pytest.approx((6.6, 7.3), abs=0.02),
    ]
    assert all(p.end - p.start <= 1.6 * HEARD_RATE for p in sounding), "hardly any of the silence goes with them"


def test_each_speaker_is_judged_by_the_level_around_him() -> None:
    """One 40 dB softer than the one before, five minutes later, is no silence."""
    loud = [(0.8, -10.0), (0.3, -80.0)] * 270
    soft = [(0.8, -50.0), (0.3, -80.0)] * 270
    quiet = quiet_of(levels_of(sound(loud + soft)))
    last_minute = quiet[-60 * 50 :]
    assert np.mean(last_minute) == pytest.approx(0.3 / 1.1, abs=0.03)


def test_noise_in_the_pauses_is_told_from_speech_where_it_can_be() -> None:
    pauses = [(1.5, -15.0), (0.4, -40.0)]
    assert np.mean(quiet_of(levels_of(sound(pauses * 10)))) == pytest.approx(0.4 / 1.9, abs=0.02)
    nothing_but_noise = quiet_of(levels_of(sound([(20.0, -40.0)])))
    assert not nothing_but_noise.any()


def test_real_speech_is_cut_in_its_pauses() -> None:
    """Never within a word, though at the least some 200 ms would do."""
    samples = np.concatenate([clip(name) for name in ("jfk", "austen-0870", "austen-0930", "austen-0920") * 3])
    quiet = quiet_of(levels_of(samples))
    pieces = cut(samples, Limits(3.0, 12.0))
    assert len(pieces) > 7
    assert all(quiet[p.end // FRAME - 4 : p.end // FRAME + 4].all() for p in pieces[:-1])


def clip(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def test_an_hour_is_cut_with_little_memory() -> None:
    import tracemalloc

    samples = np.tile(sound([(9.0, -20), (1.0, -70)]), 360)
    tracemalloc.start()
    pieces = cut(samples, Limits(10.0, 28.0, 2.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pieces) > 128
    assert peak < samples.nbytes / 4
