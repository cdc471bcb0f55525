"""Files over HTTP: OpenAI's shape and POST /transcribe, on a real server with scripted models."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import socket
import time
import wave
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Front, Serve
from voxrtc.errors import HostLost, ModelsError
from voxrtc.server.forms import MOST_PARTS, MOST_TEXT
from voxrtc.server.keys import FILES, ROOM

JFK = Path(__file__).parents[1] / "data" / "jfk.wav"
SAID = "What is said in the file."
URL = "/v1/audio/transcriptions"
PATIENCE_S = 15


def two_windows() -> bytes:
    """A WAV of two stretches of noise with 3 s of silence between them."""
    noise = (np.random.default_rng(0).standard_normal(16_000) * 3_000).astype("<i2")
    silence = np.zeros(48_000, "<i2")
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.concatenate([noise, silence, noise]).tobytes())
    return out.getvalue()


def form(data: bytes | None = None, **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, text in fields.items():
        made.add_field(name, text)
    made.add_field("file", JFK.read_bytes() if data is None else data, filename="jfk.wav", content_type="audio/wav")
    return made


async def send(front: Front, data: bytes | None = None, **fields: str) -> tuple[int, str, dict[str, str]]:
    async with front.http.post(front.url + URL, data=form(data, **fields)) as answer:
        return answer.status, await answer.text(), {name: answer.headers[name] for name in answer.headers}


async def taken(front: Front, expected: bool = True) -> None:
    """Wait until the place for files is taken, or free."""
    async with asyncio.timeout(PATIENCE_S):
        while front.app[FILES].locked() != expected:  # noqa: ASYNC110 - a look from outside: the server tells nobody
            await asyncio.sleep(0.01)


def code(body: str) -> str:
    return json.loads(body)["error"]["code"]


def quick(**how: Any) -> ScriptedModels:
    return ScriptedModels(asr_s=0.0, **how)


# -- what comes back ----------------------------------------------------------------------------------------


async def test_json_is_the_default(serve: Serve) -> None:
    front = await serve(quick())
    status, body, headers = await send(front, model="whisper-1")
    assert (status, json.loads(body)) == (200, {"text": SAID, "usage": {"type": "duration", "seconds": 11}})
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert "X-Voxrtc-Ignored" not in headers


async def test_verbose_json_has_all_that_openai_tells(serve: Serve) -> None:
    front = await serve(quick(files=["One.", "Two."]))
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": "segment"}
    status, body, _ = await send(front, two_windows(), **asked)
    told = json.loads(body)
    assert status == 200
    assert (told["task"], told["language"], told["duration"], told["text"]) == ("transcribe", "en", 5.0, "One. Two.")
    first, second = told["segments"]
    assert {"id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob"} < set(first)
    assert {"compression_ratio", "no_speech_prob"} < set(first)
    assert (first["id"], second["id"], second["text"]) == (0, 1, "Two.")
    assert 0 <= first["start"] < first["end"] <= second["start"] < second["end"] <= 5.0
    assert told["usage"] == {"type": "duration", "seconds": 5}


@pytest.mark.parametrize(
    ("name", "kind", "begins"),
    [("text", "text/plain", SAID), ("srt", "text/plain", "1\n00:00:0"), ("vtt", "text/vtt", "WEBVTT\n")],
)
async def test_other_formats(serve: Serve, name: str, kind: str, begins: str) -> None:
    front = await serve(quick())
    status, body, headers = await send(front, response_format=name)
    assert status == 200
    assert headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert body.startswith(begins)
    assert SAID in body


async def test_a_stream_of_what_is_said(serve: Serve) -> None:
    front = await serve(quick(files=["One.", "Two."]))
    status, body, headers = await send(front, two_windows(), stream="true", language="en")
    assert status == 200
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    events = [json.loads(line.removeprefix("data: ")) for line in body.split("\n\n") if line]
    assert events == [
        {"type": "transcript.text.delta", "delta": "One."},
        {"type": "transcript.text.delta", "delta": " Two."},
        {"type": "transcript.text.done", "text": "One. Two.", "usage": {"type": "duration", "seconds": 5}},
    ]


async def test_fields_that_change_nothing_are_named(serve: Serve) -> None:
    front = await serve(quick())
    status, _, headers = await send(
        front, prompt="Kennedy", temperature="0.3", **{"include[]": "logprobs", "x y, z": "1"}
    )
    assert status == 200
    assert headers["X-Voxrtc-Ignored"] == "include, prompt, temperature"


async def test_the_language_is_passed_on(serve: Serve) -> None:
    front = await serve(quick())
    for asked, told in (("de", "de"), ("de-AT", "de"), ("de_DE", "de"), ("", "en"), ("auto", "en")):
        _, body, _ = await send(front, response_format="verbose_json", language=asked)
        assert json.loads(body)["language"] == told


async def test_nothing_said_is_no_error(serve: Serve) -> None:
    front = await serve(quick(files=[""]))
    status, body, _ = await send(front, response_format="verbose_json")
    assert (status, json.loads(body)["segments"], json.loads(body)["text"]) == (200, [], "")


# -- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"response_format": "diarized_json"}, "response_format: one of json"),
        ({"response_format": "verbose_json", "stream": "true"}, "stream: only"),
        ({"timestamp_granularities[]": "word"}, "only segment"),
        ({"language": "tlh"}, "language: one of en, de"),
    ],
)
async def test_what_cannot_be_given_is_refused(serve: Serve, fields: dict[str, str], says: str) -> None:
    front = await serve(quick())
    status, body, _ = await send(front, **fields)
    assert status == 400
    assert says in body


async def test_what_is_no_audio(serve: Serve) -> None:
    front = await serve(quick())
    for stream in ("false", "true"):
        status, body, _ = await send(front, b"no sound at all", stream=stream)
        assert (status, code(body)) == (400, "bad_audio")
    status, body, _ = await send(front, b"")
    assert status == 400
    assert "file" in body


async def test_forms_that_are_none(serve: Serve) -> None:
    front = await serve(quick())
    crowd = form()
    for number in range(MOST_PARTS):
        crowd.add_field(f"f{number}", "x")
    twice = form()
    twice.add_field("file", b"again", filename="x")
    chatty = form(prompt="x" * (MOST_TEXT + 1))
    for data, expected in ((crowd, 400), (twice, 400), (chatty, 413), (b"{}", 415), (form(None, language="en"), 200)):
        async with front.http.post(front.url + URL, data=data) as answer:
            assert answer.status == expected, await answer.text()
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        for body in (
            b"",
            b"--x",
            b"--x\r\n\r\n",
            b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\n" + b"\0" * 99,
        ):
            async with front.http.post(front.url + URL, data=body, headers={"Content-Type": kind}) as answer:
                assert answer.status == 400, (kind, body, await answer.text())


async def test_files_that_are_too_large_or_too_long(serve: Serve) -> None:
    front = await serve(quick(), sources={"max_mb": 1, "max_minutes": 0.1})
    status, body, _ = await send(front, bytes(1024 * 1024 + 1))
    assert (status, code(body)) == (413, "request_entity_too_large")

    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(65_536)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with front.http.post(front.url + URL, data=endless(), headers=kind) as answer:
        assert answer.status == 413
    status, body, _ = await send(front)
    assert (status, code(body)) == (400, "bad_audio")
    assert "longer than 6 s" in body


async def test_a_form_that_comes_too_slowly(serve: Serve) -> None:
    front = await serve(quick(), sources={"timeout_s": 0.2})
    stop = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        await stop.wait()

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    async with asyncio.timeout(PATIENCE_S), front.http.post(front.url + URL, data=slow(), headers=kind) as answer:
        assert answer.status == 408
    stop.set()


async def test_more_than_so_many_at_once_are_told_to_try_again(serve: Serve) -> None:
    models = ScriptedModels(asr_s=3_600)
    front = await serve(models, sources={"at_once": 1})
    first = asyncio.create_task(send(front))
    await taken(front)
    status, body, headers = await send(front)
    assert (status, code(body), headers["Retry-After"]) == (503, "service_unavailable", "5")
    first.cancel()
    await asyncio.wait({first})


@pytest.mark.parametrize("path", [URL, "/transcribe"])
async def test_who_sends_slowly_is_in_nobodys_way(serve: Serve, path: str) -> None:
    front = await serve(quick(), sources={"at_once": 1})
    kind = "application/json" if path == "/transcribe" else "multipart/form-data; boundary=x"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n"
    )
    writers = []
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writers.append(writer)
        writer.write(f"{head}\r\n--x\r\n".encode())
        async with asyncio.timeout(PATIENCE_S):
            assert b"100 Continue" in await reader.readline()
    assert (await send(front))[0] == 200
    data = base64.b64encode(JFK.read_bytes()).decode()
    assert (await transcribe(front, data))[0] == 200
    for writer in writers:
        writer.close()


async def test_of_bodies_only_so_much_is_held(serve: Serve) -> None:
    """However many send at once, and then all of it is given back."""
    front = await serve(ScriptedModels(asr_s=3_600), sources={"at_once": 1, "max_mb": 1})
    room = front.app[ROOM]
    free = room.left
    with contextlib.ExitStack() as stack:
        stack.enter_context(room.hold())(free - 100_000)
        status, body, headers = await send(front)
        assert (status, code(body), headers["Retry-After"]) == (503, "service_unavailable", "5")
        assert room.left == 100_000
    asking = asyncio.create_task(send(front))
    await taken(front)
    assert room.left == free - JFK.stat().st_size
    asking.cancel()
    await asyncio.wait({asking})
    await taken(front, False)
    assert room.left == free


async def test_who_goes_away_ends_the_work(serve: Serve) -> None:
    models = ScriptedModels(asr_s=3_600)
    front = await serve(models, sources={"at_once": 1})
    for stream in ("false", "true"):
        models.cancelled.clear()
        async with aiohttp.ClientSession() as session:
            asking = asyncio.create_task(session.post(front.url + URL, data=form(stream=stream)))
            await taken(front)
            if stream == "true":
                await asking
            asking.cancel()
            await asyncio.wait({asking})
        await taken(front, False)
        assert models.cancelled == ["transcribe"]
    assert (await front.http.get(front.url + "/health")).status == 200


@pytest.mark.parametrize("error", [HostLost("the host died"), ModelsError("too much waits")])
async def test_models_that_fail_are_worth_another_try(serve: Serve, error: ModelsError) -> None:
    front = await serve(quick(fail=lambda verb, count: error))
    status, body, headers = await send(front)
    assert (status, "Retry-After" in headers) == (503, True)
    assert str(error) in body
    status, body, _ = await send(front, stream="true")
    assert status == 200
    assert str(error) in json.loads(body.removeprefix("data: "))["error"]["message"]


async def test_before_the_models_are_ready(serve: Serve) -> None:
    front = await serve(quick(), warm=False)
    status, _, headers = await send(front)
    assert (status, "Retry-After" in headers) == (503, True)
    async with front.http.post(front.url + "/transcribe", json={"source": "x"}) as answer:
        assert answer.status == 503


# -- POST /transcribe: sources ------------------------------------------------------------------------------


async def transcribe(front: Front, source: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    async with front.http.post(front.url + "/transcribe", json={"source": source} | more) as answer:
        return answer.status, json.loads(await answer.text())


@pytest.fixture
async def site() -> AsyncIterator[TestServer]:
    """Audio, and what a source had better not be."""
    stop = asyncio.Event()

    async def audio(request: web.Request) -> web.Response:
        return web.Response(body=JFK.read_bytes())

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.query["to"])

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"RIFF")
        await stop.wait()
        return response

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while not stop.is_set():
                await response.write(bytes(65_536))
        except ConnectionError:
            pass
        return response

    async def bomb(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(bytes(64 * 1024 * 1024)), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    for handler in (audio, elsewhere, slow, endless, bomb):
        app.router.add_get(f"/{handler.__name__}", handler)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    yield server
    stop.set()
    await server.close()


ALLOWED = {"allow": ["127.0.0.1"], "max_mb": 1, "timeout_s": 2.0}


async def test_a_url_a_data_url_and_base64(serve: Serve, site: TestServer) -> None:
    front = await serve(quick(), sources=ALLOWED)
    data = base64.b64encode(JFK.read_bytes()).decode()
    for source in (str(site.make_url("/audio")), f"data:audio/wav;base64,{data}", data):
        status, told = await transcribe(front, source, language="en")
        assert (status, told["text"]) == (200, SAID)
    async with front.http.post(front.url + "/transcribe", json={"source": data, "response_format": "srt"}) as answer:
        assert (await answer.text()).startswith("1\n00:00:")


async def test_without_being_allowed_this_machine_is_not_read_from(serve: Serve, site: TestServer) -> None:
    front = await serve(quick())
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"):
        status, told = await transcribe(front, f"http://{host}:{site.port}/audio")
        assert (status, told["error"]["code"]) == (400, "bad_audio"), host


@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/meta-data/", "http://[fd00::1]/", "http://10.0.0.1/"])
async def test_a_redirect_to_what_is_not_public_is_refused(serve: Serve, site: TestServer, to: str) -> None:
    front = await serve(quick(), sources=ALLOWED)
    status, told = await transcribe(front, str(site.make_url("/elsewhere").with_query(to=to)))
    assert status == 400
    assert "not a public address" in told["error"]["message"]


async def test_a_redirect_to_localhost_is_refused(serve: Serve, site: TestServer) -> None:
    """Only the name of the site is allowed, not where else it points."""
    front = await serve(quick(), sources=ALLOWED | {"allow": ["site.test"]})
    to = f"http://localhost:{site.port}/audio"
    resolve_to("site.test", ["127.0.0.1"])
    try:
        url = site.make_url("/elsewhere").with_host("site.test").with_query(to=to)
        status, told = await transcribe(front, str(url))
        assert status == 400
        assert "not a public address" in told["error"]["message"]
        assert (await transcribe(front, str(site.make_url("/audio").with_host("site.test"))))[0] == 200
    finally:
        RESOLVED.clear()


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://example.org/x", "data:audio/wav;base64,AAAA", "gopher://x"]
)
async def test_a_redirect_to_another_scheme_is_refused(serve: Serve, site: TestServer, to: str) -> None:
    front = await serve(quick(), sources=ALLOWED)
    status, _ = await transcribe(front, str(site.make_url("/elsewhere").with_query(to=to)))
    assert status == 400


RESOLVED: dict[str, list[str]] = {}
_getaddrinfo = socket.getaddrinfo


def resolve_to(name: str, addresses: list[str]) -> None:
    """From now on ``name`` leads to ``addresses``, one after the other at each question."""
    RESOLVED[name] = addresses


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in RESOLVED:
            addresses = RESOLVED[host]
            host = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return _getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    RESOLVED.clear()


async def test_a_name_that_changes_its_mind_is_asked_once(serve: Serve, site: TestServer) -> None:
    """First it leads to an address that is allowed, where nobody listens, then to the site, which is not allowed."""
    front = await serve(quick(), sources={"allow": ["127.0.0.2"]})
    resolve_to("rebinding.test", ["127.0.0.2", "127.0.0.1"])
    try:
        status, told = await transcribe(front, f"http://rebinding.test:{site.port}/audio")
        assert status == 400
        assert SAID not in json.dumps(told)
        status, told = await transcribe(front, f"http://rebinding.test:{site.port}/audio")
        assert "rebinding.test leads to what is not a public address" in told["error"]["message"]
        assert "127.0.0" not in json.dumps(told), "which address that is, is not for callers"
    finally:
        RESOLVED.clear()


async def test_a_name_of_this_network_where_nobody_answers(serve: Serve) -> None:
    """Which address that is, is not for callers, also where the name may be read from."""
    front = await serve(quick(), sources={"allow": ["inside.test"]})
    resolve_to("inside.test", ["127.0.0.3"])
    status, told = await transcribe(front, "http://inside.test:1/audio")
    assert (status, told["error"]["code"]) == (400, "bad_audio")
    assert "127.0.0" not in json.dumps(told)


@pytest.mark.parametrize(
    ("path", "says"), [("/slow", "within 0.3 s"), ("/endless", "larger than 1 MiB"), ("/bomb", "not audio")]
)
async def test_size_and_time_are_bounded(serve: Serve, site: TestServer, path: str, says: str) -> None:
    limits = ALLOWED | ({"timeout_s": 0.3} if path == "/slow" else {"timeout_s": 10.0})
    front = await serve(quick(), sources=limits)
    async with asyncio.timeout(PATIENCE_S):
        status, told = await transcribe(front, str(site.make_url(path)))
    assert (status, told["error"]["code"]) == (400, "bad_audio")
    assert says in told["error"]["message"]


@pytest.mark.parametrize("source", ["/etc/passwd", str(JFK), f"file://{JFK}", "../config.toml", "", "ftp://x/y"])
async def test_no_files_of_the_server(serve: Serve, source: str) -> None:
    front = await serve(quick())
    status, told = await transcribe(front, source)
    assert (status, told["error"]["code"]) == (400, "bad_audio")


async def test_bodies_that_are_wrong(serve: Serve) -> None:
    front = await serve(quick(), sources={"max_mb": 1})
    assert (await transcribe(front, 5))[0] == 422
    assert (await transcribe(front, "x", response_format="word"))[0] == 422
    assert (await transcribe(front, "x", language="tlh"))[0] == 400
    assert (await transcribe(front, "A" * 3 * 1024 * 1024))[0] == 413
    async with front.http.post(front.url + "/transcribe", data=b"{}") as answer:
        assert answer.status == 415


async def test_the_event_loop_goes_on_while_a_large_body_is_read(serve: Serve) -> None:
    front = await serve(quick())
    body = b'{"source": "' + b"A" * 40_000_000 + b'"}'
    pauses = []
    for _ in range(3):
        asking = asyncio.create_task(post_bytes(front, body))
        longest = 0.0
        while not asking.done():
            began = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - began)
        assert await asking == 400
        pauses.append(longest)
    assert min(pauses) < 0.15, pauses  # of which the JSON's one string is most


async def post_bytes(front: Front, body: bytes) -> int:
    """The status of POST /transcribe. In pieces: the client shares the event loop."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 65_536):
            yield body[at : at + 65_536]

    headers = {"Content-Type": "application/json"}
    async with front.http.post(front.url + "/transcribe", data=pieces(), headers=headers) as answer:
        return answer.status
