"""A function called by the real language model, its result spoken by the real voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.dialogue.scripted import ScriptedDetector
from voxrtc.audio import level_dbfs
from voxrtc.bench.virtual import VirtualEars, VirtualMouth
from voxrtc.dialogue.functions import describe
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.events import Event, ReplyEnded, ToolCalled, ToolEnded
from voxrtc.models.client import HostClient
from voxrtc.settings import Settings

pytestmark = pytest.mark.models


def weather(city: str) -> dict[str, Any]:
    """The weather in a city now."""
    return {"city": city, "temperature_celsius": 31, "sky": "clear"}


@pytest.fixture
async def qwen() -> AsyncIterator[HostClient]:
    client = HostClient(Settings.model_validate({"models": {"llm": "qwen2.5-1.5b", "turns": "none", "slots": 1}}))
    await client.start()
    yield client
    await client.close()


async def test_qwen_looks_up_the_weather_and_tells_it(qwen: HostClient) -> None:
    events: list[Event] = []
    over: asyncio.Queue[ReplyEnded] = asyncio.Queue()

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, ReplyEnded):
            over.put_nowait(event)

    settings = Settings.model_validate(
        {"dialogue": {"temperature": 0.0, "patience_s": 60.0}, "endpointing": {"strategy": "vad"}}
    )
    session = Session("call", settings, qwen, ScriptedDetector(), emit, Phrases(), functions=[describe(weather)])
    ears = VirtualEars()
    async with VirtualMouth() as mouth, asyncio.timeout(90):
        running = asyncio.create_task(session.run(ears, mouth))
        await asyncio.sleep(0)
        await session.submit_text("What is the weather in Madrid right now?")
        told = await over.get()
        await session.submit_text("And what is the capital of France?")
        answered = await over.get()
        ears.hang_up()
        await running
        await session.close("hangup")
        sound = mouth.sound
    (called,) = [e for e in events if isinstance(e, ToolCalled)]
    assert (called.name, called.arguments) == ("weather", {"city": "Madrid"})
    assert [e.ended for e in events if isinstance(e, ToolEnded)] == ["finished"]
    assert told.ended == "finished"
    assert "31" in told.text or "thirty" in told.text.lower()
    assert "Paris" in answered.text
    assert level_dbfs(sound) > -40
