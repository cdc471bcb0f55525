"""Draws the time of a step by the number of callers, and of a first token, against the floor and ``generate``
(matplotlib, the extra ``bench``)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxrtc.bench.turns.plot import GRID, INK, check
from voxrtc.errors import VoxrtcError

OURS, STOCK, FLOOR = "#0b5fa5", "#c2410c", "#8a8a8a"

__all__ = ["check", "plot", "possible"]


def possible(file: Path | None, tell: Callable[[str], None]) -> Path | None:
    """``file``, or None with a note where matplotlib is missing: minutes on a GPU are worth it without a picture."""
    if file is not None and importlib.util.find_spec("matplotlib") is None:
        tell(f"{file} is not drawn, since matplotlib is not installed (pip install 'voxrtc[bench]'); the rest goes on")
        return None
    return file


def plot(document: dict[str, Any], file: Path) -> None:
    """Draw a document of ``bench`` into ``file``, PNG or what its suffix says. Raises VoxrtcError."""
    check()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), dpi=150, facecolor="white", layout="constrained")
    steps, first = figure.subplots(1, 2, width_ratios=(3, 2))
    _steps(steps, document)
    _first(first, document)
    figure.suptitle(_title(document), color=INK, fontsize=13, x=0.01, ha="left")
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise VoxrtcError(f"{file}: the picture cannot be written: {error}") from None


def _steps(axes: Any, document: dict[str, Any]) -> None:
    """ms a step by callers."""
    ours, floor = document["decode_ms"], document["floor"]["decode_ms_by_callers"]
    callers = [int(count) for count in ours]
    axes.plot(callers, list(ours.values()), color=OURS, linewidth=2.2, marker="o", label="voxrtc")
    for count, ms in ours.items():
        axes.annotate(f"{ms:.3g}", (int(count), ms), textcoords="offset points", xytext=(0, 8), ha="center", color=OURS)
    axes.plot(callers, [floor[count] for count in ours], color=FLOOR, linewidth=1.6, marker="o", label="floor")
    stock = (document.get("generate") or {}).get("decode_ms")
    if stock is not None:
        axes.plot([1], [stock], color=STOCK, marker="D", linestyle="none", label="transformers' generate")
    axes.set_xscale("log", base=2)
    axes.set_xticks(callers, [str(count) for count in callers])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"callers, with {document['context']:,} tokens of context each", color=INK)
    axes.set_ylabel("ms a step (a token for each caller)", color=INK)
    axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    _dress(axes)


def _first(axes: Any, document: dict[str, Any]) -> None:
    """Sound to first token."""
    stock = (document.get("generate") or {}).get("first_token_ms")
    bars = [
        ("floor", document["floor"]["first_token_ms"], FLOOR),
        ("voxrtc", document["first_token_ms"], OURS),
        ("generate", stock, STOCK),
    ]
    known = [bar for bar in bars if bar[1] is not None]
    drawn = axes.bar([name for name, _, _ in known], [ms for _, ms, _ in known], color=[ink for _, _, ink in known])
    axes.bar_label(drawn, fmt="%.3g", color=INK, padding=3)
    axes.set_ylabel("ms from sound to first token", color=INK)
    _dress(axes)


def _title(document: dict[str, Any]) -> str:
    bits = "" if document["quantize"] == "none" else f", {document['quantize']}"
    return f"Voxtral ({document['shape']['name']} shape, random weights{bits}) on {document['device']}"


def _dress(axes: Any) -> None:
    axes.set_facecolor("white")
    axes.grid(color=GRID, linewidth=0.8, axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
