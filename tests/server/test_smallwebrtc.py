"""pipecat's SmallWebRTC over real HTTP: callers of RTVI, errors, other origins. Its own client is in tests/clients."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.calling import Guest
from tests.dialogue.scripted import READY, ScriptedModels
from tests.server.conftest import Front, Serve
from voxrtc.server.offer import MAX_CANDIDATES

HOST = {"candidate": "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "sdp_mid": "0", "sdp_mline_index": 0}
TURN = {"urls": ["turn:turn.example.org"], "username": "u", "credential": "c"}
PAGE = {"Origin": "http://localhost:5173"}
AFAR = {"Origin": "https://app.example.org"}


class Client(Guest):
    """A caller with a channel called chat. (aiortc cannot take that a line of video is refused; browsers do.)"""

    def __init__(self) -> None:
        super().__init__()
        self.channel = self.pc.createDataChannel("chat")
        self.channel.on("open", self.opened.set)
        self.channel.on("message", self.messages.put_nowait)
        self.pc_id = ""

    async def connect(self, front: Front, url: str = "/api/offer", **more: Any) -> None:
        """Place a call, and wait until the channel can be written to."""
        body = {"sdp": await self.offer(), "type": "offer", "pc_id": None, "restart_pc": False} | more
        async with front.http.post(front.url + url, json=body) as answer:
            assert answer.status == 200, await answer.text()
            found = await answer.json()
        assert set(found) == {"sdp", "type", "pc_id"}
        assert found["type"] == "answer"
        self.pc_id = found["pc_id"]
        await self.take(found["sdp"])
        await asyncio.wait_for(self.opened.wait(), 15)

    def ask(self, kind: str, data: Any = None, name: str = "m1") -> None:
        self.say(label="rtvi-ai", type=kind, id=name, data=data)


@pytest.fixture
async def client(serve: Serve) -> tuple[Front, Client]:
    front = await serve(ScriptedModels(replies=["Hello Ada. How are you?", "Fine."]))
    return front, new(front)


def new(front: Front) -> Client:
    one = Client()
    front.exchange.guests.append(one)
    return one


async def test_a_session_from_start_to_disconnect(client: tuple[Front, Client]) -> None:
    front, one = client
    start = {"transport": "webrtc", "enableDefaultIceServers": True, "body": {"x": 1}}
    async with front.http.post(front.url + "/start", json=start) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        started = await answer.json()
    assert started["iceConfig"] == {"iceServers": []}
    url = f"/sessions/{started['sessionId']}/api/offer"
    await one.connect(front, url, requestData={"x": 1})
    candidates = {"pc_id": one.pc_id, "candidates": [HOST, HOST | {"candidate": ""}]}
    async with front.http.patch(front.url + url, json=candidates) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "success"})
    one.channel.send("ping: 1700000000000")
    one.say(type="signalling", message={"type": "trackStatus", "receiver_index": 0, "enabled": False})
    one.ask("client-ready", {"version": "2.1.0", "about": {"library": "test"}}, "r1")
    ready = await one.until("bot-ready", id="r1")
    assert ready["data"]["version"] == "2.1.0"
    one.ask("send-text", {"content": "I am Ada.", "options": {"audio_response": True}})
    await one.until("bot-started-speaking")
    await one.until("bot-llm-stopped")
    done = [m["data"] for m in one.told if m["type"] == "bot-output" and m["data"]["spoken_status"] == "completed"]
    assert "".join(d["text"] for d in done) == "Hello Ada. How are you?"
    one.ask("disconnect-bot", {})
    await one.until("signalling")
    assert one.told[-1]["message"] == {"type": "peerLeft"}
    await front.exchange.settle(active=0, waiting=0)
    assert not [m for m in one.told if m["type"] in ("error", "error-response")]


async def test_an_answer_in_writing(client: tuple[Front, Client]) -> None:
    front, one = client
    await one.connect(front)
    one.ask("send-text", {"content": "I am Ada.", "options": {"audio_response": False}})
    await one.until("bot-llm-stopped")
    assert {m["data"]["will_be_spoken"] for m in one.told if m["type"] == "bot-output"} == {False}
    assert not any(m["type"].startswith("bot-tts") or m["type"] == "bot-started-speaking" for m in one.told)
    one.ask("send-text", {"content": "And you?"})
    spoken = await one.until("bot-output")
    assert spoken["data"]["will_be_spoken"] is True


async def test_what_is_not_understood_is_told(client: tuple[Front, Client]) -> None:
    front, one = client
    await one.connect(front)
    one.ask("sing", {}, "m2")
    assert "sing" in (await one.until("error-response", id="m2"))["data"]["error"]
    one.channel.send("{")
    error = await one.until("error")
    assert (error["data"]["code"], error["data"]["fatal"]) == ("bad_message", False)
    one.ask("llm-function-call-result", {"tool_call_id": "nobody", "result": 1})
    assert (await one.until("error"))["data"]["code"] == "unknown_tool_call"


async def test_a_session_comes_back_on_another_connection(client: tuple[Front, Client]) -> None:
    """As the stock client does it: the old pc_id, restart_pc, no second client-ready; the old line is not told that
    the bot has left, which would end the new one."""
    front, one = client
    await one.connect(front)
    one.ask("send-text", {"content": "I am Ada."})
    await one.until("bot-llm-stopped")
    two = new(front)
    await two.connect(front, pc_id=one.pc_id, restart_pc=True)
    assert two.pc_id == one.pc_id
    await one.cut()
    left = [json.loads(one.messages.get_nowait()) for _ in range(one.messages.qsize())]
    assert not [m for m in left if m["type"] == "signalling"]
    two.ask("send-text", {"content": "And you?"})
    await two.until("bot-llm-stopped")
    text = "".join(m["data"]["text"] for m in two.told if m["type"] == "bot-llm-text")
    assert text == "Fine."
    assert front.exchange.calls.active == 1


async def test_a_session_that_is_over_begins_anew(client: tuple[Front, Client]) -> None:
    front, one = client
    await one.connect(front)
    await front.exchange.calls.hang_up(one.pc_id.partition(".")[0])
    two = new(front)
    await two.connect(front, pc_id=one.pc_id, restart_pc=True)
    assert two.pc_id != one.pc_id
    assert (await two.until("server-message"))["data"]["resumed"] is False


async def test_ice_servers_come_with_the_start(serve: Serve) -> None:
    front = await serve(turn={"ice_servers": [TURN]})
    async with front.http.post(front.url + "/start", data=b"", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 200
        assert (await answer.json())["iceConfig"]["iceServers"] == [TURN]


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "code"),
    [
        ("POST", "/start", {"transport": "daily"}, 422, "unprocessable_entity"),
        ("POST", "/start", {"createDailyRoom": True}, 422, "unprocessable_entity"),
        ("POST", "/start", {"transport": 5}, 422, "unprocessable_entity"),
        ("POST", "/start", [], 422, "unprocessable_entity"),
        ("POST", "/start", b"{", 400, "bad_request"),
        ("GET", "/start", None, 405, "method_not_allowed"),
        ("POST", "/api/offer", {}, 422, "unprocessable_entity"),
        ("POST", "/api/offer", {"sdp": "v=0", "type": "answer"}, 422, "unprocessable_entity"),
        ("POST", "/api/offer", {"sdp": "v=0", "type": "offer"}, 422, "bad_sdp"),
        ("POST", "/api/offer", {"sdp": "v=0", "type": "offer", "pc_id": 5}, 422, "unprocessable_entity"),
        ("POST", "/api/offer", b"{", 400, "bad_request"),
        ("POST", "/sessions/nobody/api/offer", {"sdp": "v=0", "type": "offer"}, 404, "not_found"),
        ("PATCH", "/sessions/nobody/api/offer", {"pc_id": "x.y", "candidates": []}, 404, "not_found"),
        ("PATCH", "/api/offer", {"candidates": []}, 422, "unprocessable_entity"),
        ("PATCH", "/api/offer", {"pc_id": None, "candidates": []}, 422, "unprocessable_entity"),
        ("PATCH", "/api/offer", {"pc_id": "nobody", "candidates": []}, 404, "unknown_call"),
        ("PATCH", "/api/offer", {"pc_id": "no.body", "candidates": []}, 404, "unknown_call"),
        ("PATCH", "/api/offer", {"pc_id": "x.y", "candidates": [HOST] * (MAX_CANDIDATES + 1)}, 422, None),
        ("DELETE", "/api/offer", None, 405, "method_not_allowed"),
    ],
)
async def test_errors_have_their_status(
    serve: Serve, method: str, url: str, body: Any, status: int, code: str | None
) -> None:
    front = await serve()
    data = body if isinstance(body, bytes) or body is None else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    async with front.http.request(method, front.url + url, data=data, headers=headers) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
    assert error["message"]
    assert code in (None, error["code"])


async def test_no_room_and_no_models(serve: Serve) -> None:
    models = ScriptedModels(ready=None)
    front = await serve(models, server={"max_calls": 1})
    one = new(front)
    offer = {"sdp": await one.offer(), "type": "offer"}
    async with front.http.post(front.url + "/api/offer", json=offer) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert (await answer.json())["error"]["code"] == "loading"
    models.ready = READY
    await front.exchange.up()
    async with front.http.post(front.url + "/api/offer", json=offer) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "full"
    async with front.http.post(front.url + "/api/offer", data=b"x", headers={"Content-Type": "text/plain"}) as answer:
        assert answer.status == 415


async def preflight(front: Front, url: str, origin: str) -> aiohttp.ClientResponse:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-app"}
    return await front.http.options(front.url + url, headers={"Origin": origin} | asks)


@pytest.mark.parametrize("url", ["/start", "/api/offer", "/sessions/00000000-0000-0000-0000-000000000000/api/offer"])
async def test_pages_of_other_origins_where_only_this_machine_calls(serve: Serve, url: str) -> None:
    front = await serve(server={"host": "127.0.0.1"})
    async with await preflight(front, url, PAGE["Origin"]) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"]
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type,x-app"
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert answer.headers["Vary"] == "Origin"
    async with front.http.post(front.url + url, json={"transport": 5}, headers=PAGE) as answer:
        assert answer.status == 422
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE["Origin"], "the page can read what was wrong"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


async def test_pages_from_afar_do_not_call_a_server_at_home_unless_they_may(serve: Serve) -> None:
    front = await serve(server={"host": "127.0.0.1"})
    for origin in (AFAR["Origin"], "null", "http://localhost.evil.example"):
        async with await preflight(front, "/start", origin) as answer:
            assert answer.status == 403
            assert "Access-Control-Allow-Origin" not in answer.headers
    front = await serve(server={"host": "127.0.0.1", "origins": [AFAR["Origin"]]})
    async with await preflight(front, "/start", AFAR["Origin"]) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == AFAR["Origin"]


async def test_pages_of_other_origins_where_others_call(serve: Serve) -> None:
    front = await serve(server={"host": "0.0.0.0"})
    async with await preflight(front, "/start", PAGE["Origin"]) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert (await answer.json())["error"]["code"] == "forbidden"
    async with await preflight(front, "/start", front.url) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == front.url
    async with front.http.post(front.url + "/start", json={}, headers=PAGE) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_our_own_routes_are_not_for_other_origins(serve: Serve) -> None:
    front = await serve(server={"host": "127.0.0.1"})
    async with await preflight(front, "/offer", PAGE["Origin"]) as answer:
        assert answer.status == 405
        assert "Access-Control-Allow-Origin" not in answer.headers
