"""The one server that every client calls, and the ear that judges what they recorded."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Server, start, stop
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.settings import Settings

DETERMINATE = {"DIALOGUE__TEMPERATURE": "0", "DIALOGUE__MAX_REPLY_TOKENS": "16"}
"""The same short reply for every client."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("server"), **DETERMINATE)
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(store.ensure("whisper-base", Settings().models.cache_path, lambda what, fraction: None), threads=2)


@pytest.fixture(scope="session")
def data() -> Path:
    return Path(__file__).parents[1] / "data"
