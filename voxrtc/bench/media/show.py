"""The document of ``bench media`` on a terminal: ours beside stock aiortc, and what else was measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

LATE_MS = 20.0
"""Callers whose packets left later than this (p99) have measured their own machine."""

Get: TypeAlias = Callable[[dict[str, Any]], float | None]

LINES: tuple[tuple[str, Get, str], ...] = (
    ("calls", lambda f: f["calls"], "{:.0f}"),
    ("failed", lambda f: f["failed"], "{:.0f}"),
    ("delivered, %", lambda f: 100 * f["delivered_ratio"], "{:.2f}"),
    ("of it concealed, %", lambda f: 100 * f["concealed_ratio"], "{:.2f}"),
    ("latency p50, ms", lambda f: f["latency_ms"]["p50"], "{:.1f}"),
    ("latency p95, ms", lambda f: f["latency_ms"]["p95"], "{:.1f}"),
    ("longest gap, ms", lambda f: f["longest_gap_ms"], "{:.0f}"),
    ("CPU of a core a call, %", lambda f: f["cpu_percent_per_call"], "{:.2f}"),
    ("loop lag p99, ms", lambda f: f["loop_lag_ms"]["p99"], "{:.1f}"),
    ("POST /offer p50, ms", lambda f: f["answer_ms"]["p50"], "{:.1f}"),
    ("POST /offer p95, ms", lambda f: f["answer_ms"]["p95"], "{:.1f}"),
    ("connected p50, ms", lambda f: f["connect_ms"]["p50"], "{:.0f}"),
    ("connected p95, ms", lambda f: f["connect_ms"]["p95"], "{:.0f}"),
    ("memory a call, MiB", lambda f: f["rss_mb_per_call"], "{:.2f}"),
)


def show(document: dict[str, Any], console: Console) -> None:
    """A table of all servers that were measured, what was left behind, and whether the callers can be trusted."""
    columns = {"ours": document}
    columns |= {name: document[name] for name in ("stock", "relayed") if name in document}
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right", style="bold" if name == "ours" else "")
    for label, get, form in LINES:
        values = (get(figures) for figures in columns.values())
        table.add_row(label, *("–" if value is None else form.format(value) for value in values))
    console.print(_network(document["network"]))
    console.print(table)
    if "sequence" in document:
        _sequence(document["sequence"], console)
    if "wer" in document:
        told = ", ".join(f"{100 * rate:.1f} % ({name})" for name, rate in document["wer"].items())
        console.print(Text(f"words misunderstood, by percent of packets lost: {told}"), soft_wrap=True)
    for name, figures in columns.items():
        _doubts(name, figures, console)


def _network(network: dict[str, Any]) -> Text:
    parts = [
        f"{100 * network['loss']:g} % lost" if network["loss"] else "",
        f"in bursts of {network['burst']:g}" if network["burst"] else "",
        f"{network['delay_ms']:g} ms of delay" if network["delay_ms"] else "",
        f"± {network['jitter_ms']:g} ms" if network["jitter_ms"] else "",
    ]
    told = ", ".join(filter(None, parts))
    return Text(f"on the way to the server: {told or 'nothing in the way'}", style="dim")


def _sequence(found: dict[str, Any], console: Console) -> None:
    grown = ", ".join(
        f"{label} {found[key]['growth']:+g}"
        for key, label in (("rss_mb", "MiB"), ("tasks", "tasks"), ("threads", "threads"), ("sockets", "sockets"))
    )
    noticed = found["noticed_s"]["max"]
    seen = "none was killed" if noticed is None else f"{found['killed']} killed, noticed after {noticed:.1f} s at most"
    console.print(
        Text(f"{found['calls']} calls one after another ({found['failed']} failed): {grown}; {seen}"), soft_wrap=True
    )
    if found["unnoticed"]:
        console.print(Text(f"{found['unnoticed']} calls were still there at the end", style="red"))


def _doubts(name: str, figures: dict[str, Any], console: Console) -> None:
    for reason, count in figures["errors"].items():
        console.print(Text(f"{name}: {count} failed: {reason}", style="red"), soft_wrap=True)
    late = figures["callers"]["late_ms"]["p99"]
    if late is not None and late > LATE_MS:
        console.print(
            Text(f"{name}: the callers were up to {late:.0f} ms late (p99): the machine was too busy", style="yellow"),
            soft_wrap=True,
        )
