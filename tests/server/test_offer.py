"""The plain dialect over real HTTP, with stock callers."""

from __future__ import annotations

import asyncio

import pytest

from tests.dialogue.scripted import READY, ScriptedModels
from tests.server.conftest import Serve
from voxrtc.models.wire import Utterance
from voxrtc.server.offer import MAX_CANDIDATES

HOST = {"candidate": "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "sdp_mid": "0"}
STUN = {"urls": ["stun:stun.example.org:3478"]}
TURN = {"urls": ["turn:turn.example.org"], "username": "u", "credential": "c"}


async def test_from_offer_to_hang_up(serve: Serve) -> None:
    front = await serve(turn={"ice_servers": [STUN, TURN]})
    guest = front.exchange.guest()
    async with await front.offer(await guest.offer()) as answer:
        assert answer.status == 200
        body = await answer.json()
    assert set(body) == {"sdp", "type", "session", "resume", "ice_servers"}
    assert body["type"] == "answer"
    assert body["ice_servers"] == [STUN, TURN]
    await guest.take(body["sdp"])
    assert (await guest.until("call_started"))["call"] == body["session"]
    url = f"{front.url}/offer/{body['session']}"
    async with front.http.delete(url) as gone:
        assert gone.status == 204
        assert await gone.read() == b""
    assert front.exchange.calls.active == 0
    await guest.until("call_ended", reason="hangup")
    async with front.http.delete(url) as again:
        assert again.status == 404
        assert (await again.json())["error"]["code"] == "unknown_call"


async def test_ice_servers_are_known_before_the_offer(serve: Serve) -> None:
    front = await serve(turn={"ice_servers": [TURN]})
    async with front.http.get(front.url + "/ice") as answer:
        assert await answer.json() == {"ice_servers": [TURN]}
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_session_comes_back_by_its_token(serve: Serve) -> None:
    front = await serve()
    guest, answered = await front.exchange.up()
    await guest.close()
    again = front.exchange.guest()
    async with await front.offer(await again.offer(), resume=answered.resume) as answer:
        body = await answer.json()
    assert (body["session"], body["resume"]) == (answered.session, answered.resume)
    await again.take(body["sdp"])
    assert (await again.until("call_started"))["resumed"] is True


async def test_a_new_call_goes_on_from_the_memory_of_another(serve: Serve) -> None:
    models = ScriptedModels(replies=["Hello Ada.", "Ada."])
    front = await serve(models)
    guest, answered = await front.exchange.up()
    guest.say(type="text", text="I am Ada.")
    await guest.until("reply_ended")
    guest.say(type="export_memory")
    memory = (await guest.until("memory_exported"))["memory"]
    await front.exchange.calls.hang_up(answered.session)
    other = front.exchange.guest()
    async with await front.offer(await other.offer(), memory=memory) as answer:
        await other.take((await answer.json())["sdp"])
    await other.until("call_started", resumed=False)
    other.say(type="text", text="Who am I?")
    await other.until("reply_ended")
    assert models.answers[-1].history == [Utterance("user", "I am Ada."), Utterance("assistant", "Hello Ada.")]


@pytest.mark.parametrize("memory", ["", "{}", "[" * 100_000, '{"exchanges": [], "language": "xx"}'])
async def test_a_memory_that_is_none(serve: Serve, memory: str) -> None:
    front = await serve()
    guest, answered = await front.exchange.up()
    sdp = await front.exchange.guest().offer()
    async with await front.offer(sdp, memory=memory) as answer:
        assert answer.status == 422
        error = (await answer.json())["error"]
        assert error["code"] == "bad_memory"
        assert error["message"].startswith("memory: not an exported memory")
    await guest.close()
    async with await front.offer(sdp, memory=memory, resume=answered.resume) as answer:
        assert (await answer.json())["session"] == answered.session


async def test_a_full_server(serve: Serve) -> None:
    front = await serve(server={"max_calls": 1})
    await front.exchange.up()
    async with await front.offer(await front.exchange.guest().offer()) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert (await answer.json())["error"]["code"] == "full"
    assert front.exchange.counted("voxrtc_offers_refused_total", code="full") == 1


async def test_before_the_models_and_after_the_end(serve: Serve) -> None:
    models = ScriptedModels(ready=None)
    front = await serve(models)
    sdp = await front.exchange.guest().offer()
    async with await front.offer(sdp) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert (await answer.json())["error"]["code"] == "loading"
    models.ready = READY
    await front.exchange.calls.close()
    async with await front.offer(sdp) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "closing"


async def test_an_offer_that_cannot_be_answered(serve: Serve) -> None:
    front = await serve()
    async with await front.offer("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n") as answer:
        assert answer.status == 422
        error = (await answer.json())["error"]
    assert error["code"] == "bad_sdp"
    assert "audio" in error["message"]
    assert front.exchange.counted("voxrtc_offers_refused_total", code="bad_sdp") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"candidates": []}, 204),
        ({"candidates": [HOST]}, 204),
        ({"candidates": [HOST, {"candidate": ""}]}, 204),
        ({"candidates": [{"candidate": HOST["candidate"], "sdp_mline_index": 0}]}, 204),
        ({"candidates": [{"candidate": "x y z", "sdp_mid": "0"}]}, 422),
        ({"candidates": [HOST | {"sdp_mid": "nine"}]}, 204),  # all lines are bundled: it can only be for one transport
        ({"candidates": [{"candidate": HOST["candidate"], "sdp_mline_index": 10**9}]}, 204),
        ({"candidates": [HOST] * (MAX_CANDIDATES + 1)}, 422),
        ({"candidates": HOST}, 422),
        ({"candidates": [{}]}, 422),
        ({}, 422),
    ],
)
async def test_candidates(serve: Serve, body: dict[str, object], status: int) -> None:
    front = await serve()
    _, answered = await front.exchange.up()
    async with front.http.patch(f"{front.url}/offer/{answered.session}", json=body) as answer:
        assert answer.status == status
    assert front.exchange.calls.active == 1


async def test_requests_about_nobody(serve: Serve) -> None:
    front = await serve()
    url = front.url + "/offer/nobody"
    async with front.http.patch(url, json={"candidates": []}) as answer:
        assert answer.status == 404
    async with front.http.delete(url) as answer:
        assert answer.status == 404
        assert "nobody" in (await answer.json())["error"]["message"]


async def test_a_hang_up_in_the_middle_of_many(serve: Serve) -> None:
    """Each caller hears of its own end only."""
    front = await serve()
    calls = [await front.exchange.up() for _ in range(3)]
    first, answered = calls[0]
    async with front.http.delete(f"{front.url}/offer/{answered.session}") as gone:
        assert gone.status == 204
    await first.until("call_ended")
    assert front.exchange.calls.active == 2
    for guest, _ in calls[1:]:
        guest.say(type="config", language="tlh")
    await asyncio.gather(*(guest.until("notice", code="unsupported_language") for guest, _ in calls[1:]))
    assert all(event["type"] != "call_ended" for guest, _ in calls[1:] for event in guest.told)
