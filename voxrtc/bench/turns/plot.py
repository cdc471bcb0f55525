"""Draws the curves: false cut-offs against answer latency, rule by rule (matplotlib, the extra ``bench``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from voxrtc.errors import VoxrtcError

MISSING = "drawing the curves needs matplotlib, which is not installed; run: pip install 'voxrtc[bench]'"
STYLE = {"vad": ("silence alone", "#8a8a8a"), "smart_turn": ("voice alone (Smart Turn)", "#c2410c")}
STYLE |= {"fused": ("fused: silence, voice and words", "#0b5fa5")}
GOAL = (300.0, 0.10)
"""At most this share of false cut-offs (eot-bench's record) at this latency, ms."""
WIDTH_MS = 1_600.0
GRID = "#e3e3e3"
INK = "#222222"


def check() -> None:
    """Raise VoxrtcError, which says how to get it, where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise VoxrtcError(MISSING)


def plot(document: dict[str, Any], file: Path) -> None:
    """Draw the curves of a document of ``bench`` into ``file`` (PNG, or what else its suffix says). All recordings are
    solid lines, those held out from tuning dashed, the goal a circle. Raises VoxrtcError."""
    check()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot(facecolor="white")
    for rule, (label, colour) in STYLE.items():
        curves = document["rules"][rule]
        axes.step(*_line(curves["curve"]), where="post", color=colour, linewidth=2.2, label=label)
        axes.step(*_line(curves["held_out_curve"]), where="post", color=colour, linewidth=1.3, linestyle=(0, (4, 3)))
    axes.plot(
        [], [], color=INK, linewidth=1.3, linestyle=(0, (4, 3)), label="the same, recordings held out from tuning"
    )
    goal_ms, ratio = GOAL
    mark = f"goal: {100 * ratio:g} % at {goal_ms:g} ms"
    axes.plot(goal_ms, 100 * ratio, "o", markersize=11, mfc="none", mec="#15803d", mew=2.2, label=mark, zorder=5)
    configured = _configured(document)
    if configured is not None:
        axes.plot(*configured, "D", color=STYLE["fused"][1], markersize=7, label="as configured", zorder=6)
    _dress(axes)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise VoxrtcError(f"{file}: the picture cannot be written: {error}") from None


def _line(points: list[list[float]]) -> tuple[list[float], list[float]]:
    """A frontier as what can be drawn: from everything cut off to the right edge."""
    if not points:
        return [], []
    x = [points[0][0], *(p[0] for p in points), max(WIDTH_MS, points[-1][0])]
    y = [1.0, *(p[1] for p in points), points[-1][1]]
    return x, [100 * ratio for ratio in y]


def _configured(document: dict[str, Any]) -> tuple[float, float] | None:
    point = document["rules"]["fused"].get("configured", {}).get("everything")
    return (point["latency_ms"], 100 * point["ratio"]) if point else None


def _dress(axes: Any) -> None:
    axes.set_xlim(0, WIDTH_MS)
    axes.set_ylim(0, 100)
    axes.set_xlabel("mean latency: end of the caller's voice to the decision, ms", color=INK, fontsize=11)
    axes.set_ylabel("pauses inside sentences taken for the end, %", color=INK, fontsize=11)
    axes.set_title("False cut-offs against answer latency", color=INK, fontsize=13, loc="left")
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, loc="upper right")
