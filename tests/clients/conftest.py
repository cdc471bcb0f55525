"""Servers for the stock clients of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.running import Server, start, stop


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("server"))
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


@pytest.fixture
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model calls functions, which SmolLM2 never does."""
    server = start(tmp_path_factory.mktemp("qwen"), MODELS__LLM="qwen2.5-1.5b", DIALOGUE__PATIENCE_S="60.0")
    try:
        server.wait_ready(180)
        yield server
    finally:
        stop(server)
