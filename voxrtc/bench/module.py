"""A bench as a module of its own (``python -m voxrtc.bench.NAME``), where little but what it measures is installed."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from rich.console import Console

from voxrtc.bench.voxtral.keeping import Keep, kept
from voxrtc.errors import VoxrtcError

Given = argparse.Namespace


class Bench(Protocol):
    def __call__(self, *, command: str, progress: Callable[[str, float], None], keep: Keep) -> dict[str, Any]:
        """Measure; the document of all figures. Raises VoxrtcError."""


class Drawing(Protocol):
    """What draws a bench's document: its module ``plot``."""

    def possible(self, file: Path | None, note: Callable[[str], None]) -> Path | None: ...

    def plot(self, document: dict[str, Any], file: Path) -> None: ...


def run(
    name: str, about: str | None, add: Callable[[argparse.ArgumentParser], None], does: Callable[[Given], None]
) -> int:
    """Do what the command line gives: 0, or 1 after a sentence on what is wrong. ``add``: arguments.add_..."""
    parser = argparse.ArgumentParser(prog=f"python -m voxrtc.bench.{name}", description=about)
    add(parser)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)-7s %(name)s: %(message)s")
    try:
        does(given)
    except VoxrtcError as error:
        print(f"voxrtc: {error}", file=sys.stderr)
        return 1
    return 0


def measure(
    name: str, given: Given, bench: Bench, show: Callable[[dict[str, Any], Console], None], drawing: Drawing
) -> None:
    """Measure, telling how far it is; keep the figures in ``--json``, show them, and draw them in ``--plot``."""
    picture = drawing.possible(given.plot, lambda note: print(f"voxrtc: {note}", file=sys.stderr, flush=True))
    began = perf_counter()

    def told(what: str, part: float) -> None:
        print(f"{perf_counter() - began:6.1f} s  {what}, {100 * part:.0f} %", file=sys.stderr, flush=True)

    command = shlex.join(["python", "-m", f"voxrtc.bench.{name}", *sys.argv[1:]])
    document = bench(command=command, progress=told, keep=kept(given.json))
    show(document, Console(highlight=False, width=110))
    if picture is not None:
        drawing.plot(document, picture)
