"""The document of ``bench tts`` on a terminal: ours beside the package's own, and the goal where that may be."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voxrtc.bench.tts.options import CHATTERBOX
from voxrtc.bench.voxtral.show import Line, _cell, _nothing, _of, _ours

GOALS = {"alone": 110.0, "together": 230.0, "rtf": 0.10, "token": 4.0, "chunk": 40.0}
"""Of one H100, full shape: ms to the first audio for one caller (median) and for 16 (95th percentile), seconds a second
of sound for one, ms a token for one and ms a chunk for one."""
GOAL_CALLERS = 16


def goals_apply(document: dict[str, Any]) -> bool:
    """The goals are those of one H100 (or the like) with the full shape."""
    named = any(name in document["device"] for name in ("H100", "H200"))
    return bool(document["voice"] == CHATTERBOX and (document.get("shape") or {}).get("name") == "full" and named)


def lines(document: dict[str, Any]) -> list[Line]:
    """The rows of the table."""
    stock_first, callers = _of("stock", "first_audio_ms"), document["callers"]
    rows: list[Line] = []
    for key, label, goal in (
        ("t3_token_ms", "a token of {}, ms", "token"),
        ("sound_chunk_ms", "a chunk of {}, ms", "chunk"),
    ):
        for count in document.get(key) or {}:
            stock = _of("stock", key) if count == "1" else _nothing
            limit = GOALS[goal] if count == "1" else None
            rows.append((label.format(count), _of(key, count), stock, _nothing, limit, "most"))
    rows += [
        ("one caller: first audio, ms", _of("alone", "first_audio_ms", "p50"), stock_first, _nothing,
         GOALS["alone"], "most"),
        ("one caller: seconds a second of sound", _of("rtf"), _of("stock", "rtf"), _nothing, GOALS["rtf"], "most"),
    ]  # fmt: skip
    if callers > 1:
        at_once = GOALS["together"] if callers == GOAL_CALLERS else None
        rows += [
            _ours(f"{callers} callers: first audio, p50, ms", _of("first_audio_ms", "p50")),
            _ours(f"{callers} callers: first audio, p95, ms", _of("first_audio_ms", "p95"), at_once),
            _ours("all at one instant: first audio, p95, ms", _of("together", "first_audio_ms", "p95")),
        ]
    return [
        *rows,
        _ours("times that a listener ran dry", _of("underruns"), 0.0),
        _ours("clicks at joints", _of("joint_clicks")),
        _ours("streamed beside whole: distance, dB", _of("stream", "distance_db")),
        _ours("watermark of a chunk, ms", _of("watermark_ms")),
        _ours(_misheard(document), _percent),
        _ours("memory at most, GB", _of("peak_gb")),
    ]


def _misheard(document: dict[str, Any]) -> str:
    """How the line of the words is called: with their number, without which a share says little."""
    words = _of("wer", "words")(document)
    return "words misheard by whisper, %" if words is None else f"of {words:.0f} words misheard by whisper, %"


def _percent(document: dict[str, Any]) -> float | None:
    rate = _of("wer", "rate")(document)
    return None if rate is None else round(100 * rate, 1)


def show(document: dict[str, Any], console: Console) -> None:
    """The table, and what could not be measured."""
    judged = goals_apply(document)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for name in ("ours", "the package's", *(("goal",) if judged else ())):
        table.add_column(name, justify="right", style="bold" if name == "ours" else "dim" if name == "goal" else "")
    for label, ours, stock, _, goal, good in lines(document):
        value = ours(document)
        if value is None and stock(document) is None and not judged:
            continue
        cells = [_cell(value, goal if judged else None, good), _cell(stock(document))]
        if judged:
            cells.append(Text("" if goal is None else f"≤ {goal:,.3g}"))
        table.add_row(label, *cells)
    console.print(Text(_head(document), style="dim"), soft_wrap=True)
    console.print(table)
    for part, reason in document["failed"].items():
        console.print(Text(f"{part} was not measured: {reason}", style="red"), soft_wrap=True)
    chance = document.get("clicks_by_chance")
    if chance:
        told = f"Clicks told where there is no joint: {100 * chance:.2g} % of places."
        console.print(Text(told, style="dim"), soft_wrap=True)
    if document["voice"] == CHATTERBOX and not judged:
        console.print(Text("The goals of docs/benchmarks.md are for an H100 at full shape.", style="dim"))


def _head(document: dict[str, Any]) -> str:
    shape = document.get("shape")
    if shape is None:
        return f"{document['device']} · {document['voice']}, {document['language']}"
    size = f"{shape['parameters'] / 1e9:.2f} B parameters" if shape["name"] == "full" else "of no use but to try"
    told = ", ".join(f"{key} {value}" for key, value in (document.get("runner") or {}).items())
    return f"{document['device']} · {shape['name']} shape ({size}), random weights · {told}"
