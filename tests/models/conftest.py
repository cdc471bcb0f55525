"""Fixtures of the models' tests: a scripted profile in a real host process."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from voxrtc.models.client import HostClient
from voxrtc.settings import Settings

Spawn = Callable[..., HostClient]


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Spawn]:
    """Makes HostClients whose host runs a function of tests/models/scripted.py; closes them after the test."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    clients: list[HostClient] = []

    def spawn(factory: str = "make", **models: object) -> HostClient:
        settings = Settings.model_validate({"models": models})
        command = [sys.executable, "-m", "voxrtc.models.host", "--profile-factory", f"scripted:{factory}"]
        clients.append(HostClient(settings, command))
        return clients[-1]

    yield spawn
    for client in clients:
        await client.close()
