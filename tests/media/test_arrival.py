"""What is measured of the caller's network and clock, on simulated arrivals."""

import random

import pytest

from voxrtc.media.arrival import DRIFT_LEAST, FLOOR_S, STEP_S, WINDOW, Arrivals

STEP = 0.02
DELAY_S = 0.06

Delay = dict[str, float]


def delays(kind: str, dice: random.Random) -> float:
    """Seconds over the shortest way that a packet takes."""
    match kind:
        case "none":
            return 0.0
        case "uniform":
            return dice.uniform(0.0, 0.06)
        case "exponential":
            return dice.expovariate(1 / 0.02)
        case "normal":
            return max(0.0, dice.gauss(DELAY_S, 0.03))
    raise ValueError(kind)


def listen(
    arrivals: Arrivals,
    seconds: float,
    kind: str = "none",
    *,
    ppm: float = 0.0,
    loss: float = 0.0,
    start: float = 0.0,
    path_s: float = 0.0,
    seed: int = 1,
) -> None:
    """Let the packets of so many seconds come, of a caller whose clock is ``ppm`` fast; the timestamps wrap."""
    dice = random.Random(seed)
    came = []
    for n in range(round(start / STEP), round((start + seconds) / STEP)):
        delay = path_s + delays(kind, dice)
        if dice.random() >= loss:
            came.append((n * STEP / (1 + ppm / 1e6) + delay, (2**32 - 96_000 + 960 * n) & 0xFFFFFFFF))
    for now, timestamp in sorted(came):
        arrivals.measure(timestamp, now)


@pytest.mark.parametrize("kind", ["none", "uniform", "exponential", "normal"])
@pytest.mark.parametrize("ppm", [-200.0, 0.0, 35.0, 200.0])
def test_the_drift_is_known_to_some_ppm_after_a_minute(kind: str, ppm: float) -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 61.0, kind, ppm=ppm, loss=0.05)
    assert arrivals.drift_ppm == pytest.approx(ppm, abs=1 if kind == "none" else 15)
    listen(arrivals, 60.0, kind, ppm=ppm, loss=0.05, start=61.0, seed=2)
    assert arrivals.drift_ppm == pytest.approx(ppm, abs=1 if kind == "none" else 8)


def test_the_drift_is_not_known_before_that() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, DRIFT_LEAST - 1, ppm=100)
    assert arrivals.drift_ppm is None


@pytest.mark.parametrize("path_s", [-0.04, 0.04])
def test_another_path_is_no_drift(path_s: float) -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 60.0, "uniform", ppm=50, path_s=0.05)
    listen(arrivals, 2 * FLOOR_S + DRIFT_LEAST + 2, "uniform", ppm=50, start=60, path_s=0.05 + path_s, seed=2)
    assert arrivals.drift_ppm == pytest.approx(50, abs=40)


@pytest.mark.parametrize("ppm", [-200.0, 200.0])
def test_drift_is_no_delay(ppm: float) -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 600.0, ppm=ppm)
    assert arrivals.spread <= 200e-6 * 2 * FLOOR_S + 0.002 + 1e-9
    assert arrivals.jitter < 1e-4


def test_the_spread_is_that_of_ninety_nine_of_a_hundred() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 10.0, "exponential")
    assert 0.02 * 3 < arrivals.spread < 0.02 * 8  # ln(100) = 4.6 means


def test_the_spread_goes_up_at_once_and_down_within_its_window() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 20.0)
    assert arrivals.spread == pytest.approx(0.002)
    listen(arrivals, 0.4, path_s=0.05, start=20.0)
    assert arrivals.spread == pytest.approx(0.052, abs=0.002)
    listen(arrivals, WINDOW * STEP - 1, start=20.4)
    assert arrivals.spread > 0.05
    listen(arrivals, 2.0, start=20.4 + WINDOW * STEP)
    assert arrivals.spread == pytest.approx(0.002)


def test_a_packet_is_due_after_the_shortest_way() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 5.0, "uniform", path_s=0.03)
    timestamp = (2**32 - 96_000 + 960 * 251) & 0xFFFFFFFF
    assert arrivals.due(timestamp) == pytest.approx(251 * STEP + 0.03, abs=0.003)


def test_a_new_origin_of_the_timestamps_is_no_jitter() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 5.0)
    arrivals.measure(1_000_000_000, 5.0)
    arrivals.measure(1_000_000_960, 5.02)
    assert arrivals.jitter == pytest.approx(0.0, abs=1e-9)
    assert arrivals.due(1_000_001_920) == pytest.approx(5.04)
    assert STEP_S < FLOOR_S


def test_another_source_has_timestamps_of_its_own() -> None:
    arrivals = Arrivals(0.2)
    listen(arrivals, 5.0)
    arrivals.restart()
    arrivals.measure((2**32 - 96_000 + 48_000) & 0xFFFFFFFF, 5.0)  # four seconds back
    assert arrivals.jitter == pytest.approx(0.0, abs=1e-9)
    assert arrivals.spread == pytest.approx(0.002)
