"""The document of ``bench turns`` on a terminal: every rule beside the others, the goal beside the figure, and what
went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voxrtc.bench.turns.product import RULES

MOST_FAULTS = 12
HEADS = {"vad": "silence", "smart_turn": "smart turn", "fused": "fused"}

Value = float | None
Line = tuple[str, Callable[[dict[str, Any]], Value], str, float]
"""What it is, where it is in a rule's figures, its unit (%, ms, % at least, or a count), and the most (or least) it
may be; infinite where there is no goal."""

NO_GOAL = float("inf")


def _transferred(ms: str) -> Callable[[dict[str, Any]], Value]:
    return lambda rule: rule["held_out"]["false_cutoff_ratio"][ms].get("ratio")


LINES: tuple[Line | None, ...] = (
    ("false cut-offs at 300 ms", lambda rule: rule["false_cutoff_ratio"]["300"], "%", 0.10),
    ("at 500 ms", lambda rule: rule["false_cutoff_ratio"]["500"], "%", NO_GOAL),
    ("at 800 ms", lambda rule: rule["false_cutoff_ratio"]["800"], "%", NO_GOAL),
    ("latency at 5 %", lambda rule: rule["latency_ms_at_5_percent"], "ms", NO_GOAL),
    ("held out, with the setting for 300 ms", _transferred("300"), "%", NO_GOAL),
    ("its latency there", lambda rule: rule["held_out"]["false_cutoff_ratio"]["300"].get("latency_ms"), "ms", NO_GOAL),
    ("for 500 ms", _transferred("500"), "%", NO_GOAL),
    ("for 800 ms", _transferred("800"), "%", NO_GOAL),
    None,
    ("barge-in decided, p50", lambda rule: rule["barge_in"]["decision_ms"]["p50"], "ms", NO_GOAL),
    ("p95", lambda rule: rule["barge_in"]["decision_ms"]["p95"], "ms", 200.0),
    ("missed", lambda rule: rule["barge_in"]["missed"], "", 0.0),
    ("opening unanswered", lambda rule: rule["barge_in"]["unanswered"], "", NO_GOAL),
    ("false", lambda rule: rule["barge_in"]["false"], "", 0.0),
    ("stopped by echo (-15 dB, or less)", lambda rule: rule["echo_false_interruptions"], "", 0.0),
    ("turns out of noise and silence", lambda rule: rule["noise_turns"], "", 0.0),
    ("memory: wrong clauses", lambda rule: rule["memory_errors"]["clause_errors"], "", 0.0),
    ("within one word", lambda rule: rule["memory_errors"]["within_one_word_ratio"], "% at least", 0.95),
)


def show(document: dict[str, Any], console: Console) -> None:
    """A table of the rules, and the scenes that failed by the rule that is configured."""
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("")
    for rule in RULES:
        style = "bold" if rule == document["rule"] else ""
        table.add_column(HEADS[rule], justify="right", style=style)
    table.add_column("goal", justify="right", style="dim")
    for line in LINES:
        if line is None:
            table.add_section()
            continue
        label, value, unit, goal = line
        cells = [_cell(value(document["rules"][rule]), unit, goal) for rule in RULES]
        table.add_row(label, *cells, "" if goal == NO_GOAL else _goal(unit, goal))
    console.print(table)
    _show_sizes(document, console)
    _show_faults(document["scenes"], console)


def _show_sizes(document: dict[str, Any], console: Console) -> None:
    """How much all that rests on."""
    scenes, places = document["scenes"], document["places"]
    counts = ", ".join(f"{scenes[name]['scenes']} {label}" for name, label in _SCENES.items())
    console.print(
        Text(
            f"{places['pauses']} pauses and {places['ends']} ends of {len(document['recordings'])} recordings; "
            f"{counts}, "
            f"{document['memory_errors']['interruptions']} interruptions remembered, "
            f"{scenes['silence']['minutes']:g} minutes of noise",
            style="dim",
        )
    )


_SCENES = {"barge_in": "barge-ins", "backchannels": "backchannels", "echo": "echoes", "noise": "noises"}


def _show_faults(scenes: dict[str, Any], console: Console) -> None:
    """The scenes in which something went wrong, by name."""
    found = [(suite, fault) for suite, scored in scenes.items() for fault in scored["faults"]]
    for suite, fault in found[:MOST_FAULTS]:
        text = fault if isinstance(fault, str) else f"{fault['scene']}: {_what(fault)}"
        console.print(Text(f"{suite}: {text}", style="yellow"), soft_wrap=True)
    if len(found) > MOST_FAULTS:
        console.print(Text(f"... and {len(found) - MOST_FAULTS} more (--json has all)", style="dim"))


def _what(fault: dict[str, Any]) -> str:
    if "what" in fault:
        return str(fault["what"])
    return f"{fault['words_off']} words off" + ("" if fault["clauses_right"] else ", clauses wrong")


def _cell(value: Value, unit: str, goal: float) -> Text:
    if value is None:
        return Text("–")
    missed = value < goal if unit == "% at least" else value > goal
    return Text(_number(value, unit), style="red" if goal != NO_GOAL and missed else "")


def _goal(unit: str, goal: float) -> str:
    return f"{'≥' if unit == '% at least' else '≤'} {_number(goal, unit)}" if goal else "0"


def _number(value: float, unit: str) -> str:
    if unit.startswith("%"):
        return f"{100 * value:.1f} %"
    return f"{value:.0f} ms" if unit == "ms" else f"{value:g}"
