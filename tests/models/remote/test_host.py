"""The remote profile in a host process, with a client before it and a stand-in for vLLM behind it."""

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.models.remote.conftest import settings
from tests.models.remote.fake import KEY, Fake
from voxrtc.audio import from_pcm16
from voxrtc.errors import ModelsError
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Answer, Heard, Said, Speak, Utterance, pack

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[HostClient]:
    fake.key = KEY
    host = HostClient(settings(fake.url, api_key=KEY))
    yield host
    await host.close()


def speech() -> bytes:
    with wave.open(str(DATA / "jfk.wav")) as file:
        return pack(from_pcm16(file.readframes(file.getnframes())))


async def test_a_turn_through_the_host_from_sound_to_sound(client, fake):
    ready = await client.start()
    assert ready.profile == "remote"
    fake.sounds.clear()
    history: list[Utterance] = []
    for turn in range(2):
        asked = Answer("s", "Be kind.", history, audio=speech(), language="en")
        items = [item async for item in client.answer(asked)]
        text = "".join(item.text for item in items if isinstance(item, Said))
        (heard,) = [item for item in items if isinstance(item, Heard)]
        assert (text, heard.text) == ("Hello there, caller.", fake.heard), turn
        history += [Utterance("user", heard.text), Utterance("assistant", text)]
    assert len(set(fake.sounds)) == 1
    assert len(fake.sounds) == 4
    assert [m["role"] for m in fake.chats[-1]["messages"]] == ["user", "assistant", "user"]
    assert [part async for part in client.speak(Speak(text))]


async def test_leaving_a_stream_is_seen_by_the_server(client, fake):
    await client.start()
    fake.chat_gate = asyncio.Event()
    stream = client.answer(Answer("s", "", [], text="hi"))
    assert await anext(stream) == Said("Hello")
    await stream.aclose()
    await fake.left.wait()


async def test_errors_come_through_as_sentences(client, fake):
    await client.start()
    fake.key = "changed"
    with pytest.raises(ModelsError, match=r"refused remote\.api_key"):
        await client.transcribe(from_pcm16(bytes(32_000)))
    fake.key = KEY
    assert (await client.transcribe(from_pcm16(bytes(32_000)), "en")).text == fake.heard


async def test_a_host_that_cannot_ask_says_why(fake):
    fake.key = KEY
    client = HostClient(settings(fake.url))
    with pytest.raises(ModelsError, match=r"wants a key: set remote\.api_key"):
        await client.start()
    await client.close()
