"""``voxrtc bench media``: its ear against known delays and losses, and small real runs."""

import asyncio
import io
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import opuslib_next
import pytest
from rich.console import Console

from voxrtc import cli
from voxrtc.audio import BLOCK, SPOKEN_BLOCK, Block, Mark
from voxrtc.bench.impair import Impairment
from voxrtc.bench.media import bench as whole
from voxrtc.bench.media import plot, relay
from voxrtc.bench.media.bench import bench
from voxrtc.bench.media.echo import SURPLUS_BLOCKS, TAPS, Echo, Upsampler
from voxrtc.bench.media.hearing import Heard, Recording, hear
from voxrtc.bench.media.measure import Cores, Plan, measure
from voxrtc.bench.media.process import MediaServer
from voxrtc.bench.media.sequence import sequence
from voxrtc.bench.media.show import show
from voxrtc.bench.media.tones import LOOP, signal
from voxrtc.bench.server import NoServer
from voxrtc.errors import VoxrtcError
from voxrtc.media import opus

KEYS = {
    "calls", "delivered_ratio", "concealed_ratio", "latency_ms", "longest_gap_ms", "cpu_percent_per_call",
    "loop_lag_ms", "answer_ms", "connect_ms", "rss_mb_per_call",
}  # fmt: skip
SENT = 400
FIRST = 200  # of the signal's packets, so that its end comes by
LOOKAHEAD_MS = 6.5
"""Of libopus' encoder for speech (RFC 6716: 6.5 ms at 24 kHz)."""


# -- what is said, and how it is heard ---------------------------------------------------------------------------


def test_the_signal_carries_fec_and_no_part_of_it_sounds_like_another():
    said = signal()
    assert len(said.packets) == LOOP
    assert sum(opus.has_fec(packet) for packet in said.packets) > 0.95 * LOOP
    unit = said.sound / np.linalg.norm(said.sound, axis=1, keepdims=True)
    alike = np.abs(unit @ unit.T) - np.eye(LOOP)
    assert alike.max() < 0.6


def packets() -> list[bytes]:
    return [signal().packets[(FIRST + k) % LOOP] for k in range(SENT)]


def heard(back: list[bytes], delay_s: Callable[[int], float]) -> Heard:
    """What is heard of SENT packets where ``back`` comes one every 20 ms, each as late as ``delay_s`` says."""
    recording = Recording(first=FIRST, sent=[1_000 + k * 0.02 for k in range(SENT)])
    recording.heard = [(1_000 + i * 0.02 + delay_s(i), (65_400 + i) & 0xFFFF, p) for i, p in enumerate(back)]
    return hear(recording, signal(), 1_001, 1_007)


def coded_again(pieces: list[np.ndarray]) -> list[bytes]:
    """Blocks at 16 kHz as the echo sends them: resampled and coded anew."""
    upsampler, encoder = Upsampler(), opuslib_next.Encoder(24_000, 1, opuslib_next.APPLICATION_VOIP)
    encoder.bitrate = 32_000
    return [encoder.encode_float(upsampler.push(piece).tobytes(), SPOKEN_BLOCK) for piece in pieces]


@pytest.mark.parametrize("delay_ms", [3.0, 137.5, 1_900.0])
def test_a_known_delay_is_read_to_the_sample(delay_ms: float):
    found = heard(packets(), lambda _: delay_ms / 1e3)
    assert found.stretches == found.delivered == len(found.latency_ms) == 300
    assert found.concealed == 0
    assert np.ptp(found.latency_ms) < 0.3
    assert np.median(found.latency_ms) == pytest.approx(delay_ms, abs=0.2)


def test_a_delay_is_read_through_two_codecs_and_a_resampler():
    decoder = opus.Decoder()
    found = heard(coded_again([decoder.decode(packet) for packet in packets()]), lambda _: 0.05)
    assert found.delivered == len(found.latency_ms) == 300
    assert np.ptp(found.latency_ms) < 0.6
    assert np.median(found.latency_ms) == pytest.approx(50 + LOOKAHEAD_MS + 0.5, abs=0.5)
    assert found.longest_gap_ms == pytest.approx(20, abs=0.1)


def test_a_delay_that_changes_is_read_on_both_sides():
    found = heard(packets(), lambda i: 0.05 if i < 200 else 0.17)
    assert found.delivered == 300
    assert np.percentile(found.latency_ms, [10, 90]) == pytest.approx([50, 170], abs=0.3)
    assert found.longest_gap_ms == pytest.approx(140, abs=0.1)


LOST = set(range(60, 340, 10))


def test_what_fec_restores_is_recognised_and_what_is_concealed_is_told_apart():
    sent, decoder = packets(), opus.Decoder()

    def piece(k: int) -> np.ndarray:
        if k not in LOST:
            return decoder.decode(sent[k])
        return decoder.decode_before(sent[k + 1], BLOCK) if k % 20 else decoder.conceal(BLOCK)

    found = heard(coded_again([piece(k) for k in range(SENT)]), lambda _: 0.05)
    restored = sum(50 <= k < 350 and k % 20 > 0 for k in LOST)
    made_up = sum(50 <= k < 350 and k % 20 == 0 for k in LOST)
    assert found.delivered >= 298
    assert found.concealed == pytest.approx(made_up, abs=3)
    assert len(found.latency_ms) >= 300 - made_up - restored // 4


def test_silence_in_the_place_of_what_was_lost_is_not_delivered():
    sent, decoder = packets(), opus.Decoder()
    pieces = [np.zeros(BLOCK, np.float32) if k in LOST else decoder.decode(sent[k]) for k in range(SENT)]
    found = heard(coded_again(pieces), lambda _: 0.05)
    assert found.delivered == pytest.approx(300 - len(LOST), abs=3)


def test_what_was_left_out_is_not_delivered():
    sent, decoder = packets(), opus.Decoder()
    found = heard(coded_again([decoder.decode(sent[k]) for k in range(SENT) if k not in LOST]), lambda _: 0.6)
    assert found.delivered == pytest.approx(300 - len(LOST), abs=3)


def test_doubled_and_late_packets_are_one_each():
    back = packets()
    recording = Recording(first=FIRST, sent=[1_000 + k * 0.02 for k in range(SENT)])
    recording.heard = [(1_000.05 + i * 0.02, i, p) for i, p in enumerate(back)]
    recording.heard[100], recording.heard[101] = recording.heard[101], recording.heard[100]
    recording.heard += recording.heard[200:210]
    found = hear(recording, signal(), 1_001, 1_007)
    assert found.delivered == 300


def test_what_the_caller_left_out_is_not_asked_for():
    recording = Recording(first=FIRST, sent=[1_000 + k * 0.02 for k in range(SENT)])
    recording.heard = [(1_000.05 + i * 0.02, i, p) for i, p in enumerate(packets()) if not 100 <= i < 110]
    recording.sent[100:110] = [None] * 10
    found = hear(recording, signal(), 1_001, 1_007)
    assert found.stretches == found.delivered == 290


def test_nothing_heard_at_all():
    found = heard([], lambda _: 0.0)
    assert (found.stretches, found.delivered, found.latency_ms) == (300, 0, [])
    assert found.longest_gap_ms == pytest.approx(6_000)
    assert heard([b"\xff\xff"] * 50, lambda _: 0.0).delivered == 0


# -- the echo ----------------------------------------------------------------------------------------------------


def test_the_upsampler_is_continuous_and_half_a_millisecond_late():
    upsampler = Upsampler()
    sine = np.sin(2 * np.pi * 1_000 * np.arange(10 * BLOCK) / 16_000).astype(np.float32)
    out = np.concatenate([upsampler.push(block) for block in sine.reshape(10, BLOCK)])
    assert out.size == 10 * SPOKEN_BLOCK
    late = TAPS / 2 / 16_000
    wanted = np.sin(2 * np.pi * 1_000 * (np.arange(out.size) / 24_000 - late))
    assert np.abs(out - wanted)[SPOKEN_BLOCK:].max() < 0.01


class Lines:
    """Ears that hear ``blocks``, and a mouth that says ``says`` blocks for each that it is given."""

    tap = None

    def __init__(self, blocks: int, behind: int) -> None:
        self.blocks, self.behind, self.played, self.flushed = blocks, behind, 0, 0

    async def __aiter__(self):
        for i in range(self.blocks):
            yield Block(i * BLOCK, np.full(BLOCK, 0.1, np.float32))

    async def play(self, samples: np.ndarray, mark: Mark) -> None:
        self.played += 1
        mark.queued += samples.size
        mark.heard = max(mark.heard, mark.queued - self.behind * SPOKEN_BLOCK)

    def flush(self) -> None:
        self.flushed += 1

    def duck(self, on: bool) -> None:
        raise NotImplementedError

    async def drained(self) -> None:
        raise NotImplementedError


async def test_an_echo_leaves_out_what_a_stall_left_waiting():
    keeps, ahead = Lines(SURPLUS_BLOCKS, 4), Lines(SURPLUS_BLOCKS + 50, 0)
    echo = Echo(keeps, keeps)
    await echo.run()
    keeps.blocks = 50
    await echo.run()
    assert keeps.played == SURPLUS_BLOCKS + 50  # at the first block nothing was waiting: that was no surplus
    await echo.run()
    await echo.run()
    assert keeps.played == SURPLUS_BLOCKS + 150 - 4
    await Echo(ahead, ahead).run()
    assert ahead.played == SURPLUS_BLOCKS + 50


# -- real runs ---------------------------------------------------------------------------------------------------


def plausible(figures: dict) -> None:
    assert set(figures) >= KEYS
    assert figures["failed"] == 0
    assert 0.2 < figures["delivered_ratio"] <= 1
    assert 0 <= figures["concealed_ratio"] < 0.5
    assert 3 < figures["latency_ms"]["p50"] <= figures["latency_ms"]["p95"] < 2_500
    assert 15 < figures["longest_gap_ms"] < 3_000
    assert 0 < figures["cpu_percent_per_call"] < 60
    assert 0 <= figures["loop_lag_ms"]["p50"] <= figures["loop_lag_ms"]["p99"]
    assert 0 < figures["answer_ms"]["p50"] <= figures["answer_ms"]["p95"]
    assert figures["answer_ms"]["p50"] < figures["connect_ms"]["p50"] <= figures["connect_ms"]["p95"]
    assert -5 < figures["rss_mb_per_call"] < 50


async def test_ours_and_stock_side_by_side():
    document = await bench(Plan(2, 2.0), command="a command")
    plausible(document)
    plausible(document["stock"])
    assert document["calls"] == document["stock"]["calls"] == 2
    assert json.loads(json.dumps(document)) == document
    screen = Console(file=io.StringIO(), width=100)
    show(document, screen)
    for word in ("ours", "stock", "nothing in the way", "delivered", "loop lag"):
        assert word in screen.file.getvalue()


async def test_a_sweep_and_its_picture(tmp_path: Path):
    pytest.importorskip("matplotlib")
    told: list[str] = []
    document = await bench(Plan(2, 1.0), stock=False, sweep=True, progress=lambda what, _: told.append(what))
    assert [point["calls"] for point in document["sweep"]["ours"]] == [1, 2]
    assert {"ours, 2 calls: measuring", "ours, 1 calls: connecting"} <= set(told)
    document["sweep"]["stock"] = document["sweep"]["ours"]
    plot.plot(document, tmp_path / "lag.png")
    assert (tmp_path / "lag.png").stat().st_size > 5_000


async def test_a_network_that_loses_and_delays():
    how = Impairment(loss=0.1, delay_ms=60, jitter_ms=20)
    clear = await measure("ours", Plan(1, 2.0), Cores.here(), lambda *_: None)
    found = await measure("ours", Plan(2, 3.0, up=how, seed=3), Cores.here(), lambda *_: None)
    plausible(found)
    assert found["connect_ms"]["p50"] > clear["connect_ms"]["p50"] + 60
    assert found["latency_ms"]["p50"] > 60


async def test_calls_one_after_another_leave_nothing_and_the_killed_are_noticed():
    found = await sequence(6, Plan(1, 1.0), Cores.here(), lambda *_: None)
    assert (found["calls"], found["failed"], found["killed"], found["unnoticed"]) == (6, 0, 1, 0)
    assert 0 < found["noticed_s"]["p50"] <= found["noticed_s"]["max"] < 20
    assert found["threads"]["growth"] <= 0
    assert found["sockets"]["growth"] <= 1
    assert found["tasks"]["growth"] <= 1


@pytest.mark.skipif(not relay.installed(), reason="coturn is not installed")
async def test_relayed_calls():
    document = await bench(Plan(1, 1.0), stock=False, relayed=True)
    assert "stock" not in document
    plausible(document["relayed"])


async def test_without_coturn_it_says_so_before_it_measures(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VoxrtcError, match="apt-get install coturn"):
        await asyncio.wait_for(bench(Plan(1, 600.0), relayed=True), 5)


async def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path):
    (tmp_path / "config.toml").write_text("[media]\nopus_complexity = 99\n")
    with pytest.raises(NoServer, match="opus_complexity"):
        async with MediaServer("ours", config=tmp_path / "config.toml"):
            pass


def test_steps_of_a_sweep():
    assert whole._steps(1) == [1]
    assert whole._steps(72) == [12, 24, 36, 48, 60, 72]
    assert all(a < b for a, b in pairwise(whole._steps(7)))


# -- the command line --------------------------------------------------------------------------------------------


def test_the_command_measures_and_writes(tmp_path: Path, capsys):
    file = tmp_path / "media.json"
    arguments = ["--calls", "1", "--seconds", "1", "--loss", "5", "--burst", "2", "--no-stock", "--json", str(file)]
    assert cli.main(["bench", "media", *arguments]) == 0
    document = json.loads(file.read_text())
    assert document["network"] == {"loss": 0.05, "burst": 2.0, "delay_ms": 0.0, "jitter_ms": 0.0}
    assert set(document) >= KEYS
    assert "5 % lost, in bursts of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--calls", "0"], "whole number above 0"),
        (["--calls", "100000"], "try up to 1000"),
        (["--seconds", "0"], "from 1 to 600"),
        (["--seconds", "nan"], "from 1 to 600"),
        (["--loss", "0.05"], "in percent"),
        (["--loss", "100"], "percentage"),
        (["--loss", "some"], "not a number"),
        (["--delay-ms", "-5"], "from 0 on"),
        (["--one-after-another", "-1"], "whole number above 0"),
        (["--json", "/nowhere/at/all.json"], "no file can be made"),
    ],
)
def test_wrong_arguments_are_told_at_once(arguments: list[str], told: str, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", "media", *arguments])
    assert stopped.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_bursts_that_cannot_be_are_told_at_once(capsys):
    assert cli.main(["bench", "media", "--loss", "90", "--burst", "1"]) == 1
    assert "make them longer" in " ".join(capsys.readouterr().err.split())


def test_a_plot_without_matplotlib_is_told_at_once(monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["bench", "media", "--plot", str(tmp_path / "x.png")]) == 1
    assert "voxrtc[bench]" in " ".join(capsys.readouterr().err.split())
