"""Packages of others without what their own ``__init__`` imports: some of their modules, for comparison."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


@contextlib.contextmanager
def bare(packages: Sequence[str], needed: Sequence[str] = ()) -> Iterator[None]:
    """Within, each of ``packages`` (dotted names) is there with an empty ``__init__``, so that its modules can be
    imported one by one. Skips the test where their roots or ``needed`` are not installed."""
    roots = {name.split(".")[0] for name in packages}
    for name in (*roots, *needed):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    folders = {root: _folder(root) for root in roots}
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in roots}
    for name in before:
        del sys.modules[name]
    for name in packages:
        module = types.ModuleType(name)
        root, *within = name.split(".")
        module.__path__ = [str(folders[root].joinpath(*within))]
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] in roots]:
            del sys.modules[name]
        sys.modules.update(before)


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0])
