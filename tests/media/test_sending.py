"""The encoder's settings follow what the caller reports and what the machine can spare."""

import asyncio

import pytest

from tests.media.callers import Caller, clip
from voxrtc.audio import HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, Mark, Samples, resample
from voxrtc.bench.detour import Detour, anonymous
from voxrtc.bench.impair import Impairment
from voxrtc.media import opus
from voxrtc.media.peer import Peer
from voxrtc.media.sending import DECAY, LEAST_BITRATE, Effort, Report, Sending
from voxrtc.settings import Media, Settings

SPEECH = resample(clip("austen-0880")[: 3 * HEARD_RATE], HEARD_RATE, SPOKEN_RATE)


class Idle(Effort):
    """A machine with nothing to do."""

    def complexity(self, wanted: int) -> int:
        return wanted


def protected(packets: list[bytes]) -> float:
    return sum(map(opus.has_fec, packets)) / len(packets)


def lost(fraction: float) -> Report:
    return Report(fraction, 0.05, None)


def test_speech_is_protected_once_loss_is_reported_and_no_longer_when_it_is_over() -> None:
    sending, encoder = Sending(Media(), Idle()), opus.Encoder()

    def encode() -> list[bytes]:
        packets = []
        for at in range(0, SPEECH.size - SPOKEN_BLOCK, SPOKEN_BLOCK):
            sending.tune(encoder)
            packets.append(encoder.encode(SPEECH[at : at + SPOKEN_BLOCK]))
        return packets

    assert protected(encode()) == 0.0
    sending.reported(lost(0.08))
    assert protected(encode()) > 0.5
    assert sending.loss == 0.08
    assert sending.rtt_s == 0.05
    for _ in range(30):
        sending.reported(lost(0.0))
    assert protected(encode()) == 0.0


def test_protection_goes_up_at_once_and_down_slowly() -> None:
    sending = Sending(Media(), Idle())
    assert sending.protection == 0
    sending.reported(lost(0.20))
    assert sending.protection == 20
    sending.reported(lost(0.0))
    assert sending.protection == round(20 * DECAY)
    sending.reported(lost(0.002))
    assert 0 < sending.protection < 20


def test_the_bitrate_gives_way_to_heavy_loss_and_comes_back() -> None:
    sending = Sending(Media(opus_bitrate=32_000), Idle())
    sending.reported(lost(0.05))
    assert sending.bitrate == 32_000, "a little loss is no congestion"
    for _ in range(40):
        sending.reported(lost(0.3))
    assert sending.bitrate == LEAST_BITRATE
    for _ in range(40):
        sending.reported(lost(0.0))
    assert sending.bitrate == 32_000


def test_the_callers_estimate_bounds_the_bitrate() -> None:
    sending, encoder = Sending(Media(), Idle()), opus.Encoder()
    sending.reported(Report(None, None, 20_000))
    sending.tune(encoder)
    assert encoder.bitrate == 20_000
    sending.reported(Report(None, None, 100))
    assert sending.bitrate == LEAST_BITRATE
    sending.reported(Report(None, None, 10**9))
    for _ in range(40):
        sending.reported(lost(0.0))
    assert sending.bitrate == Media().opus_bitrate


def test_a_low_bitrate_that_is_configured_is_kept() -> None:
    sending = Sending(Media(opus_bitrate=8_000), Idle())
    sending.reported(lost(0.5))
    assert sending.bitrate == 8_000


@pytest.mark.parametrize(("busy", "complexity"), [(0.0, 5), (0.5, 5), (0.67, 3), (0.85, 0), (1.0, 0)])
def test_a_busy_machine_spends_less_on_encoding(busy: float, complexity: int) -> None:
    effort = Effort()
    effort.busy = busy
    assert effort.complexity(5) == complexity


def test_effort_is_measured_on_this_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    now, used = 100.0, 3.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.thread_time", lambda: used)
    effort = Effort()
    for _ in range(20):
        now, used = now + 1.0, used + 0.95
        effort.complexity(10)
    assert effort.busy == pytest.approx(0.95, abs=0.01)
    assert effort.complexity(10) == 0
    for _ in range(20):
        now += 1.0
        effort.complexity(10)
    assert effort.complexity(10) == 10


async def until_protected(peer: Peer, sent: asyncio.Queue[bytes], protected: bool) -> None:
    """Speak until every packet of a second of speech is protected, or none is."""
    while True:
        await peer.mouth.play(SPEECH[:SPOKEN_RATE], Mark())
        await peer.mouth.drained()
        packets = [sent.get_nowait() for _ in range(sent.qsize())]
        if (sum(map(opus.has_fec, packets)) > len(packets) / 2) == protected:
            return


async def test_a_caller_that_loses_packets_is_sent_protected_ones() -> None:
    """Over real sockets: the stock caller's own RTCP reports bring the FEC about, its end takes it away again."""
    caller = Caller()
    with Detour(seed=3) as detour:
        peer = await Peer.answer(anonymous(await caller.offer()), Settings())
        sent: asyncio.Queue[bytes] = asyncio.Queue()
        encode = peer._mouth._encoder.encode

        def note(samples: Samples) -> bytes:
            packet = encode(samples)
            sent.put_nowait(packet)
            return packet

        peer._mouth._encoder.encode = note  # type: ignore[method-assign]
        try:
            await caller.take(detour.reroute(peer.sdp))
            await peer.connected()
            for loss in (0.25, 0.0):
                detour.impair(down=Impairment(loss=loss))
                async with asyncio.timeout(60):
                    await until_protected(peer, sent, bool(loss))
            assert peer.stats()["sent_lost_percent"] is not None
            assert 0 < peer.stats()["rtt_ms"] < 5_000
        finally:
            await caller.close()
            await peer.close()
