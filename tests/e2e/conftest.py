"""Servers that the end-to-end tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import ROOT, Server, start, stop

LONG_STORIES = "You are a storyteller. Whatever is said to you, tell a long story in many sentences about the sea."


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for most tests."""
    server = start(tmp_path_factory.mktemp("server"))
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


@pytest.fixture(scope="session")
def storyteller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose replies are long enough to be interrupted."""
    server = start(tmp_path_factory.mktemp("storyteller"), DIALOGUE__SYSTEM_PROMPT=LONG_STORIES)
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


@pytest.fixture(scope="session")
def data() -> Path:
    return ROOT / "tests" / "data"
