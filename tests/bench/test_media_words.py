"""The recogniser behind a bad network: the networks as they are said to be, and the whole with the real model."""

from itertools import groupby

import numpy as np
import pytest

from tests.media.callers import clip, likeness
from voxrtc.bench import virtual
from voxrtc.bench.impair import CLEAR, Impairment
from voxrtc.bench.media import words
from voxrtc.bench.turns.recordings import Recording, recordings
from voxrtc.media.opus import has_fec
from voxrtc.settings import Settings


def test_the_packets_are_those_of_a_browser_that_was_told_of_loss() -> None:
    speech = clip("jfk")
    payloads = words.encode(speech)
    assert len(payloads) == pytest.approx((speech.size / 16_000 + 2 * words.QUIET_S) / words.STEP_S, abs=1)
    assert sum(has_fec(payload) for payload in payloads) > len(payloads) / 3


@pytest.mark.parametrize(("loss", "burst"), [(0.0, 0.0), (0.05, 0.0), (0.2, 0.0), (0.1, 4.0)])
def test_losses_are_as_many_and_as_long_as_the_network_is_said_to_make_them(loss: float, burst: float) -> None:
    count = 20_000
    came = words.arrivals([b"\x00"] * count, Impairment(loss=loss, burst=burst), "1")
    missing = np.ones(count, bool)
    missing[[round(packet.timestamp / 960) for _, packet in came]] = False
    assert missing.mean() == pytest.approx(loss, abs=0.01)
    runs = [sum(1 for _ in run) for lost, run in groupby(missing) if lost]
    if loss:
        assert np.mean(runs) == pytest.approx(burst or 1 / (1 - loss), rel=0.1)


def test_delays_are_uniform_around_their_mean() -> None:
    came = words.arrivals([b"\x00"] * 5_000, Impairment(delay_ms=60, jitter_ms=30), "1")
    delays = np.array([at - packet.timestamp / 48_000 for at, packet in came])
    assert delays.min() == pytest.approx(0.03, abs=0.001)
    assert delays.max() == pytest.approx(0.09, abs=0.001)
    assert [at for at, _ in came] == sorted(at for at, _ in came)


def test_what_is_received_is_what_was_said() -> None:
    speech = clip("jfk")
    came = words.arrivals(words.encode(speech), CLEAR, "1")
    received = virtual.run(words.receive(came, Settings()))
    assert likeness(received.samples, speech) > 0.95
    assert received.concealed <= 3  # the end, which is no silence


def test_errors_are_added_up_by_network() -> None:
    said = Recording.of("jfk", "ask not what", clip("jfk"))
    heard = iter(["ask not what", "ask not", "", "ask knot what"])
    told: list[float] = []
    ways = {"clean": CLEAR, "5": Impairment(loss=0.05)}
    rates = words.error_rates([said], ways, lambda _: next(heard), 3, told.append, Settings())
    assert rates == {"clean": 0.0, "5": pytest.approx(5 / 9, abs=1e-4)}
    assert told == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.models
def test_five_percent_of_loss_cost_three_points_at_the_most() -> None:
    rates = words.understood(Settings(), seeds=1)
    assert set(rates) == set(words.networks())
    assert rates["5"] <= rates["clean"] + 0.03
    assert rates["20"] <= rates["clean"] + 0.15
    assert len(recordings()) >= 6
