"""Real Opus packets through the caller's side of a call, in virtual time: loss, reordering, DTX, stalls."""

import asyncio
import random
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from opuslib_next import APPLICATION_AUDIO
from opuslib_next import Encoder as LibEncoder

from tests.media.callers import clip, likeness
from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, Block, Samples, resample
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.media.inbound import BRIDGE_MS, DTX_PATIENCE_S, PATIENCE_S, QUEUE, Inbound
from voxrtc.media.jitter import CAPACITY, Packet
from voxrtc.media.opus import SILENCE, Encoder

SPEECH = clip("jfk")[: 6 * HEARD_RATE]
STEP = 0.02


def hearing(*errors: list[str]) -> Inbound:
    return Inbound(40, 200, errors[0].append if errors else pytest.fail)


def encoded(samples: Samples, *, loss: int = 0, first: int = 1_000, ssrc: int = 7) -> list[Packet]:
    """``samples`` at 16 kHz as a sender's RTP packets; the timestamp wraps on the way."""
    encoder = Encoder()
    encoder.expect_loss(loss)
    spoken = resample(samples, HEARD_RATE, SPOKEN_RATE)
    spoken = spoken[: spoken.size // SPOKEN_BLOCK * SPOKEN_BLOCK].reshape(-1, SPOKEN_BLOCK)
    return [
        Packet((first + n) & 0xFFFF, (2**32 - 48_000 + 960 * n) & 0xFFFFFFFF, ssrc, encoder.encode(block))
        for n, block in enumerate(spoken)
    ]


def in_step(packets: list[Packet], start: float = 0.0) -> list[tuple[float, Packet]]:
    return [(start + n * STEP, packet) for n, packet in enumerate(packets)]


async def deliver(inbound: Inbound, arrivals: Iterable[tuple[float, Packet]]) -> None:
    """Every packet at its time (virtual seconds from now)."""
    now = asyncio.get_running_loop().time
    began = now()
    for at, packet in sorted(arrivals, key=lambda arrival: arrival[0]):
        await asyncio.sleep(began + at - now())
        inbound.receive(packet)


async def hear(inbound: Inbound, arrivals: Iterable[tuple[float, Packet]], after: float = 0.0) -> list[Block]:
    """All blocks of a call in which ``arrivals`` come, and that ends ``after`` seconds later."""
    blocks: list[Block] = []

    async def listen() -> None:
        blocks.extend([block async for block in inbound])

    listening = asyncio.create_task(listen())
    inbound.start()
    await deliver(inbound, arrivals)
    await asyncio.sleep(after)
    inbound.close()
    await listening
    assert [block.position for block in blocks] == [n * BLOCK for n in range(len(blocks))]
    assert all(block.samples.shape == (BLOCK,) and block.samples.dtype == np.float32 for block in blocks)
    return blocks


async def deliver_in_order(inbound: Inbound, arrivals: Iterable[tuple[float, Packet]]) -> None:
    """As deliver, of any number of packets."""
    now = asyncio.get_running_loop().time
    for at, packet in arrivals:
        if at > now():
            await asyncio.sleep(at - now())
        inbound.receive(packet)


def packed(samples: Samples, ms: float, *, vbr: bool) -> list[Packet]:
    """``samples`` at 16 kHz in packets of ``ms``, at a variable rate for speech or a constant one for music.

    The longer ones are of several frames each (RFC 6716, 3.2).
    """
    size = round(SPOKEN_RATE * ms / 1000)
    encoder = LibEncoder(SPOKEN_RATE, 1, APPLICATION_AUDIO)
    encoder.bitrate, encoder.vbr = (32_000, 1) if vbr else (96_000, 0)
    spoken = resample(samples, HEARD_RATE, SPOKEN_RATE)
    return [
        Packet(n, n * size * 2, 1, encoder.encode_float(spoken[n * size : (n + 1) * size].tobytes(), size))
        for n in range(spoken.size // size)
    ]


def sound(blocks: list[Block]) -> Samples:
    return np.concatenate([block.samples for block in blocks])


@in_virtual_time
async def test_a_clean_line_gives_every_sample_and_no_more() -> None:
    packets = encoded(SPEECH)
    inbound = hearing()
    blocks = await hear(inbound, in_step(packets))
    assert len(blocks) == len(packets)
    assert likeness(sound(blocks), SPEECH) > 0.97
    assert inbound.concealed == inbound.dropped == inbound.broken == 0


@in_virtual_time
async def test_a_packet_in_order_is_handed_on_in_the_same_moment() -> None:
    inbound, now = hearing(), asyncio.get_running_loop().time
    lags: list[float] = []

    async def listen() -> None:
        lags.extend([now() - began - block.position / HEARD_RATE async for block in inbound])

    listening = asyncio.create_task(listen())
    began = now()
    await deliver(inbound, in_step(encoded(SPEECH[:HEARD_RATE])))
    await asyncio.sleep(0)
    inbound.close()
    await listening
    assert len(lags) == 50
    assert max(lags) < 0.001


@pytest.mark.parametrize("loss", [0.05, 0.2])
@pytest.mark.parametrize("fec", [False, True])
@in_virtual_time
async def test_lost_packets_leave_the_clock_exact(loss: float, fec: bool) -> None:
    packets = encoded(SPEECH, loss=20 if fec else 0)
    dice = random.Random(3)
    lost = {n for n in range(1, len(packets) - 1) if dice.random() < loss}
    inbound = hearing()
    blocks = await hear(inbound, [one for n, one in enumerate(in_step(packets)) if n not in lost])
    assert len(blocks) == len(packets)
    assert inbound.jitter.lost == len(lost)
    assert inbound.concealed + inbound.recovered == len(lost)
    assert (inbound.recovered > 0) == fec
    assert {block.position // BLOCK for block in blocks if block.concealed} <= lost
    assert likeness(sound(blocks), SPEECH) > (0.9 if loss < 0.1 else 0.7)


@in_virtual_time
async def test_jitter_reordering_and_duplicates_cost_nothing_once_known() -> None:
    packets = encoded(SPEECH)
    dice = random.Random(5)
    arrivals = [(at + dice.uniform(0, 0.03), packet) for at, packet in in_step(packets)]
    arrivals += [(at + 0.01, packet) for at, packet in arrivals[::7]]
    inbound = hearing()
    blocks = await hear(inbound, arrivals)
    assert len(blocks) == len(packets)
    assert inbound.concealed == inbound.jitter.lost == inbound.jitter.late == 0
    assert inbound.jitter.duplicates == len(packets[::7])
    assert likeness(sound(blocks), SPEECH) > 0.97


@in_virtual_time
async def test_dtx_gives_silence_in_real_time_and_the_clock_of_the_sender() -> None:
    speech, packets = SPEECH[:HEARD_RATE], encoded(SPEECH)
    pause = 100  # packets not sent while the sequence goes on: 2 s
    said, later = packets[:50], packets[50:100]
    said[-1] = said[-1]._replace(payload=said[-1].payload[:1])  # the TOC alone: a pause begins
    later = [p._replace(timestamp=(p.timestamp + pause * 960) & 0xFFFFFFFF) for p in later]
    inbound = hearing()
    heard_in_pause = 0

    async def look() -> None:
        nonlocal heard_in_pause
        await asyncio.sleep(2.5)
        heard_in_pause = inbound._position

    looking = asyncio.create_task(look())
    blocks = await hear(inbound, in_step(said) + in_step(later, start=3.0))
    await looking
    assert heard_in_pause == pytest.approx(2.5 * HEARD_RATE, abs=(DTX_PATIENCE_S + 2 * STEP) * HEARD_RATE)
    assert len(blocks) == 50 + pause + 50
    assert not any(block.concealed for block in blocks)
    assert np.abs(sound(blocks[51 : 50 + pause])).max() == 0
    assert likeness(sound(blocks[:50]), speech) > 0.97


@in_virtual_time
async def test_a_caller_who_sends_nothing_is_heard_as_silence() -> None:
    blocks = await hear(hearing(), [], after=3.0)
    assert len(blocks) == pytest.approx(3.0 / STEP, abs=PATIENCE_S / STEP + 1)
    assert np.abs(sound(blocks)).max() == 0


@in_virtual_time
async def test_packets_that_were_only_delayed_are_all_heard() -> None:
    packets = encoded(SPEECH)
    arrivals = in_step(packets)
    arrivals = [(max(at, 1.5) if 0.5 <= at < 1.5 else at, packet) for at, packet in arrivals]  # 1 s in one burst
    dtx = 100  # packets not sent, 2 s
    last = packets[-1]
    again = [
        p._replace(sequence=last.sequence + n, timestamp=(last.timestamp + 960 * (dtx + n)) & 0xFFFFFFFF)
        for n, p in enumerate(packets[:50], 1)
    ]
    inbound = hearing()
    blocks = await hear(inbound, arrivals + in_step(again, start=8.0))
    bridged = BRIDGE_MS // 20
    assert inbound.concealed == 2 * bridged  # before the burst, and where the caller fell silent without a word
    assert inbound.jitter.late == bridged
    spoken = np.concatenate([block.samples for block in blocks if np.abs(block.samples).max() > 0])
    assert likeness(spoken[: SPEECH.size], SPEECH) > 0.95
    put_in = (1.0 - PATIENCE_S) / STEP  # silence, for the second that came in a burst
    taken_back = PATIENCE_S / STEP  # of the pause, what was not put in while it lasted
    assert len(blocks) == pytest.approx(len(packets) + put_in + dtx - taken_back + len(again), abs=5)


@in_virtual_time
async def test_a_loop_that_was_held_up_does_not_put_in_silence() -> None:
    packets = encoded(SPEECH[: 2 * HEARD_RATE])
    inbound = hearing()
    loop = asyncio.get_running_loop()
    listening = asyncio.create_task(hear(inbound, in_step(packets[:50]), after=0.021))
    await asyncio.sleep(0.999)
    loop._jumping.now += 0.8  # type: ignore[attr-defined]  # a long computation
    for packet in packets[50:90]:
        loop.call_soon(inbound.receive, packet)
    blocks = await listening
    assert len(blocks) == 90
    assert likeness(sound(blocks), SPEECH[: 90 * BLOCK]) > 0.97


@in_virtual_time
async def test_every_packet_length_becomes_blocks_of_20_ms() -> None:
    spoken = resample(SPEECH, HEARD_RATE, SPOKEN_RATE)
    encoder, arrivals, at, timestamp, sequence = LibEncoder(SPOKEN_RATE, 1, APPLICATION_AUDIO), [], 0, 0, 0
    for us in [2_500, 5_000, 10_000, 20_000, 40_000, 60_000] * 20:
        size = SPOKEN_RATE * us // 1_000_000
        if at + size > spoken.size:
            break
        payload = encoder.encode_float(spoken[at : at + size].tobytes(), size)
        arrivals.append((at / SPOKEN_RATE, Packet(sequence, timestamp, 1, payload)))
        at, timestamp, sequence = at + size, timestamp + size * 2, sequence + 1
    blocks = await hear(hearing(), arrivals)
    assert len(blocks) == at * HEARD_RATE // SPOKEN_RATE // BLOCK
    assert likeness(sound(blocks), SPEECH[: len(blocks) * BLOCK]) > 0.95


@pytest.mark.parametrize("ms", [2.5, 5, 10, 20, 40, 60, 80, 100, 120])
@pytest.mark.parametrize("vbr", [False, True])
@in_virtual_time
async def test_packets_of_any_length_and_their_losses(ms: float, vbr: bool) -> None:
    packets = packed(SPEECH, ms, vbr=vbr)
    lost = set(range(7, len(packets) - 1, 10))
    inbound = hearing()
    blocks = await hear(inbound, [(n * ms / 1000, one) for n, one in enumerate(packets) if n not in lost])
    assert len(blocks) == int(round(len(packets) * ms / 20, 6))
    assert inbound.jitter.lost == len(lost)
    assert inbound.broken == inbound.jitter.late == 0
    assert likeness(sound(blocks), SPEECH) > (0.85 if ms > 2.5 else 0.6)  # libopus itself does no better


def test_packets_of_every_code_are_among_them() -> None:
    found = {one.payload[0] & 3 for ms in (20, 40, 120) for vbr in (False, True) for one in packed(SPEECH, ms, vbr=vbr)}
    assert found == {0, 1, 2, 3}


@pytest.mark.parametrize("ppm", [-200, 200])
@pytest.mark.parametrize("jitter_s", [0.0, 0.03])
@in_virtual_time
async def test_an_hour_with_a_clock_that_drifts(ppm: int, jitter_s: float) -> None:
    """Nothing gathers, nothing is dropped, nothing is put in; the positions are those of the caller's clock."""
    dice = random.Random(4)
    count = 3_600 * 50
    loop = asyncio.get_running_loop()
    sent = ((n * STEP / (1 + ppm / 1e6) + dice.uniform(0, jitter_s), n) for n in range(count))
    arrivals = sorted(sent) if jitter_s else sent
    inbound, heard, waiting, lags = hearing(), 0, 0, []

    async def listen() -> None:
        nonlocal heard, waiting
        async for block in inbound:
            heard += 1
            waiting = max(waiting, len(inbound._blocks))
            lags.append(loop.time() - (block.position + BLOCK) / HEARD_RATE / (1 + ppm / 1e6))

    listening = asyncio.create_task(listen())
    await deliver_in_order(inbound, ((at, Packet(n & 0xFFFF, n * 960 & 0xFFFFFFFF, 1, SILENCE)) for at, n in arrivals))
    inbound.close()
    await listening
    assert heard == count
    assert inbound.dropped == inbound.jitter.lost == 0
    assert inbound.jitter.late == inbound.concealed < count / 500
    assert waiting <= 10
    assert abs(np.mean(lags[:5_000]) - np.mean(lags[-5_000:])) < 0.002
    assert inbound.jitter.drift_ppm == pytest.approx(ppm, abs=1 if not jitter_s else 8)


@in_virtual_time
async def test_sound_that_stops_in_a_burst_of_loss_goes_on_in_time() -> None:
    packets = encoded(SPEECH[:HEARD_RATE])
    inbound, now = hearing(), asyncio.get_running_loop().time
    at: dict[int, float] = {}

    async def listen() -> None:
        async for block in inbound:
            at[block.position // BLOCK] = now()

    listening = asyncio.create_task(listen())
    await deliver(inbound, in_step(packets[:40]) + in_step(packets[45:], start=0.9))
    inbound.close()
    await listening
    assert len(at) == 50
    lags = [at[n] - n * STEP for n in range(50)]
    assert max(lags[:40]) < 0.001
    assert all(0.02 < lag < 0.04 for lag in lags[40:43])  # bridged, one after the other
    assert lags[45] < 0.001
    assert inbound.jitter.lost == 5
    assert inbound.jitter.late == 0


@in_virtual_time
async def test_after_a_long_silence_nothing_old_is_made_up() -> None:
    packets = encoded(SPEECH, loss=20)
    lost = range(60, 110)  # 1 s
    inbound = hearing()
    blocks = await hear(inbound, [one for n, one in enumerate(in_step(packets[:150])) if n not in lost])
    assert len(blocks) == 150
    quiet = sound(blocks[63:109])  # behind the bridge, and before what the FEC holds
    assert np.abs(quiet[BLOCK:]).max() == 0


@in_virtual_time
async def test_a_stream_without_sound_does_not_stop_the_clock() -> None:
    empty = [Packet(n, n * 960, 1, b"") for n in range(100)]
    blocks = await hear(hearing(), in_step(empty), after=0.5)
    assert len(blocks) == pytest.approx(2.5 / STEP, abs=PATIENCE_S / STEP + 1)


@in_virtual_time
async def test_another_source_goes_on_where_the_first_ended() -> None:
    first, second = encoded(SPEECH[: 2 * HEARD_RATE]), encoded(SPEECH[2 * HEARD_RATE :], first=9, ssrc=8)
    inbound = hearing()
    blocks = await hear(inbound, in_step(first) + in_step(second, start=2.0))
    assert len(blocks) == len(first) + len(second)
    assert likeness(sound(blocks), SPEECH) > 0.95


@in_virtual_time
async def test_a_packet_that_is_no_opus_is_concealed_and_counted() -> None:
    packets = encoded(SPEECH[:HEARD_RATE])
    packets[20] = packets[20]._replace(payload=b"\xff\xff\xff")
    packets[30] = packets[30]._replace(payload=b"")
    inbound = hearing()
    blocks = await hear(inbound, in_step(packets))
    assert inbound.broken == 1
    assert blocks[20].concealed
    assert len(blocks) == len(packets)


@in_virtual_time
async def test_a_consumer_that_lags_loses_the_oldest_and_the_positions_say_so() -> None:
    inbound = hearing()
    packets = [Packet(n, n * 960, 1, SILENCE) for n in range(QUEUE + 60)]
    await deliver(inbound, in_step(packets))
    inbound.close()
    blocks = [block async for block in inbound]
    assert len(blocks) == QUEUE
    assert inbound.dropped == 60
    assert blocks[0].position == 60 * BLOCK


@in_virtual_time
async def test_iteration_ends_with_the_peer_and_packets_after_it_are_ignored() -> None:
    inbound = hearing()
    listening = asyncio.create_task(hear(inbound, in_step(encoded(SPEECH[:HEARD_RATE]))))
    assert len(await listening) == 50
    inbound.receive(Packet(9, 9, 9, SILENCE))
    assert [block async for block in inbound] == []


@pytest.mark.parametrize("in_timer", [False, True])
@in_virtual_time
async def test_a_fault_ends_the_iteration_and_is_told(in_timer: bool) -> None:
    errors: list[str] = []
    inbound = hearing(errors)

    def broken(*_: object) -> None:
        raise RuntimeError("out of order")

    inbound.start()
    inbound._hand_on = broken  # type: ignore[method-assign]
    if not in_timer:
        inbound.receive(Packet(1, 1, 1, SILENCE))
    assert [block async for block in inbound] == []
    assert errors == ["The caller's audio stopped: out of order"]


Fate = tuple[float, int]
"""Of one packet: how long it is under way, and how many of it come."""


@st.composite
def journeys(draw: st.DrawFn) -> tuple[list[tuple[float, Packet]], list[int]]:
    """What the network and the sender may do to a stream of packets, and how long each run of the sender was.

    The sender may begin anew with another SSRC, sequence and timestamp, all of which may wrap.
    """
    arrivals, lengths, at = [], [], 0.0
    for ssrc in range(draw(st.integers(1, 3))):
        sequence, timestamp = draw(st.integers(0, 0xFFFF)), draw(st.integers(0, 0xFFFFFFFF))
        fates = draw(st.lists(st.tuples(st.floats(0, 0.25), st.sampled_from([0, 1, 1, 1, 1, 1, 2])), max_size=40))
        lengths.append(len(fates))
        for n, (delay, copies) in enumerate(fates):
            number, ticks = (sequence + n) & 0xFFFF, (timestamp + 960 * n) & 0xFFFFFFFF
            one = Packet(number, ticks, ssrc, SPOKEN[(len(arrivals) + n) % len(SPOKEN)])
            arrivals += [(at + n * STEP + delay * (copy + 1), one) for copy in range(copies)]
        at += len(fates) * STEP + draw(st.sampled_from([0.0, 0.02, 0.5, 2.5]))
    return sorted(arrivals, key=lambda arrival: arrival[0]), lengths


SPOKEN = [packet.payload for packet in encoded(SPEECH[2 * HEARD_RATE : 3 * HEARD_RATE], loss=20)]


@settings(deadline=None, max_examples=60)
@given(journeys())
@in_virtual_time
async def test_whatever_network_and_sender_do(journey: tuple[list[tuple[float, Packet]], list[int]]) -> None:
    """No exception, no gap in the positions (hear() looks), nothing twice, all counted, and bounded."""
    arrivals, lengths = journey
    inbound = hearing()
    played: list[Packet] = []
    decode = inbound._decode

    def watched(packet: Packet) -> None:
        played.append(packet)
        assert len(inbound.jitter._held) <= CAPACITY
        decode(packet)

    inbound._decode = watched  # type: ignore[method-assign]
    blocks = await hear(inbound, arrivals, after=0.5)
    keys = [(packet.ssrc, packet.sequence) for packet in played]
    assert len(keys) == len(set(keys)) or len(lengths) > 1  # a source may come back and go on from further back
    jitter = inbound.jitter
    assert jitter.received + jitter.duplicates == len(arrivals)
    assert len(played) <= jitter.received
    assert inbound.broken == inbound.dropped == 0
    for before, after in pairwise(played):
        if before.ssrc == after.ssrc and len(lengths) == 1:
            assert 0 < (after.sequence - before.sequence) & 0xFFFF < 0x8000
    spent = arrivals[-1][0] if arrivals else 0.0
    assert len(blocks) <= (spent + 0.5 + sum(lengths) * STEP) / STEP + 10


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.tuples(st.floats(0, 0.1), st.sampled_from([0, 1, 1, 1, 1, 2])), min_size=2, max_size=80),
)
@in_virtual_time
async def test_the_samples_are_as_many_as_the_rtp_clock_says(first: int, ticks: int, fates: list[Fate]) -> None:
    """From the first packet heard to the last, whatever became of those between them; what was put in while all
    stood still is known, and no more than the silence of that time."""
    fates = [(0.0, 1), *fates, (0.1, 1)]
    stream = [
        Packet((first + n) & 0xFFFF, (ticks + 960 * n) & 0xFFFFFFFF, 5, SPOKEN[n % len(SPOKEN)])
        for n in range(len(fates))
    ]
    arrivals = [(n * STEP + delay, stream[n]) for n, (delay, copies) in enumerate(fates) for _ in range(copies)]
    inbound = hearing()
    blocks = await hear(inbound, arrivals, after=0.25)
    held = inbound._ahead + inbound._filled
    assert len(blocks) * BLOCK + inbound._pending == len(fates) * BLOCK + held


def test_a_deadline_that_is_over_when_it_is_set_on_uvloop():
    """uvloop has no timer for that, and what it gives instead does not say when it is due."""

    async def stalled() -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: pytest.fail(context["message"]))
        inbound = hearing()
        packets = encoded(SPEECH)[:8]
        inbound.receive(packets[0])
        inbound._covered = loop.time() - 1.0
        inbound._arm()
        for packet in packets[1:]:
            inbound.receive(packet)
        await asyncio.sleep(0.05)
        inbound.close()
        return len([block async for block in inbound])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(stalled()) >= 8
