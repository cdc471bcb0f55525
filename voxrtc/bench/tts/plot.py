"""Draws how soon a voice begins, and what its steps take by the number of callers, beside the package's own
(matplotlib, the extra ``bench``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxrtc.bench.turns.plot import INK, check
from voxrtc.bench.voxtral.plot import OURS, STOCK, _dress, possible
from voxrtc.errors import VoxrtcError

OTHER = "#2f855a"

__all__ = ["plot", "possible"]


def plot(document: dict[str, Any], file: Path) -> None:
    """Draw a document of ``bench`` into ``file``, PNG or what its suffix says. Raises VoxrtcError."""
    check()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.4), dpi=150, facecolor="white", layout="constrained")
    first, steps = figure.subplots(1, 2, width_ratios=(2, 3))
    _first(first, document)
    _steps(steps, document)
    shape = document.get("shape")
    what = "" if shape is None else f" ({shape['name']} shape, random weights)"
    figure.suptitle(f"{document['voice']}{what} on {document['device']}", color=INK, fontsize=13, x=0.01, ha="left")
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise VoxrtcError(f"{file}: the picture cannot be written: {error}") from None


def _first(axes: Any, document: dict[str, Any]) -> None:
    """From the ask to the first samples."""
    many, alone = document.get("first_audio_ms") or {}, (document.get("alone") or {}).get("first_audio_ms") or {}
    bars = [("one", alone.get("p50"), OURS)]
    if document["callers"] > 1:
        count = document["callers"]
        bars += [(f"{count}, p50", many.get("p50"), OURS), (f"{count}, p95", many.get("p95"), OURS)]
    bars.append(("the package's", (document.get("stock") or {}).get("first_audio_ms"), STOCK))
    known = [bar for bar in bars if bar[1] is not None]
    drawn = axes.bar([name for name, _, _ in known], [ms for _, ms, _ in known], color=[ink for _, _, ink in known])
    axes.bar_label(drawn, fmt="%.3g", color=INK, padding=3)
    axes.set_ylabel("ms to the first audio", color=INK)
    _dress(axes)


def _steps(axes: Any, document: dict[str, Any]) -> None:
    """ms a step by callers."""
    for key, label, ink in (("t3_token_ms", "a token of T3", OURS), ("sound_chunk_ms", "a chunk of sound", OTHER)):
        times = document.get(key) or {}
        if not times:
            continue
        counts = [int(count) for count in times]
        axes.plot(counts, list(times.values()), color=ink, linewidth=2.2, marker="o", label=label)
        for count, ms in zip(counts, times.values(), strict=True):
            axes.annotate(f"{ms:.3g}", (count, ms), textcoords="offset points", xytext=(0, 8), ha="center", color=ink)
        stock = (document.get("stock") or {}).get(key)
        if stock is not None:
            axes.plot([1], [stock], color=ink, marker="D", linestyle="none", label=f"{label}, the package's")
    if axes.lines:
        axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("callers in one step", color=INK)
    axes.set_ylabel("ms", color=INK)
    _dress(axes)
