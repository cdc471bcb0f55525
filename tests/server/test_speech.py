"""Text to speech over HTTP, on a real server with a voice that hums."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.dialogue.scripted import ScriptedModels, hum
from tests.server.conftest import Front, Serve
from voxrtc import sources
from voxrtc.audio import HEARD_RATE, SPOKEN_RATE
from voxrtc.errors import HostLost
from voxrtc.models.wire import Speech
from voxrtc.server.encoding import TYPES, UNKNOWN
from voxrtc.server.keys import SPEECHES
from voxrtc.server.speech import AT_ONCE, MOST_CHARS

SENTENCES = "Hello there, my friend. This is the second sentence."
PATIENCE_S = 15


def quick(**how: Any) -> ScriptedModels:
    return ScriptedModels(voice_s=0.0, **how)


def speech(front: Front, text: Any = SENTENCES, **more: Any) -> Any:
    return front.http.post(front.url + "/v1/audio/speech", json={"input": text} | more)


@pytest.mark.parametrize("name", list(TYPES))
async def test_every_format_is_what_it_says(serve: Serve, name: str) -> None:
    models = quick()
    front = await serve(models)
    async with speech(front, response_format=name, voice="alloy", model="tts-1") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == TYPES[name]
        body = await answer.read()
    said = [clause.text for clause in models.spoken]
    assert " ".join(said) == SENTENCES
    expected = np.concatenate([hum(len(clause)) for clause in said])
    if name == "pcm":
        assert np.allclose(np.frombuffer(body, "<i2") / 32767, expected, atol=1e-4)
    else:
        heard = sources.decode(body)
        assert heard.size / HEARD_RATE == pytest.approx(expected.size / SPOKEN_RATE, abs=0.12)
        spectrum = np.abs(np.fft.rfft(heard))
        assert np.argmax(spectrum) * HEARD_RATE / heard.size == pytest.approx(220, abs=2)


async def test_wav_begins_with_a_header_of_unknown_length(serve: Serve) -> None:
    front = await serve(quick())
    async with speech(front, response_format="wav") as answer:
        body = await answer.read()
    assert body[:4] + body[8:16] + body[36:40] == b"RIFFWAVEfmt data"
    assert struct.unpack("<I", body[40:44]) == (UNKNOWN,)
    assert struct.unpack("<HHI", body[20:28]) == (1, 1, SPOKEN_RATE)


async def test_sound_comes_before_the_rest_is_made(serve: Serve) -> None:
    go = asyncio.Event()

    class Waiting(ScriptedModels):
        async def speak(self, ask: Any) -> Any:
            if self.spoken:
                await go.wait()
            async for item in super().speak(ask):
                yield item

    models = Waiting(voice_s=0.0)
    front = await serve(models)
    async with asyncio.timeout(PATIENCE_S), speech(front, response_format="pcm") as answer:
        first = await answer.content.readexactly(1_000)
        assert any(first)
        assert len(models.spoken) == 1
        go.set()
        await answer.read()
    assert models.spoken[0].ahead_ms == 0 < models.spoken[1].ahead_ms <= len(models.spoken[0].text) * 50


async def test_voice_language_and_speed_are_passed_on(serve: Serve) -> None:
    models = quick()
    front = await serve(models)
    async with speech(front, "Guten Tag.", voice="espeak", language="de", speed=1.5) as answer:
        assert answer.status == 200
    async with speech(front, "Guten Tag.", language="DE_at") as answer:
        assert answer.status == 200
    async with speech(front, "Hello.", voice={"id": "espeak"}, instructions="Whisper.") as answer:
        assert answer.headers["X-Voxrtc-Ignored"] == "instructions"
    async with speech(front, "Hello.", voice="nova") as answer:
        assert answer.status == 200
    assert [(s.voice, s.language, s.speed) for s in models.spoken] == [
        ("espeak", "de", 1.5),
        ("", "de", 1.0),
        ("espeak", "en", 1.0),
        ("", "en", 1.0),
    ]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"input": ""}, 422),
        ({"input": "x" * (MOST_CHARS + 1)}, 422),
        ({"input": "... \n 🎉"}, 400),
        ({"voice": "nobody"}, 400),
        ({"language": "tlh"}, 400),
        ({"language": "ru"}, 400),
        ({"speed": 9}, 422),
        ({"response_format": "midi"}, 422),
        ({"stream_format": "sse"}, 422),
    ],
)
async def test_what_cannot_be_said_is_refused(serve: Serve, fields: dict[str, Any], status: int) -> None:
    models = quick()
    front = await serve(models)
    async with front.http.post(front.url + "/v1/audio/speech", json={"input": "Hello."} | fields) as answer:
        assert answer.status == status, await answer.text()
        assert set(json.loads(await answer.text())) == {"error"}
    assert not models.spoken


@pytest.mark.parametrize("sounds", [[], [b""], [b"", b""]])
async def test_what_the_voice_has_no_sound_for_is_refused(serve: Serve, sounds: list[bytes]) -> None:
    class Mute(ScriptedModels):
        async def speak(self, ask: Any) -> Any:
            self.spoken.append(ask)
            for sound in sounds:
                yield Speech(sound, 0, 1)

    models = Mute()
    front = await serve(models)
    async with speech(front, "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35. \u0e04\u0e23\u0e31\u0e1a.") as answer:
        assert answer.status == 400
        assert "no sound" in (await answer.json())["error"]["message"]
    assert models.spoken


async def test_who_sends_slowly_is_in_nobodys_way(serve: Serve) -> None:
    front = await serve(quick())
    head = "POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writers = []
    for _ in range(AT_ONCE + 1):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writers.append(writer)
        writer.write(f"{head}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(PATIENCE_S):
            assert b"100 Continue" in await reader.readline()
    async with speech(front) as answer:
        assert answer.status == 200
    for writer in writers:
        writer.close()


async def test_a_failure_before_the_first_sound_has_a_status(serve: Serve) -> None:
    front = await serve(quick(fail=lambda verb, count: HostLost("the host died")))
    async with speech(front) as answer:
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)


async def test_a_failure_later_on_is_no_end(serve: Serve) -> None:
    """The stream breaks off: it does not look whole."""
    models = quick()
    models.fail = lambda verb, count: HostLost("the host died") if len(models.spoken) > 1 else None
    front = await serve(models)
    async with speech(front, response_format="pcm") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_who_goes_away_ends_the_work_and_others_are_told_to_wait(serve: Serve) -> None:
    models = ScriptedModels(voice_s=3_600)
    front = await serve(models)
    async with aiohttp.ClientSession() as session:
        body = {"input": SENTENCES}
        asking = [asyncio.create_task(session.post(front.url + "/v1/audio/speech", json=body)) for _ in range(AT_ONCE)]
        await free(front, False)
        async with speech(front) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    await free(front, True)
    assert models.cancelled == ["speak"] * len(models.cancelled) != []


async def free(front: Front, expected: bool) -> None:
    """Wait until there is a place for one more text, or none."""
    async with asyncio.timeout(PATIENCE_S):
        while front.app[SPEECHES].locked() == expected:  # noqa: ASYNC110 - a look from outside: the server tells nobody
            await asyncio.sleep(0.01)
