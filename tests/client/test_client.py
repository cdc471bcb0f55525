"""voxrtc.Client calls a real server (scripted models): speaks, hears, types, interrupts, is called, remembers."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxrtc
from tests.client.conftest import QUICK
from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Serve
from voxrtc.audio import HEARD_RATE, level_dbfs, resample
from voxrtc.errors import AudioError
from voxrtc.sources import read

LONG = "A long story about the sea, which goes on and on and does not end. " * 4
CLIP = "austen-0930"


async def until(call: voxrtc.Client, kind: str, **fields: Any) -> dict[str, Any]:
    """The next event of ``kind`` with these fields."""
    async with asyncio.timeout(20):
        async for event in call:
            if event["type"] == kind and all(event[name] == value for name, value in fields.items()):
                return event
    raise AssertionError(f"the call ended without {kind}: {call.ended}")


@pytest.mark.models
async def test_a_file_is_said_and_the_reply_kept(serve: Serve, silero: Any, data: Path, tmp_path: Path) -> None:
    models = ScriptedModels(words=["hello there"], replies=["Good morning to you."], **QUICK)
    front = await serve(models, silero=silero)
    kinds = []
    async with asyncio.timeout(30), voxrtc.Client(front.url) as call:
        await call.speak(data / f"{CLIP}.wav")
        async for event in call:
            kinds.append(event["type"])
            if event["type"] == "reply_ended":
                assert event["text"] == "Good morning to you."
                break
        await call.save(tmp_path / "reply.wav")
    assert kinds[0] == "call_started"
    assert [k for k in ("turn_ended", "transcript", "reply_started", "reply_spoken") if k not in kinds] == []
    with wave.open(str(tmp_path / "reply.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        kept = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32_768
    assert 0.7 < kept.size / 24_000 < 1.5  # 20 characters of 50 ms
    assert level_dbfs(kept) > -30
    assert call.ended == "hung up"
    heard = models.heard_samples()
    assert 2.0 < heard.size / HEARD_RATE < 4.5
    await front.exchange.settle()


@pytest.mark.models
@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("kind", ["samples", "int16", "stream"])
async def test_every_form_of_sound_is_heard_alike(serve: Serve, silero: Any, data: Path, rate: int, kind: str) -> None:
    models = ScriptedModels(words=["hello there"], replies=["Yes."], **QUICK)
    front = await serve(models, silero=silero)
    said = resample(read(data / f"{CLIP}.wav"), HEARD_RATE, rate)

    async def pieces() -> AsyncIterator[np.ndarray]:
        for at in range(0, said.size, 700):
            yield said[at : at + 700]

    sound = {"samples": said, "int16": (said * 32_767).astype(np.int16), "stream": pieces()}[kind]
    async with voxrtc.Client(front.url) as call:
        began = asyncio.get_running_loop().time()
        await call.speak(sound, rate)
        took = asyncio.get_running_loop().time() - began
        await until(call, "reply_ended")
    assert took > said.size / rate  # in its own time, however fast it was there
    heard = models.heard_samples()
    assert abs(level_dbfs(heard) - level_dbfs(said)) < 3


async def test_a_stream_that_stalls_is_a_pause(serve: Serve) -> None:
    front = await serve()
    more = asyncio.Event()

    async def pieces() -> AsyncIterator[np.ndarray]:
        yield np.full(1_600, 0.1, np.float32)
        await more.wait()
        yield np.full(1_600, 0.1, np.float32)

    async with voxrtc.Client(front.url) as call:
        speaking = asyncio.create_task(call.speak(pieces()))
        packets = call.ear.packets
        assert await call.until(lambda: call.ear.packets > packets + 15, 10)
        assert not speaking.done()
        more.set()
        async with asyncio.timeout(10):
            await speaking


async def test_typing_interrupting_and_remembering(serve: Serve) -> None:
    front = await serve(ScriptedModels(replies=[LONG, "Yes."], **QUICK))
    async with voxrtc.Client(front.url) as call:
        call.configure(language="de")
        call.text("Tell me a story.")
        await until(call, "reply_spoken")
        call.interrupt()
        assert (await until(call, "reply_ended"))["ended"] == "interrupted"
        memory = await call.export_memory()
        assert "Tell me a story." in memory
    async with voxrtc.Client(front.url, memory=memory) as call:
        call.text("And then?")
        await until(call, "reply_ended")
        assert "Tell me a story." in await call.export_memory()


async def test_functions_run_here(serve: Serve) -> None:
    async def weather(city: str) -> dict[str, Any]:
        """The weather in a city."""
        if city == "Nowhere":
            raise ValueError("there is no such city")
        return {"sky": "clear", "city": city}

    calls = [json.dumps({"name": "weather", "arguments": {"city": city}}) for city in ("Oslo", "Nowhere")]
    models = ScriptedModels(replies=[calls[0], "It is clear.", calls[1], "I do not know it."], **QUICK)
    front = await serve(models)
    async with voxrtc.Client(front.url, functions=[weather]) as call:
        for text, said in (("Oslo?", "It is clear."), ("Nowhere?", "I do not know it.")):
            call.text(text)
            assert (await until(call, "tool_ended"))["ended"] == ("finished" if text == "Oslo?" else "failed")
            assert (await until(call, "reply_ended"))["text"] == said
    shown = [line.text for answer in models.answers for line in answer.steps if line.role == "result"]
    assert any('"sky": "clear"' in text and "Oslo" in text for text in shown)
    assert any("there is no such city" in text for text in shown)


async def test_the_functions_are_told_before_the_first_words(serve: Serve) -> None:
    """Whatever is said as soon as the call is up is said to a model that knows them; ``started`` is known by then."""

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    models = ScriptedModels(replies=['{"name": "weather", "arguments": {"city": "Rome"}}', "It rains."], **QUICK)
    front = await serve(models)
    async with voxrtc.Client(front.url, functions=[weather]) as call:
        assert call.started["resumed"] is False
        call.text("How is the weather in Rome?")
        await until(call, "tool_called")
        assert (await until(call, "reply_ended"))["text"] == "It rains."
    assert [tool.name for tool in models.answers[0].tools] == ["weather"]


async def test_a_function_that_nobody_waits_for_is_given_up(serve: Serve) -> None:
    given_up = asyncio.Event()

    async def slow() -> str:
        """Never returns."""
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            given_up.set()

    front = await serve(ScriptedModels(replies=['{"name": "slow", "arguments": {}}', "Yes."], **QUICK))
    async with voxrtc.Client(front.url, functions=[slow]) as call:
        call.text("Go.")
        await until(call, "tool_called")
        call.interrupt()
        async with asyncio.timeout(10):
            assert await given_up.wait()


async def test_a_function_without_words_is_refused() -> None:
    def without_words() -> None: ...

    with pytest.raises(ValueError, match="docstring"):
        voxrtc.Client("http://127.0.0.1:1", functions=[without_words])


async def test_sound_that_is_none(serve: Serve, tmp_path: Path) -> None:
    front = await serve()
    async with voxrtc.Client(front.url) as call:
        with pytest.raises(AudioError, match="no such file"):
            await call.speak(tmp_path / "none.wav")
        with pytest.raises(AudioError, match=r"mono.*\(2, 160\)"):
            await call.speak(np.zeros((2, 160), np.float32))
        with pytest.raises(AudioError, match="cannot be written"):
            await call.save(tmp_path / "no" / "folder.wav")
