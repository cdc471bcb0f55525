"""Fixtures of the remote profile's tests: a stand-in for its server, and profiles that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.models.remote.fake import MODEL, Fake
from voxrtc.models.remote.profile import Remote
from voxrtc.settings import Settings

Loaded = Callable[..., Awaitable[Remote]]


def settings(url: str, **more: Any) -> Settings:
    """Of a host that asks ``url``; ``more``: keys of [remote], or dicts for other sections."""
    sections = {key: value for key, value in more.items() if isinstance(value, dict)}
    keys = {key: value for key, value in more.items() if not isinstance(value, dict)}
    models = {"profile": "remote", "turns": "none", **sections.pop("models", {})}
    return Settings.model_validate({"models": models, "remote": {"url": url, "model": MODEL, **keys}, **sections})


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with Fake().serving() as server:
        yield server


@pytest.fixture
async def loaded(fake: Fake) -> AsyncIterator[Loaded]:
    """Loads a profile that asks the stand-in; closes it after the test."""
    profiles: list[Remote] = []

    async def load(**more: Any) -> Remote:
        profiles.append(Remote(settings(fake.url, **more)))
        await profiles[-1].load(lambda what, fraction: None)
        fake.chats.clear()
        fake.transcriptions.clear()
        fake.sounds.clear()
        return profiles[-1]

    yield load
    for profile in profiles:
        await profile.close()
