import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.media.jitter import CAPACITY, REMEMBERED, RESTART_AFTER, Hole, JitterBuffer, Packet

START_MS, MAX_MS = 40, 200
STEP = 0.02


def packet(n: int, ssrc: int = 1) -> Packet:
    return Packet(n & 0xFFFF, n * 960 & 0xFFFFFFFF, ssrc, n.to_bytes(8, "big"))


def number(given_back: Packet | Hole) -> int:
    found = given_back if isinstance(given_back, Packet) else given_back.follower
    return int.from_bytes(found.payload, "big")


def drive(buffer: JitterBuffer, arrivals: list[tuple[float, Packet]]) -> list[tuple[float, Packet | Hole]]:
    """Put each packet at its time, and take at every deadline on the way, as a driver with a timer does."""
    out: list[tuple[float, Packet | Hole]] = []
    for at, one in arrivals:
        while (due := buffer.deadline) is not None and due <= at:
            out += [(due, item) for item in buffer.take(due)]
        buffer.put(one, at)
        out += [(at, item) for item in buffer.take(at)]
    while (due := buffer.deadline) is not None:
        out += [(due, item) for item in buffer.take(due)]
    return out


@pytest.fixture
def buffer() -> JitterBuffer:
    return JitterBuffer(START_MS, MAX_MS)


def test_what_is_in_order_leaves_at_once(buffer: JitterBuffer) -> None:
    out = drive(buffer, [(n * STEP, packet(n)) for n in range(100)])
    assert [(at, number(item)) for at, item in out] == [(n * STEP, n) for n in range(100)]
    assert buffer.received == 100
    assert buffer.lost == buffer.late == buffer.duplicates == 0


def test_two_swapped_packets_are_put_right(buffer: JitterBuffer) -> None:
    out = drive(buffer, [(0.0, packet(1)), (0.020, packet(3)), (0.025, packet(2)), (0.06, packet(4))])
    assert [number(item) for _, item in out] == [1, 2, 3, 4]
    assert not any(isinstance(item, Hole) for _, item in out)


def test_a_hole_is_given_up_at_its_deadline_with_the_packet_after_it(buffer: JitterBuffer) -> None:
    out = drive(buffer, [(0.0, packet(1)), (0.040, packet(3)), (0.080, packet(4))])
    (hole,) = [(at, item) for at, item in out if isinstance(item, Hole)]
    assert hole[0] == pytest.approx(0.020 + START_MS / 1000, abs=0.005)  # from when it should have come
    assert hole[1] == Hole(1, packet(3))
    assert [number(item) for _, item in out] == [1, 3, 3, 4]
    assert buffer.lost == 1


def test_where_nothing_is_ever_reordered_a_hole_is_closed_at_once(buffer: JitterBuffer) -> None:
    dice = random.Random(2)
    delays = [max(dice.expovariate(50) for _ in range(3)) for _ in range(400)]  # 40 ms and more, but in order
    arrivals: list[tuple[float, Packet]] = []
    for n, delay in enumerate(delays):
        arrivals.append((max(n * STEP + delay, arrivals[-1][0] + 0.001 if arrivals else 0.0), packet(n)))
    lost = set(range(305, 400, 9))
    out = drive(buffer, [one for n, one in enumerate(arrivals) if n not in lost])
    closed = {item.follower: at for at, item in out if isinstance(item, Hole)}
    assert closed == {packet(n + 1): arrivals[n + 1][0] for n in lost}


def test_where_packets_are_reordered_a_hole_waits_as_long_as_they_were_late(buffer: JitterBuffer) -> None:
    arrivals = sorted((n * STEP + 0.021 * (n % 10 == 5), packet(n)) for n in range(300))  # 1 ms after their followers
    out = drive(buffer, [*arrivals, (6.00, packet(300)), (6.04, packet(302)), (6.06, packet(303))])
    assert buffer.late <= 1  # the first of them taught it
    (closed,) = [at for at, item in out if isinstance(item, Hole) and item.follower == packet(302)]
    assert 6.041 <= closed <= 6.05


def test_of_a_hundred_packets_with_jitter_one_may_be_late(buffer: JitterBuffer) -> None:
    dice = random.Random(7)
    sent = [(n * STEP + 0.06 + dice.uniform(-0.03, 0.03), packet(n)) for n in range(3_000)]
    out = drive(buffer, sorted(one for one in sent if dice.random() > 0.05))
    assert buffer.late <= 0.015 * len(sent)
    lags = sorted(at - number(item) * STEP for at, item in out)
    assert lags[len(lags) // 2] <= 0.075
    assert lags[int(0.95 * len(lags))] <= 0.100


def test_several_lost_in_a_row_are_one_hole(buffer: JitterBuffer) -> None:
    out = drive(buffer, [(0.0, packet(1)), (0.1, packet(6))])
    assert [item for _, item in out] == [packet(1), Hole(4, packet(6)), packet(6)]


def test_a_late_packet_is_counted_and_not_played(buffer: JitterBuffer) -> None:
    out = drive(buffer, [(0.0, packet(1)), (0.02, packet(3)), (0.2, packet(2)), (0.22, packet(4))])
    assert [number(item) for _, item in out] == [1, 3, 3, 4]
    assert (buffer.late, buffer.lost, buffer.received) == (1, 0, 4)


def test_the_wait_goes_up_at_once_and_down_slowly(buffer: JitterBuffer) -> None:
    drive(buffer, [(n * STEP, packet(n)) for n in range(100)])
    assert buffer.wait_ms <= 1000 * STEP + 1  # its follower is all that a hole waits for
    dice = random.Random(1)
    rough = [(n * STEP + dice.uniform(0, 0.08), packet(n)) for n in range(100, 200)]
    drive(buffer, sorted(rough)[:25])
    raised = buffer.wait_ms
    assert raised > 50
    drive(buffer, sorted(rough)[25:])
    drive(buffer, [(n * STEP, packet(n)) for n in range(200, 500)])
    assert buffer.wait_ms > 0.7 * raised
    drive(buffer, [(n * STEP, packet(n)) for n in range(500, 4_000)])
    assert buffer.wait_ms <= 1000 * STEP + 5


def test_the_wait_never_passes_its_bound(buffer: JitterBuffer) -> None:
    drive(buffer, [(0.0, packet(1)), (0.02, packet(3)), (5.0, packet(2))])
    assert buffer.wait_ms == MAX_MS


def test_jitter_is_measured_as_rfc_3550_has_it(buffer: JitterBuffer) -> None:
    drive(buffer, [(n * STEP + (0.010 if n % 2 else 0.0), packet(n)) for n in range(400)])
    assert buffer.jitter_ms == pytest.approx(10, abs=0.5)


def test_duplicates_are_dropped(buffer: JitterBuffer) -> None:
    numbers = [1, 1, 2, 2, 4, 4, 3, 3, 4, 5, 5]
    out = drive(buffer, [(m * STEP + 0.03 * (m == 3), packet(m)) for m in numbers])
    assert [number(item) for _, item in out] == [1, 2, 3, 4, 5]
    assert buffer.received == 5
    assert buffer.duplicates == 6


def test_sequence_numbers_wrap(buffer: JitterBuffer) -> None:
    numbers = [65_533, 65_534, 65_536, 65_535, 65_537, 65_539]
    out = drive(buffer, [(m * STEP + 0.025 * (m == 65_535), packet(m)) for m in numbers])
    assert [number(item) for _, item in out] == [65_533, 65_534, 65_535, 65_536, 65_537, 65_539, 65_539]
    assert buffer.lost == 1


def test_another_source_starts_anew(buffer: JitterBuffer) -> None:
    arrivals = [(0.0, packet(1)), (0.02, packet(3)), (0.03, packet(40_000, ssrc=2)), (0.05, packet(40_001, 2))]
    out = [item for _, item in drive(buffer, arrivals)]
    assert out == [packet(1), Hole(1, packet(3)), packet(3), packet(40_000, 2), packet(40_001, 2)]
    assert buffer.lost == 1


def test_stragglers_of_the_source_before_are_not_followed(buffer: JitterBuffer) -> None:
    old = [(n * STEP, packet(n)) for n in range(20)]
    new = [(n * STEP, packet(5_000 + n, ssrc=2)) for n in range(20, 60)]
    straggling = [(n * STEP + 0.07, packet(n)) for n in range(20, 40, 2)]
    out = drive(buffer, sorted(old + new + straggling, key=lambda arrival: arrival[0]))
    assert [number(item) for _, item in out] == [*range(20), *range(5_020, 5_060)]
    assert buffer.late == len(straggling)


def test_a_source_that_comes_back_for_good_is_followed(buffer: JitterBuffer) -> None:
    first = [(n * STEP, packet(n)) for n in range(20)]
    second = [(n * STEP, packet(5_000 + n, ssrc=2)) for n in range(20, 40)]
    back = [(n * STEP, packet(n)) for n in range(40, 60)]
    out = [number(item) for _, item in drive(buffer, first + second + back)]
    assert out == [*range(20), *range(5_020, 5_040), *range(40 + RESTART_AFTER - 1, 60)]


def test_one_packet_from_far_away_is_no_new_start(buffer: JitterBuffer) -> None:
    arrivals = [(n * STEP, packet(n)) for n in range(100)]
    out = drive(buffer, [*arrivals[:50], (1.0, packet(30_000)), *arrivals[50:]])
    assert [number(item) for _, item in out] == list(range(100))


@pytest.mark.parametrize("start", [30_000, 65_000 - 20_000, 50])
def test_a_sender_that_starts_anew_is_followed(buffer: JitterBuffer, start: int) -> None:
    before = [(n * STEP, packet(100 + n)) for n in range(50)]
    after = [(1 + n * STEP, packet(start + n)) for n in range(20)]
    out = [number(item) for _, item in drive(buffer, before + after)]
    assert out[-10:] == list(range(start + 10, start + 20))


def test_what_is_held_is_bounded(buffer: JitterBuffer) -> None:
    buffer.put(packet(0), 0.0)
    for n in range(2, 2_000, 2):  # every other packet lost, and no time passes
        buffer.put(packet(n), 0.0)
        assert len(buffer._held) <= CAPACITY + 1
    assert len(buffer._seen) == REMEMBERED
    assert len(buffer._given_up) <= REMEMBERED


@given(
    st.integers(0, 65_535),
    st.lists(st.tuples(st.floats(0, 0.3), st.sampled_from([0, 1, 1, 1, 1, 2])), min_size=1, max_size=80),
)
def test_whatever_the_network_does(first: int, fates: list[tuple[float, int]]) -> None:
    """Order is right, nothing comes twice, nothing waits past the bound, every packet is accounted for."""
    arrivals = sorted(
        (n * STEP + delay + 0.001 * copy, packet(first + n))
        for n, (delay, copies) in enumerate(fates)
        for copy in range(copies)
    )
    buffer = JitterBuffer(START_MS, MAX_MS)
    out = drive(buffer, arrivals)
    came: dict[int, float] = {}
    for at, one in arrivals:
        came.setdefault(number(one), at)
    left = [(at, number(item)) for at, item in out if isinstance(item, Packet)]
    numbers = [n for _, n in left]
    assert numbers == sorted(set(numbers))
    assert all(at - came[n] <= MAX_MS / 1000 + 1e-6 for at, n in left)
    assert buffer.received == len(came)
    assert buffer.duplicates == len(arrivals) - len(came)
    holes = sum(item.count for _, item in out if isinstance(item, Hole))
    assert buffer.received == len(numbers) + buffer.late
    assert holes == buffer.lost + sum(n > min(numbers) for n in came.keys() - set(numbers))
    if numbers:
        assert numbers[-1] - numbers[0] + 1 == len(numbers) + holes


@given(st.lists(st.tuples(st.integers(0, 65_535), st.integers(1, 2), st.floats(0, 1)), max_size=200))
def test_senseless_sequence_numbers_do_no_harm(noise: list[tuple[int, int, float]]) -> None:
    buffer, now = JitterBuffer(START_MS, MAX_MS), 0.0
    for sequence, ssrc, pause in noise:
        now += pause
        buffer.put(packet(sequence, ssrc), now)
        buffer.take(now)
        assert len(buffer._held) <= CAPACITY
    last = random.Random(len(noise)).randrange(65_536)
    out = drive(buffer, [(now + 1 + n * STEP, packet(last + n, ssrc=3)) for n in range(10)])
    assert [number(item) for _, item in out][-10:] == [last + n for n in range(10)]
