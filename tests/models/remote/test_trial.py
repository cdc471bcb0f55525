"""What doctor says of the server."""

import pytest

from tests.models.remote.conftest import settings
from voxrtc import doctor


@pytest.fixture
def findings(fake):
    async def examine(**more: object) -> list[tuple[str, str]]:
        return [(found.state, found.what) for found in await doctor._remote(settings(fake.url, **more))]

    return examine


async def test_a_server_that_does_everything(findings, fake):
    assert await findings() == [("ok", f"tiny-voxtral answers at {fake.url}"), ("ok", "it transcribes, too")]


async def test_a_server_that_only_answers(findings, fake):
    fake.transcribes = False
    (_, answers), (state, why) = await findings()
    assert "answers at" in answers
    assert (state, "does not support Transcriptions" in why) == ("note", True)


async def test_a_server_that_cannot_be_used(findings):
    ((state, what),) = await findings(model="other")
    assert (state, "set remote.model to one that it has" in what) == ("bad", True)


async def test_other_profiles_ask_nobody(fake):
    assert await doctor._remote(settings(fake.url, models={"profile": "embedded"})) == []
    assert fake.chats == []
