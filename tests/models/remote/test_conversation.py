"""A call, from the caller's voice to the assistant's, in real time: session, host and a stand-in for vLLM."""

import pytest

from tests.dialogue.conftest import Stage
from tests.endpointing import sounds
from tests.endpointing.sounds import spoken
from tests.models.remote.conftest import settings
from voxrtc.bench.virtual import VirtualEars
from voxrtc.endpointing.detector import Detector
from voxrtc.events import ReplyEnded, Transcript
from voxrtc.models.client import HostClient
from voxrtc.models.remote.transcripts import UNKNOWN
from voxrtc.settings import Endpointing

pytestmark = pytest.mark.models


@pytest.fixture
async def stage(fake):
    client = HostClient(settings(fake.url))
    await client.start()
    detector = Detector(Endpointing(strategy="vad"), sounds.silero())
    stage = Stage(client, detector)
    stage.ears = VirtualEars(noise_dbfs=-70)
    yield stage
    await client.close()


async def test_two_turns(stage, fake):
    fake.chats.clear()
    async with stage.up():
        stage.ears.say(spoken("austen-0880"))
        assert (await stage.until(ReplyEnded)).text == "Hello there, caller."
        fake.heard = "And then?"
        stage.ears.say(spoken("austen-0930"))
        assert (await stage.until(ReplyEnded, 2)).text == "Hello there, caller."
    finals = [event for event in stage.all(Transcript) if event.final]
    assert [event.text for event in finals] == ["And so my fellow Americans.", "And then?"]
    assert {event.confidence for event in finals} == {UNKNOWN}
    persona = stage.settings.dialogue.system_prompt
    first, second, third = fake.chats[-1]["messages"]
    assert first["content"] == f"{persona}\n\nAnd so my fellow Americans."
    assert second["content"] == "Hello there, caller."
    assert [part["type"] for part in third["content"]] == ["input_audio"]
    assert stage.mouth.packets


async def test_sound_without_words_is_not_answered(stage, fake):
    fake.heard = ""
    async with stage.up():
        stage.ears.say(spoken("austen-0880"))
        await stage.until_state("listening", 2)
    assert not stage.mouth.packets
    assert not stage.all(ReplyEnded) or not stage.all(ReplyEnded)[0].text
