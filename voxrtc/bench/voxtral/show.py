"""The document of ``bench voxtral`` on a terminal: ours beside ``generate``, the floor and, where it may be asked for,
the goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

Get: TypeAlias = Callable[[dict[str, Any]], float | None]
Line: TypeAlias = tuple[str, Get, Get, Get, float | None, str]
"""What it is; ours, generate's and the floor's figure; the goal; what is good: "most" or "least"."""


def goals_apply(document: dict[str, Any]) -> bool:
    """The goals are those of one H100 (or the like) with the full shape."""
    return document["shape"]["name"] == "full" and any(name in document["device"] for name in ("H100", "H200"))


def _nothing(document: dict[str, Any]) -> None:
    return None


def _of(*keys: str) -> Get:
    """What is at ``keys`` of the document; None where there is nothing."""

    def get(document: dict[str, Any]) -> float | None:
        found: Any = document
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return None if found is None else float(found)

    return get


def lines(document: dict[str, Any]) -> list[Line]:
    """The rows of the table."""
    rows: list[Line] = [
        ("a window of sound encoded, ms", _of("encode_ms"), _nothing, _of("floor", "encode_ms"), None, "most"),
        ("405 tokens read, ms", _of("prefill_ms"), _nothing, _of("floor", "prefill_ms"), None, "most"),
        ("sound to first token, ms", _of("first_token_ms"), _of("generate", "first_token_ms"),
         _of("floor", "first_token_ms"), 22.0, "most"),
    ]  # fmt: skip
    goal: float | None
    for count in document["decode_ms"]:
        stock = _of("generate", "decode_ms") if count == "1" else _nothing
        floor = _of("floor", "decode_ms_by_callers", count)
        goal = {"1": 3.9, "32": 5.5}.get(count)
        rows.append((f"a step of {count}, ms", _of("decode_ms", count), stock, floor, goal, "most"))
        goal = 5_800.0 if count == "32" else None
        rows.append((f"tokens/s of {count}", _of("tokens_per_s", count), _nothing, _nothing, goal, "least"))
    one, step = document["decode_ms"].get("1"), _of("mix", "step_ms", "p50")(document)
    return [
        *rows,
        _ours("release to next token, ms (p95)", _of("release_to_first_token_ms", "saying", "p95"), one),
        _ours(
            "release to first token, while read (p95)",
            _of("release_to_first_token_ms", "reading", "p95"),
            _of("first_token_ms")(document),
        ),
        _ours("mix: slowest stream, tokens/s", _of("mix", "stream_min_tok_s"), 25.0, "least"),
        _ours("mix: a step's longest delay, ms", _of("mix", "longest_delay_ms"), 30.0),
        _ours("mix: release to next token, ms", _of("mix", "release_to_first_token_ms", "saying", "p50"), step),
        _ours("mix: cancel to end, ms", _of("mix", "cancel_ms", "p50"), step),
        _ours("turn 1, tokens read", _of("reuse", "turn1_prefill_tokens")),
        _ours("turn 5, tokens read", _of("reuse", "turn5_prefill_tokens")),
        _ours("weights, GB", _of("weights_gb"), _weights_goal(document)),
        _ours("memory at most, GB", _of("peak_gb")),
        _ours("logits: relative error", _of("correct", "worst"), _of("correct", "limit")(document)),
    ]


def _ours(label: str, get: Get, goal: float | None = None, good: str = "most") -> Line:
    """A row that there is nothing beside."""
    return (label, get, _nothing, _nothing, goal, good)


def _weights_goal(document: dict[str, Any]) -> float | None:
    return 4.5 if document["quantize"] == "int4" else None


def show(document: dict[str, Any], console: Console) -> None:
    """The table, and what could not be measured."""
    judged = goals_apply(document)
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for name in ("ours", "generate", "floor", *(("goal",) if judged else ())):
        table.add_column(name, justify="right", style="bold" if name == "ours" else "dim" if name == "goal" else "")
    for label, ours, stock, floor, goal, good in lines(document):
        cells = [_cell(ours(document), goal if judged else None, good), _cell(stock(document)), _cell(floor(document))]
        if judged:
            cells.append(Text("" if goal is None else f"{'≤' if good == 'most' else '≥'} {goal:,.3g}"))
        table.add_row(label, *cells)
    console.print(Text(_head(document), style="dim"), soft_wrap=True)
    console.print(table)
    for part, reason in document["failed"].items():
        console.print(Text(f"{part} was not measured: {reason}", style="red"), soft_wrap=True)
    correct = document.get("correct") or {}
    if correct.get("passed") is False:
        told = f"logits differ from transformers' by {correct['worst']:.2g}, more than {correct['limit']:g}"
        console.print(Text(told, style="red"), soft_wrap=True)
    if not judged:
        console.print(Text("The goals of docs/benchmarks.md are for an H100 at full shape.", style="dim"))


def _head(document: dict[str, Any]) -> str:
    shape, report = document["shape"], document.get("runner") or {}
    size = f"{shape['parameters'] / 1e9:.2f} B parameters" if shape["name"] != "tiny" else "of no use but to try"
    told = ", ".join(f"{key} {value}" for key, value in report.items() if key != "device")
    return f"{document['device']} · {shape['name']} shape ({size}), random weights · {told}"


def _cell(value: float | None, goal: float | None = None, good: str = "most") -> Text:
    if value is None:
        return Text("–")
    missed = goal is not None and (value > goal if good == "most" else value < goal)
    form = f"{value:,.0f}" if value >= 1_000 or value == int(value) else f"{value:.3g}"
    return Text(form, style="red" if missed else "")
