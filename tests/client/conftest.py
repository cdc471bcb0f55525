"""The real server with scripted models (tests.server), for callers of the package's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import serve as serve
from voxrtc.client.client import Client

QUICK: dict[str, Any] = {"asr_s": 0.05, "first_token_s": 0.05, "token_s": 0.0, "voice_s": 0.0}
"""Latencies of scripted models for which nobody wants to wait."""
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def data() -> Path:
    return DATA


def cut(call: Client) -> None:
    """The network takes the line that carries ``call``: nothing goes out or comes in any more, not even a goodbye."""
    line = call._lines._line
    assert line is not None
    for transport in {one.receiver.transport.transport for one in line._pc.getTransceivers()}:
        for protocol in transport._connection._protocols:
            protocol.transport.sendto = lambda *_: None
            protocol.datagram_received = lambda *_: None
