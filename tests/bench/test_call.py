"""``voxrtc bench call`` against tone servers: the report is whole, counts what went wrong, and costs are seen."""

import json
import sys
from pathlib import Path

import pytest
from tone_server import Behaviour

from voxrtc.bench.call import bench
from voxrtc.bench.clip import load_clips
from voxrtc.bench.conversation import Patience
from voxrtc.errors import AudioError

QUICK = Patience(answer_s=1.0, reply_s=5.0, quiet_s=0.45, lead_s=0.2)
SCRIPT = str(Path(__file__).with_name("tone_server.py"))
KEYS = {
    "calls", "turns", "answered", "failed", "false_cutoffs", "wer", "offer_ms", "connect_ms", "first_token_ms",
    "voice_to_voice_ms", "endpoint_ms", "asr_ms", "first_audio_ms", "cpu_percent", "rss_mb", "profile", "machine",
    "date", "command", "rows", "rounds", "start_s", "speculation_kept", "pauses_resumed", "call_errors",
}  # fmt: skip


def ends(folder: Path) -> tuple[float, ...]:
    return tuple(clip.speech_end for clip in load_clips(folder))


async def test_report_of_a_running_server(serve, folder: Path):
    server = await serve(Behaviour(ends=ends(folder), words=("one two tree", "four five")))
    seen: list[tuple[int, str]] = []
    report = await bench(server.url, folder, patience=QUICK, on_row=lambda call, row: seen.append((call, row["clip"])))
    assert set(report) >= KEYS
    json.dumps(report, allow_nan=False)
    assert (report["calls"], report["turns"], report["answered"], report["failed"]) == (1, 2, 2, 0)
    assert report["wer"] == pytest.approx(1 / 5)
    for key in ("offer_ms", "connect_ms", "voice_to_voice_ms", "first_token_ms", "endpoint_ms"):
        assert set(report[key]) == {"p50", "p95", "max"}
        assert report[key]["p50"] is not None
    assert 400.0 < report["voice_to_voice_ms"]["p50"] < 700.0
    assert (report["speculation_kept"], report["false_cutoffs"]) == (1, 0)
    assert report["profile"]["speaks"] == "a tone"
    assert report["machine"]["cores"] >= 1
    assert report["cpu_percent"]["server"] > 0  # found by its port: this very process
    assert report["start_s"] is None
    assert seen == [(1, "a"), (1, "b")]
    assert "transcript" not in report["rows"][0]


async def test_several_calls_at_once_and_words_when_asked(serve, folder: Path):
    first, second = ends(folder)
    server = await serve(Behaviour(ends=(max(first, second),)))
    report = await bench(server.url, folder, calls=2, rounds=2, words=True, patience=QUICK)
    assert (report["turns"], report["answered"]) == (8, 8)
    assert [row["call"] for row in report["rows"]] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [row["clip"] for row in report["rows"][:4]] == ["a", "b", "b", "a"]
    assert report["rows"][0]["transcript"] == "one two three"
    assert sorted(server.hung_up) == ["s1", "s2", "s3", "s4"]


async def test_refused_calls_are_failed_turns(serve, folder: Path):
    server = await serve(Behaviour(refuse=503))
    report = await bench(server.url, folder, calls=2, patience=QUICK)
    assert (report["turns"], report["answered"], report["failed"], report["wer"]) == (4, 0, 4, None)
    assert [error["retry_after"] for error in report["call_errors"]] == [7, 7]
    assert report["voice_to_voice_ms"] == {"p50": None, "p95": None, "max": None}
    json.dumps(report, allow_nan=False)


async def test_call_that_breaks_off(serve, folder: Path):
    server = await serve(Behaviour(ends=ends(folder), hang_up_s=0.2))
    report = await bench(server.url, folder, patience=QUICK)
    assert (report["turns"], report["answered"], report["failed"]) == (2, 0, 2)
    assert report["call_errors"][0]["reason"] == "shutdown: the test says so"


async def test_server_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("voxrtc.bench.server.COMMAND", (sys.executable, SCRIPT))
    report = await bench(None, folder, patience=QUICK, environ={"TONE_ENDS": json.dumps(ends(folder))})
    assert report["answered"] == 2
    assert report["start_s"] > 0
    assert report["cpu_percent"]["server"] > 0
    assert report["cpu_percent"]["caller"] > 0
    assert report["rss_mb"]["server"] > 10


async def test_wrong_arguments(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    with pytest.raises(ValueError, match="at least 1"):
        await bench("http://127.0.0.1:1", folder, calls=0)
    with pytest.raises(AudioError):
        await bench("http://127.0.0.1:1", tmp_path_factory.mktemp("empty"))
