"""What a terminal shows; and that it shows nothing of the kind where there is none."""

import io

from rich.console import Console

from voxrtc.bench.machine import machine
from voxrtc.bench.place import CallReport
from voxrtc.bench.report import CallRow, summary
from voxrtc.bench.show import Progress, show_bench, show_call, waterfalls

ROW = {
    "clip": "a [bold]clip", "answered": True, "failed": None, "false_cutoff": False, "released_early": False,
    "voice_to_voice_ms": 700.0, "server_voice_to_voice_ms": 680.0, "endpoint_ms": 400.0, "asr_ms": 120.0,
    "first_token_ms": 90.0, "first_audio_ms": 350.0, "speculated": True, "turns_ended": 1, "replies": 1,
    "speculation_kept": 1, "pauses_resumed": 0, "word_errors": 1, "words": 10, "notices": [], "caller_late_ms": 0.4,
}  # fmt: skip
FAILED = ROW | {"answered": False, "failed": "no answer", "voice_to_voice_ms": None, "first_audio_ms": None}


def screen(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def report(turns: list[dict]) -> dict:
    call = CallRow(call=1, planned=len(turns), offer_ms=20.0, connect_ms=150.0, turns=turns)
    call.profile = {"hears": "whisper", "thinks": "qwen", "speaks": "hibari"}
    cost = {"cpu_percent": {"server": 3.0, "host": None, "caller": 1.2, "per_call": 3.0}}
    return {"calls": 1, **summary([call]), **cost, "rss_mb": {"server": 80.0, "host": None}, "machine": machine()}


def test_bench_on_one_screen():
    console = screen()
    show_bench(report([ROW] * 30 + [FAILED]), console)
    shown = text(console)
    assert "30 of 31 turns answered" in shown
    assert "WER 10.0 %" in shown
    assert "whisper · qwen · hibari" in shown
    assert len(shown.splitlines()) < 50
    assert max(len(line) for line in shown.splitlines()) <= 100


def test_waterfall_is_in_proportion():
    console = screen()
    waterfalls(summary([CallRow(call=1, planned=1, turns=[ROW | {"first_audio_ms": 350.0}])])["rows"], console)
    bar = next(line for line in text(console).splitlines() if "700" in line)
    waiting, work, way = (bar.count(sign) for sign in "░▓█")
    assert abs((waiting + 1) / 60 - 400 / 700) < 0.04
    assert abs(work / 60 - 280 / 700) < 0.04
    assert way >= 1
    assert bar.count("┃") == 1


def test_bench_of_which_nothing_was_answered():
    console = screen(60)
    show_bench(report([FAILED]), console)
    show_bench(report([]), console)
    assert "0 of 1 turns answered" in text(console)


def test_call_that_was_answered_and_one_that_was_not():
    console = screen()
    show_call(CallReport(url="u", answered=False, failed="refused (503): full [x]"), console)
    assert "not answered: refused (503): full [x]" in text(console)
    console = screen()
    good = CallReport(url="u", answered=True, failed=None, transcript="hello there", reply="[red]hi", offer_ms=9.0,
                      voice_to_voice_ms=654.0, metrics={"endpoint_ms": 300.0, "voice_to_voice_ms": 640.0})  # fmt: skip
    show_call(good, console)
    for part in ("hello there", "[red]hi", "654 ms", "░"):
        assert part in text(console)


def test_progress_only_on_a_terminal():
    plain = Console(file=io.StringIO(), force_terminal=False)
    with Progress(plain, "calling") as progress:
        progress.on_event({"type": "transcript", "text": "hello"})
        progress.on_row(1, ROW)
        progress.on_row(1, FAILED)
    assert text(plain) == ""
    console = screen()
    with Progress(console, "calling") as progress:
        progress.on_event({"type": "state_changed", "state": "thinking [x]"})
        progress.on_event({"type": "reply_text", "text": "hi"})
        progress.on_row(1, ROW)
    assert "calling" in text(console)
