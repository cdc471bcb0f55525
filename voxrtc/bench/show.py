"""Calls and benches on a terminal: progress while they run, then a table and a waterfall for each turn (rich)."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from voxrtc.bench.place import CallReport
from voxrtc.bench.report import Row

MOST_BARS = 24
"""Waterfalls of more turns than this would not fit on one screen: the slowest are shown."""
LAYERS = (("░", "dim", "waiting to be sure"), ("▓", "yellow", "work left after the pause"), ("█", "cyan", "the way"))


class Progress:
    """One line that says what is going on, in ``with``; nothing at all where the output is no terminal."""

    def __init__(self, console: Console, what: str) -> None:
        self._status: Status | None = console.status(escape(what)) if console.is_terminal else None
        self._what = what
        self._done = 0

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def on_event(self, event: dict[str, Any]) -> None:
        """For ``place``: what the assistant is doing, and the words as they come."""
        kind = event.get("type")
        if kind == "transcript":
            self._say(f"heard: {event.get('text')}")
        elif kind == "reply_text":
            self._say(f"says: {event.get('text')}")
        elif kind == "state_changed":
            self._say(str(event.get("state")))

    def on_row(self, call: int, row: Row) -> None:
        """For ``bench``: the turn that has just been measured."""
        self._done += 1
        took = row["voice_to_voice_ms"]
        result = f"{took:.0f} ms" if took is not None else row["failed"] or "not measured"
        self._say(f"{self._done} turns · call {call} · {row['clip']}: {result}")

    def _say(self, text: str) -> None:
        if self._status is not None:
            self._status.update(escape(f"{self._what} · {text}"))


def show_call(report: CallReport, console: Console) -> None:
    """Transcript, reply and timings of one call."""
    if not report.answered:
        console.print(Text.assemble(("not answered: ", "bold red"), report.failed or ""))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    for label, text in (("heard", report.transcript), ("reply", report.reply)):
        if text:
            table.add_row(label, Text(text))
    if report.profile:
        models = (str(report.profile.get(part)) for part in ("hears", "thinks", "speaks"))
        table.add_row("models", Text(" · ".join(models)))
    if report.offer_ms is not None:
        table.add_row("offer, connect", f"{_ms(report.offer_ms)}, {_ms(report.connect_ms)}")
    if report.voice_to_voice_ms is not None:
        table.add_row("voice to voice", Text(_ms(report.voice_to_voice_ms), style="bold"))
        table.add_row("", _bar(report.metrics | {"voice_to_voice_ms": report.voice_to_voice_ms} | _server(report), 50))
    if report.false_cutoff:
        table.add_row("", Text("the server answered before the speech was over", style="yellow"))
    console.print(table)


def show_bench(report: dict[str, Any], console: Console) -> None:
    """The figures of a bench, and the waterfalls of its turns."""
    profile, machine = report["profile"], report["machine"]
    console.print(
        Text.assemble(
            (f"{report['answered']} of {report['turns']} turns answered", "bold"),
            f" · {report['calls']} at a time · false cut-offs {report['false_cutoffs']}",
            f" · WER {_percent(report['wer'])}",
        )
    )
    if profile:
        console.print(Text(" · ".join(str(profile.get(part)) for part in ("hears", "thinks", "speaks")), style="dim"))
    console.print(Text(f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mb']} MiB", style="dim"))
    console.print(_figures(report))
    if report.get("speculation_gain_ms") is not None:
        slow = report["without_speculation"]["voice_to_voice_ms"]["p50"]
        gain = report["speculation_gain_ms"]
        console.print(Text(f"without speculation: voice to voice p50 {slow:.0f} ms; it gains {gain:.0f} ms"))
    for error in report["call_errors"]:
        console.print(Text(f"call {error['call']}: {error['reason']}", style="red"))
    waterfalls(report["rows"], console)


def _figures(report: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for head in ("p50", "p95", "max"):
        table.add_column(head, justify="right")
    labels = {
        "voice_to_voice_ms": "voice to voice, ms",
        "endpoint_ms": "end of turn decided, ms",
        "asr_ms": "transcript, ms",
        "first_token_ms": "first text, ms",
        "first_audio_ms": "first samples, ms",
        "offer_ms": "POST /offer, ms",
        "connect_ms": "connected, ms",
    }
    for key, label in labels.items():
        values = (report[key][q] for q in ("p50", "p95", "max"))
        style = "bold" if key == "voice_to_voice_ms" else ""
        table.add_row(label, *("–" if v is None else f"{v:.0f}" for v in values), style=style)
    cpu, rss = report["cpu_percent"], report["rss_mb"]
    table.add_row("", "", "", "")
    table.add_row("", "server", "models", "caller", style="dim")
    table.add_row("CPU, % of one core", *(_number(cpu[role]) for role in ("server", "host", "caller")))
    table.add_row("memory, MiB", *(_number(rss[role]) for role in ("server", "host")), "")
    return table


def waterfalls(rows: Sequence[Row], console: Console) -> None:
    """One bar a turn, all to one scale: from the end of speech to the first sound of the answer."""
    timed = [row for row in rows if row["voice_to_voice_ms"] is not None]
    shown = sorted(timed, key=lambda row: -float(row["voice_to_voice_ms"]))[:MOST_BARS]
    if not shown:
        return
    scale = max(float(row["voice_to_voice_ms"]) for row in shown)
    width = max(20, min(80, console.width - 40))
    table = Table.grid(padding=(0, 1))
    for row in (row for row in rows if row in shown):
        length = max(1, round(width * float(row["voice_to_voice_ms"]) / scale))
        label = f"{row['call']}.{row['turn']} {row['clip']}"[:24]
        table.add_row(
            Text(label, style="dim"), Text(f"{row['voice_to_voice_ms']:.0f}", style="bold"), _bar(row, length)
        )
    console.print(table)
    legend = Text("from the end of speech: ", style="dim")
    for sign, style, meaning in LAYERS:
        legend.append(sign * 2, style=style)
        legend.append(f" {meaning}  ", style="dim")
    legend.append("┃", style="green")
    legend.append(" first samples ready", style="dim")
    console.print(legend)


def _bar(row: dict[str, Any], width: int) -> Text:
    """Where one turn's time went, ``width`` characters for the whole of it."""
    whole = max(1.0, float(row["voice_to_voice_ms"]))
    sent = min(whole, row.get("server_voice_to_voice_ms") or whole)
    decided = min(sent, row.get("endpoint_ms") or 0.0)
    ends = [round(width * upto / whole) for upto in (decided, sent, whole)]
    bar = Text()
    for (sign, style, _), begin, end in zip(LAYERS, [0, *ends[:-1]], ends, strict=True):
        bar.append(sign * (end - begin), style=style)
    ready = row.get("first_audio_ms")
    if ready is not None and 0.0 <= ready <= whole and bar:
        at = min(len(bar) - 1, round(width * ready / whole))
        bar = Text.assemble(bar[:at], ("┃", "green"), bar[at + 1 :])
    return bar


def _server(report: CallReport) -> dict[str, Any]:
    return {"server_voice_to_voice_ms": report.metrics.get("voice_to_voice_ms")}


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
