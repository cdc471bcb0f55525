"""What a caller of the package's own does when a line breaks, the server refuses, or is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import voxrtc
from tests.bench.tone_server import Behaviour, ToneServer
from tests.client.conftest import QUICK, cut
from tests.client.test_client import LONG, until
from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Serve


async def test_a_line_that_is_cut_is_replaced(serve: Serve) -> None:
    front = await serve(ScriptedModels(replies=[LONG], **QUICK))
    async with voxrtc.Client(front.url) as call:
        call.text("Tell me a story.")
        await until(call, "reply_spoken")
        packets, token = call.ear.packets, call.token
        cut(call)
        again = await until(call, "call_started")
        assert again["resumed"] is True
        await until(call, "reply_resumed")
        assert await call.until(lambda: call.ear.packets > packets + 50, 15)
        assert call.token == token
        assert front.exchange.calls.active == 1
    assert call.ended == "hung up"
    await front.exchange.settle(active=0, waiting=0)


@pytest.mark.models
async def test_what_is_being_said_waits_for_the_line(serve: Serve, silero: Any, data: Path) -> None:
    models = ScriptedModels(words=["hello there"], replies=["Yes."], **QUICK)
    front = await serve(models, silero=silero)
    async with asyncio.timeout(40), voxrtc.Client(front.url) as call:
        speaking = asyncio.create_task(call.speak(data / "austen-0870.wav"))
        await until(call, "speech_started")
        cut(call)
        await until(call, "call_started", resumed=True)
        assert not speaking.done()
        await speaking
        await until(call, "reply_ended")


async def test_a_function_answers_over_the_next_line(serve: Serve) -> None:
    go = asyncio.Event()

    async def slow() -> str:
        """Takes its time."""
        await go.wait()
        return "done at last"

    models = ScriptedModels(replies=['{"name": "slow", "arguments": {}}', "Yes."], **QUICK)
    front = await serve(models, dialogue={"partial_every_ms": 0, "tool_timeout_s": 30.0})
    async with voxrtc.Client(front.url, functions=[slow]) as call:
        call.text("Go.")
        await until(call, "tool_called")
        cut(call)
        assert await call.until(lambda: not call._lines.up.is_set(), 10)
        go.set()
        assert (await until(call, "tool_ended"))["ended"] == "finished"


async def test_another_client_goes_on_with_the_call(serve: Serve) -> None:
    front = await serve(ScriptedModels(replies=["Yes."], **QUICK))
    first = voxrtc.Client(front.url)
    await first.connect()
    first.text("My name is Ann.")
    await until(first, "reply_ended")
    async with voxrtc.Client(front.url, resume=first.token) as second:
        assert (await until(second, "call_started"))["resumed"] is True
        assert await first.until(lambda: first.ended is not None, 10) or "token" in (first.ended or "")
        assert "My name is Ann." in await second.export_memory()
        assert [event async for event in first][-1]["type"] == "call_moved"
    await first.close()


async def test_a_full_server_refuses(serve: Serve) -> None:
    front = await serve(server={"max_calls": 1})
    async with voxrtc.Client(front.url):
        with pytest.raises(voxrtc.CallFailed, match=r"refused \(503\).*try again in") as refused:
            async with voxrtc.Client(front.url):
                raise AssertionError("there is a second line")
    assert refused.value.status == 503
    assert refused.value.retry_after


async def test_the_bearer_is_told_and_may_be_refused() -> None:
    told = []

    async def refuse(request: web.Request) -> web.Response:
        told.append((request.path, request.headers.get("Authorization")))
        return web.json_response({"error": {"code": "key", "message": "That key opens nothing."}}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{any}", refuse)
    async with TestServer(app) as server:
        with pytest.raises(voxrtc.CallFailed, match=r"refused \(401\): That key opens nothing"):
            await voxrtc.Client(str(server.make_url("/")), bearer="s3cret").__aenter__()
    assert told == [("/ice", "Bearer s3cret"), ("/offer", "Bearer s3cret")]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "no answer"),
        *((url, "is no URL") for url in ("nonsense", "localhost:8000", "http://", "http://[1", "http://[::1]:99999")),
    ],
)
async def test_nobody_is_there(url: str, why: str) -> None:
    with pytest.raises(voxrtc.CallFailed, match=why):
        async with asyncio.timeout(20), voxrtc.Client(url):
            raise AssertionError("somebody was there")


async def test_the_server_goes_without_a_word() -> None:
    server = ToneServer(Behaviour())
    await server.start()
    try:
        call = voxrtc.Client(server.url, reconnect_s=0.8, silent_s=0.4)
        await call.connect()
        await until(call, "call_started")
        speaking = asyncio.create_task(call.speak(_forever()))
        cut(call)
        await server.close()
        with pytest.raises(voxrtc.CallFailed, match=r"the call broke: .*is gone"):
            await until(call, "nothing")
        with pytest.raises(voxrtc.CallFailed, match="is gone"):
            await speaking
        with pytest.raises(voxrtc.CallFailed, match="is gone"):
            call.interrupt()
        await call.close()
    finally:
        await server.close()


async def test_a_server_that_does_not_say_that_the_call_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxrtc.client.client.ANSWER_S", 0.5)
    server = ToneServer(Behaviour(events=False))
    await server.start()
    try:
        with pytest.raises(voxrtc.CallFailed, match=r"did not begin: no call_started within 0\.5 s"):
            await voxrtc.Client(server.url).__aenter__()
        assert server.hung_up
    finally:
        await server.close()


async def test_the_server_ends_the_call(serve: Serve) -> None:
    front = await serve()
    async with voxrtc.Client(front.url) as call:
        await until(call, "call_started")
        await front.exchange.calls.close()
        kinds = [event["type"] async for event in call]
        assert kinds[-1] == "call_ended"
        assert (call.ended or "").startswith("shutdown")


async def _forever() -> AsyncIterator[Any]:
    """A microphone that is open and silent for ever."""
    await asyncio.get_running_loop().create_future()
    yield None
