"""Switchboards for the tests of calls and of the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.calling import Exchange, idle
from voxrtc.endpointing.vad import SileroModel
from voxrtc.models import store
from voxrtc.settings import Settings

Open = Callable[..., Exchange]

if not Path("/proc/driver/nvidia").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported: its kernels run without a GPU, slowly


@pytest.fixture
async def exchange() -> AsyncIterator[Open]:
    """Makes switchboards (tests.calling.Exchange); closes them, and sees to it that no task is left of them."""
    before = asyncio.all_tasks()
    made: list[Exchange] = []

    def open_one(*args: object, **sections: object) -> Exchange:
        made.append(Exchange(*args, **sections))  # type: ignore[arg-type]
        return made[-1]

    yield open_one
    for one in made:
        await one.close()
        assert one.calls.active == one.calls.waiting == 0
    assert await idle(before) == set()


@pytest.fixture(scope="session")
def silero() -> SileroModel:
    """The real network of the store."""
    folder = store.ensure("silero-vad", Settings().models.cache_path, lambda what, fraction: None)
    return SileroModel(next(folder.glob("*.onnx")))
