"""Draws how late the server's event loop is, by the number of its calls (matplotlib, the extra ``bench``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxrtc.bench.turns.plot import GRID, INK, check
from voxrtc.errors import VoxrtcError

STYLE = {"ours": ("voxrtc", "#0b5fa5"), "stock": ("stock aiortc", "#c2410c")}
GOAL_MS = 20.0

__all__ = ["check", "plot"]


def plot(document: dict[str, Any], file: Path) -> None:
    """Draw the sweep of a document of ``bench`` into ``file``, PNG or what its suffix says. Raises VoxrtcError."""
    check()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot(facecolor="white")
    for kind, points in document["sweep"].items():
        label, colour = STYLE[kind]
        calls = [point["calls"] for point in points]
        lag = [max(0.1, point["loop_lag_ms"]["p99"]) for point in points]
        axes.plot(calls, lag, color=colour, linewidth=2.2, marker="o", label=label)
    axes.axhline(GOAL_MS, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label=f"a packet: {GOAL_MS:g} ms")
    _dress(axes)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise VoxrtcError(f"{file}: the picture cannot be written: {error}") from None


def _dress(axes: Any) -> None:
    axes.set_yscale("log")
    axes.set_xlim(left=0)
    axes.set_xlabel("calls at once, on one core", color=INK, fontsize=11)
    axes.set_ylabel("lag of the event loop, p99, ms", color=INK, fontsize=11)
    axes.set_title("Calls against the lag of the server's event loop", color=INK, fontsize=13, loc="left")
    axes.grid(color=GRID, linewidth=0.8, which="both", axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=10, labelcolor=INK, loc="upper left")
