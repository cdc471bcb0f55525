"""What the verbs share: the terminal, bars that show how far something is, settings, files that are written."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich import progress as bar
from rich.console import Console

from voxrtc.config import load
from voxrtc.errors import VoxrtcError
from voxrtc.settings import Settings

T = TypeVar("T")

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def run(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on uvloop, where there is one for this platform."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def settings_of(options: argparse.Namespace) -> Settings:
    """Of the file that is named, the working folder's, and the environment. Raises ConfigError."""
    return load(options.config)


def pull(settings: Settings, names: Sequence[str]) -> None:
    """Fetch ``names``, or else what the settings need; a bar only while something is really fetched."""
    from voxrtc.models import store

    with bars() as shown:
        for name in names or store.needed(settings):
            store.ensure(name, settings.models.cache_path, Reporter(shown))


def bars() -> bar.Progress:
    """Bars on the standard error, which are gone in the end."""
    columns = (bar.TextColumn("{task.description:<42}"), bar.BarColumn(), bar.TextColumn("{task.percentage:>3.0f} %"))
    return bar.Progress(*columns, bar.TimeElapsedColumn(), console=errors, transient=True)


class Reporter:
    """models.profiles.Progress on a bar a task."""

    def __init__(self, bars: bar.Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, fraction: float) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=1.0)
        self._bars.update(self._tasks[what], completed=fraction)


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    """Write it where a path was given. Raises VoxrtcError."""
    if path is not None:
        write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write ``text``. Raises VoxrtcError where that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise VoxrtcError(f"{path}: cannot be written: {error.strerror or error}") from None
