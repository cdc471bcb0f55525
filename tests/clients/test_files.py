"""Files over HTTP by those who know nothing of us: the stock openai client, and curl as docs/clients.md has it."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Front, Serve, serve
from tests.server.test_transcribe import two_windows
from voxrtc import sources

__all__ = ["serve"]

ROOT = Path(__file__).resolve().parents[2]
JFK = ROOT / "tests" / "data" / "jfk.wav"
PATIENCE_S = 30


def client(front: Front) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=front.url + "/v1", api_key="none", max_retries=0)


def models() -> ScriptedModels:
    return ScriptedModels(asr_s=0.0, voice_s=0.0, files=["Ask not.", "Ask."])


async def test_transcriptions(serve: Serve) -> None:
    front = await serve(models())
    async with client(front) as ai:
        create = ai.audio.transcriptions.create
        plain = await create(model="whisper-1", file=JFK)
        assert plain.text == "Ask not."
        assert plain.usage is not None
        assert plain.usage.type == "duration"
        assert plain.usage.seconds == 11
    front.exchange.models.windows = 0
    async with client(front) as ai:
        verbose = await ai.audio.transcriptions.create(
            model="whisper-1",
            file=("talk.wav", two_windows()),
            response_format="verbose_json",
            timestamp_granularities=["segment"],
            language="en",
        )
    assert (verbose.text, verbose.language, verbose.duration) == ("Ask not. Ask.", "en", 5.0)
    assert verbose.segments is not None
    assert [segment.text for segment in verbose.segments] == ["Ask not.", "Ask."]
    for segment in verbose.segments:
        assert set(type(segment).model_fields) <= segment.model_fields_set
    async with client(front) as ai:
        srt = await ai.audio.transcriptions.create(model="whisper-1", file=JFK, response_format="srt")
    assert srt.startswith("1\n00:00:0")


async def test_a_stream(serve: Serve) -> None:
    front = await serve(models())
    async with client(front) as ai:
        stream = await ai.audio.transcriptions.create(model="x", file=("talk.wav", two_windows()), stream=True)
        events = [event async for event in stream]
    assert [event.type for event in events] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "Ask not. Ask."


async def test_errors_have_their_class_code_and_message(serve: Serve) -> None:
    front = await serve(models())
    async with client(front) as ai:
        with pytest.raises(openai.BadRequestError, match="not audio") as bad:
            await ai.audio.transcriptions.create(model="x", file=("x.wav", b"no sound"))
        assert bad.value.code == "bad_audio"
        with pytest.raises(openai.BadRequestError, match="only segment"):
            await ai.audio.transcriptions.create(
                model="x", file=JFK, response_format="verbose_json", timestamp_granularities=["word"]
            )
        with pytest.raises(openai.BadRequestError, match="voice: one of"):
            await ai.audio.speech.create(model="tts-1", voice="nobody", input="Hello.")


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
async def test_speech(serve: Serve, form: str) -> None:
    front = await serve(models())
    async with client(front) as ai:
        spoken = await ai.audio.speech.create(model="tts-1", voice="alloy", input="Hello there.", response_format=form)
    assert sources.decode(spoken.content).size / 16_000 == pytest.approx(0.6, abs=0.12)


async def test_speech_as_it_comes(serve: Serve) -> None:
    front = await serve(models())
    speech = client(front).audio.speech
    asked = {"model": "tts-1", "voice": "nova", "input": "Hello there.", "response_format": "pcm"}
    async with speech.with_streaming_response.create(**asked) as response:
        pieces = [piece async for piece in response.iter_bytes()]
    assert len(b"".join(pieces)) == 2 * 24_000 * 6 // 10


def commands() -> list[str]:
    """The lines of the section's shell block."""
    section = (
        (ROOT / "docs" / "clients.md").read_text(encoding="utf-8").split("## Files over HTTP")[1].split("\n## ")[0]
    )
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return block.splitlines()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_documentation(serve: Serve, tmp_path: Path) -> None:
    async def talk(request: web.Request) -> web.Response:
        return web.Response(body=JFK.read_bytes())

    app = web.Application()
    app.router.add_get("/talk.wav", talk)
    site = TestServer(app, host="127.0.0.1")
    await site.start_server()
    front = await serve(models(), sources={"allow": ["127.0.0.1"]})
    shutil.copy(JFK, tmp_path / "talk.wav")
    said = []
    for command in commands():
        here = command.replace("http://localhost:8000", front.url)
        here = here.replace("https://example.org/talk.wav", str(site.make_url("/talk.wav")))
        process = await asyncio.create_subprocess_shell(here, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
        assert process.returncode == 0, command
        said.append(out.decode())
    await site.close()
    assert "Ask not." in said[0]
    assert '"transcript.text.done"' in said[1]
    assert said[2].startswith('{\n  "text": "Ask')
    assert sources.read(tmp_path / "hello.mp3").size > 8_000
