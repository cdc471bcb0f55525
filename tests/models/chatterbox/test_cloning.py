"""Voices of clips, the whole way: HTTP, the client, a real host process with a thin random Chatterbox, and back."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")

from tests.calling import Exchange  # noqa: E402
from tests.dialogue.scripted import ScriptedModels  # noqa: E402
from tests.models.chatterbox import checkpoints  # noqa: E402
from voxrtc.errors import BadClip, HostLost, ModelsError  # noqa: E402
from voxrtc.metrics import Metrics  # noqa: E402
from voxrtc.models import clones  # noqa: E402
from voxrtc.models.client import HostClient  # noqa: E402
from voxrtc.models.verbs import Models  # noqa: E402
from voxrtc.models.wire import Speak, unpack  # noqa: E402
from voxrtc.server import voices as routes  # noqa: E402
from voxrtc.server.app import make_app, make_runner  # noqa: E402
from voxrtc.server.status import Status  # noqa: E402
from voxrtc.settings import Settings  # noqa: E402

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"
JFK, AUSTEN = DATA / "jfk.wav", DATA / "austen-0870.wav"
HOST = (*(sys.executable, "-m", "voxrtc.models.host"), "--profile-factory", "tests.models.chatterbox.voices_only:make")
SAYS = "Hi."
LANGUAGES = {"en", "es", "fr", "de", "ko", "ja", "zh", "hi", "ms"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and beside it a clip that is a configured voice."""
    made = checkpoints.save(tmp_path_factory.mktemp("chatterbox"))
    (made / "voices").mkdir()
    (made / "voices" / "kennedy.wav").write_bytes(JFK.read_bytes())
    return made


def settings_of(folder: Path, **tts: Any) -> Settings:
    chatterbox = {"engine": "chatterbox", "chatterbox": str(folder), "voices_dir": str(folder / "voices")}
    own = {**chatterbox, "watermark": False, "allow_cloning": True, **tts}
    models = {"device": "cpu", "compile": "off"}
    return Settings.model_validate({"server": {"max_calls": 2}, "models": models, "tts": own})


@dataclass
class Front:
    """A server's HTTP, and the models behind it."""

    settings: Settings
    models: Models
    url: str
    http: aiohttp.ClientSession
    status: Status

    @property
    def host(self) -> HostClient:
        assert isinstance(self.models, HostClient)
        return self.models

    async def put(self, name: str, body: Any, **more: Any) -> tuple[int, Any]:
        return await self.ask("PUT", f"/voices/{name}", data=body, **more)

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.http.request(method, self.url + path, **more) as answer:
            return answer.status, await answer.json() if answer.status != 204 else None

    async def listed(self) -> dict[str, dict[str, Any]]:
        status, answer = await self.ask("GET", "/voices")
        assert status == 200
        return {one.pop("voice"): one for one in answer["voices"]}

    async def error(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        status, answer = await self.ask(method, path, **more)
        assert set(answer["error"]) == {"code", "message"}
        return status, answer["error"]["message"]

    async def says(self, voice: str, text: str = SAYS) -> np.ndarray:
        parts = [unpack(speech.samples) async for speech in self.models.speak(Speak(text, voice))]
        return np.concatenate(parts)

    async def says_while_killed(self, voice: str) -> None:
        """Kill the host, and have it speak until that is noticed, which raises HostLost."""
        assert self.host.pid is not None
        os.kill(self.host.pid, signal.SIGKILL)
        while True:
            await self.says(voice)


@pytest.fixture
async def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Makes servers; ends them and their hosts after the test."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fronts: list[Front] = []
    exchanges: list[Exchange] = []
    runners: list[web.AppRunner] = []

    async def start(models: Models | None = None, **tts: Any) -> Front:
        settings = settings_of(folder, **tts)
        if models is None:
            models = HostClient(settings, HOST)
            await models.start()
        exchanges.append(Exchange(models))
        status = Status(models, warm=True)
        runners.append(make_runner(make_app(settings, exchanges[-1].calls, status, Metrics())))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runners[-1].addresses[0][1]}"
        fronts.append(Front(settings, models, url, aiohttp.ClientSession(), status))
        return fronts[-1]

    yield start
    for front in fronts:
        await front.http.close()
    for runner in runners:
        await runner.cleanup()
    for exchange in exchanges:
        await exchange.close()
    for front in fronts:
        if isinstance(front.models, HostClient):
            await front.models.close()


def file_of(samples: np.ndarray, rate: int = 24_000, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def speech(seconds: float, gain: float = 1.0) -> np.ndarray:
    samples, rate = soundfile.read(JFK, dtype="float32")
    return gain * samples[: int(seconds * rate)]


async def test_two_callers_bring_voices_and_both_outlive_the_host(serve: Any) -> None:
    front = await serve()
    assert list(await front.listed())[:2] == ["chatterbox", "kennedy"]
    for name, clip in (("anna", AUSTEN), ("john", JFK)):
        status, answer = await front.put(name, clip.read_bytes())
        assert status == 201
        assert answer["voice"] == name
        assert set(answer["languages"]) == LANGUAGES
    there = await front.listed()
    assert list(there)[:2] + list(there)[-2:] == ["chatterbox", "kennedy", "anna", "john"]
    assert [name for name, one in there.items() if one["default"]] == ["chatterbox"]
    assert [name for name, one in there.items() if one["cloned"]] == ["anna", "john"]
    alone = [await front.says("anna"), await front.says("john")]
    together = await asyncio.gather(front.says("anna"), front.says("john"))
    assert all(np.allclose(one, other, atol=1e-4) for one, other in zip(alone, together, strict=True))
    assert not same(alone[0], alone[1])

    with pytest.raises(HostLost):
        await front.says_while_killed("john")
    assert (await front.says("chatterbox")).size
    again = await asyncio.gather(front.says("john"), front.says("john"), front.says("anna"))
    assert all(
        np.allclose(one, other, atol=1e-4) for one, other in zip([alone[1], alone[1], alone[0]], again, strict=True)
    )
    assert front.host.restarts == 1
    assert list(await front.listed()) == list(there)


def same(one: np.ndarray, other: np.ndarray, exact: bool = True) -> bool:
    return one.shape == other.shape and np.allclose(one, other, atol=1e-4)


async def test_a_name_that_is_cloned_anew_is_the_new_voice_also_for_a_new_host(serve: Any) -> None:
    front = await serve()
    assert (await front.put("anna", AUSTEN.read_bytes()))[0] == 201
    before = await front.says("anna")
    status, answer = await front.put("anna", file_of(speech(0.5)))
    assert (status, answer["error"]["code"]) == (400, "bad_clip")
    assert same(before, await front.says("anna")), "a clip that is refused changes nothing"
    assert (await front.put("anna", JFK.read_bytes()))[0] == 200
    after = await front.says("anna")
    assert not same(before, after)
    with pytest.raises(HostLost):
        await front.says_while_killed("chatterbox")
    assert same(after, await front.says("anna"))


async def test_a_voice_is_deleted(serve: Any) -> None:
    front = await serve()
    await front.put("anna", AUSTEN.read_bytes())
    assert await front.ask("DELETE", "/voices/anna") == (204, None)
    assert "anna" not in await front.listed()
    with pytest.raises(ModelsError, match="no voice 'anna'"):
        await front.says("anna")
    assert (await front.error("DELETE", "/voices/anna"))[0] == 404
    assert (await front.error("DELETE", "/voices/kennedy"))[0] == 409
    assert (await front.says("kennedy")).size
    assert (await front.put("anna", JFK.read_bytes()))[0] == 201


async def test_clips_of_all_kinds(serve: Any) -> None:
    front = await serve()
    stereo = np.stack([speech(4), speech(4)], axis=1)
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        status, _ = await front.put(f"Jack_F-4{kind}", file_of(stereo, 16_000, kind))
        assert status == 201
        assert (await front.says(f"Jack_F-4{kind}")).size


async def test_what_is_wrong_with_a_clip(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    front = await serve()
    caplog.set_level(logging.DEBUG)
    wav = file_of(speech(4))
    many = file_of(np.zeros((4 * 8_000, 9), np.float32), 8_000)
    for body, status, part in (
        (file_of(speech(2.9, 1.0), 16_000), 400, "too short"),
        (file_of(speech(4, 0.001), 16_000), 400, "too quiet"),
        (file_of(np.clip(speech(4, 40.0), -1, 1), 16_000), 400, "clipped"),
        (file_of(speech(8), 4_000), 400, "4000 samples a second"),
        (many, 400, "9 channels"),
        (b"", 400, "empty"),
        (file_of(speech(4), 16_000, "AIFF"), 415, "AIFF"),
        (b"these are words, and no sound" * 99, 415, "WAV, FLAC, OGG or MP3"),
        (wav[:2_000], 400, "too short"),
        (bytes(routes.MAX_BYTES + 1), 413, "10 MB"),
    ):
        got, message = await front.error("PUT", "/voices/anna", data=body)
        assert (got, part in message) == (status, True), (part, message)
    assert (await front.error("PUT", "/voices/anna", data=pieces(routes.MAX_BYTES + 1)))[0] == 413
    gzip = {"Content-Encoding": "gzip"}
    assert (await front.error("PUT", "/voices/anna", data=wav, headers=gzip))[0] == 415
    assert "anna" not in await front.listed()
    assert "anna" not in caplog.text
    for samples, rate in ((np.full(48_000, np.nan, np.float32), 16_000), (speech(4), 10**9), (speech(1), 16_000)):
        with pytest.raises(BadClip):
            await front.host.clone("anna", samples, rate)
    assert not await front.host.forget("anna")
    assert (await front.put("anna", file_of(speech(4), 16_000)))[0] == 201


async def pieces(size: int) -> Any:
    """A body whose length is not announced."""
    while size > 0:
        yield bytes(min(size, 65_536))
        size -= 65_536


async def test_names(serve: Any) -> None:
    front = await serve()
    wav = JFK.read_bytes()
    for name, status in (
        ("a%20b", 422),
        ("%C3%A4", 422),
        ("a%2Fb", 422),
        ("x" * 65, 422),
        ("a.wav", 422),
        ("kennedy", 409),
        ("chatterbox", 409),
        ("espeak", 409),
        ("hibari", 409),
        ("auto", 409),
    ):
        got, message = await front.error("PUT", f"/voices/{name}", data=wav)
        assert got == status, name
        assert status != 409 or ("reserved" in message) == (name != "kennedy"), message
    samples, rate = soundfile.read(JFK, dtype="float32")
    for name in ("a b", "kennedy", "auto", ""):
        with pytest.raises(ModelsError, match=r"name|configured voice"):
            await front.host.clone(name, samples, rate)
    assert (await front.put("x" * 64, wav))[0] == 201


async def test_where_it_is_not_allowed(serve: Any) -> None:
    front = await serve(allow_cloning=False)
    status, message = await front.error("PUT", "/voices/anna", data=JFK.read_bytes())
    assert (status, "tts.allow_cloning" in message) == (403, True)
    samples, rate = soundfile.read(JFK, dtype="float32")
    with pytest.raises(ModelsError, match=r"tts\.allow_cloning"):
        await front.host.clone("anna", samples, rate)


async def test_where_the_voices_cannot_or_are_not_ready(serve: Any) -> None:
    models = ScriptedModels()
    front = await serve(models)
    wav = JFK.read_bytes()
    assert (await front.error("PUT", "/voices/anna", data=wav))[0] == 501
    models.ready = None
    for method in ("PUT", "DELETE"):
        async with front.http.request(method, front.url + "/voices/anna", data=wav) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert (await front.error("GET", "/voices"))[0] == 503
    assert (await front.error("POST", "/voices"))[0] == 405


async def test_so_many_clips_may_be_on_their_way_at_once(serve: Any) -> None:
    front = await serve()
    more = asyncio.Event()
    begun = asyncio.Semaphore(0)

    async def slow() -> Any:
        wav = JFK.read_bytes()
        yield wav[:100_000]
        begun.release()
        await more.wait()
        yield wav[100_000:]

    puts = [asyncio.create_task(front.put(f"v{n}", slow())) for n in range(routes.AT_ONCE)]
    for _ in puts:
        await begun.acquire()
    status, answer = 201, {}
    async with asyncio.timeout(30):
        while status == 201:  # until the server, too, has begun with those
            status, answer = await front.put("late", JFK.read_bytes())
    assert (status, answer["error"]["code"]) == (503, "service_unavailable")
    more.set()
    assert [status for status, _ in await asyncio.gather(*puts)] == [201] * len(puts)


async def test_of_more_clips_than_are_kept_the_oldest_is_forgotten(serve: Any, monkeypatch: Any) -> None:
    front = await serve()
    samples, rate = soundfile.read(JFK, frames=3 * 16_000, dtype="float32")
    for n in range(clones.MOST):
        await front.host.clone(f"v{n}", samples, rate)
    with pytest.raises(HostLost):
        await front.says_while_killed("v5")
    for n in (9, 0, 1):  # the order in which the new host gets them is not that of their age
        assert (await front.says(f"v{n}")).size
    await front.host.clone("v0", samples, rate)  # now it is the newest
    for n in range(2):
        await front.host.clone(f"more{n}", samples, rate)
    there = await front.listed()
    assert sum(one["cloned"] for one in there.values()) == clones.MOST
    for gone in ("v1", "v2"):
        assert gone not in there
        with pytest.raises(ModelsError, match=f"no voice '{gone}'"):
            await front.says(gone)
    for n in (0, 9, 3):
        assert (await front.says(f"v{n}")).size

    monkeypatch.setattr(clones, "MOST_BYTES", 2 * 2 * samples.size)
    await front.host.clone("last", samples, rate)
    assert [name for name, one in (await front.listed()).items() if one["cloned"]] == ["more1", "last"]
