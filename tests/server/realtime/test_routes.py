"""OpenAI's Realtime routes over real HTTP, with a stock WebRTC caller."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.calling import Guest
from tests.dialogue.scripted import ScriptedModels
from tests.server.conftest import Front, Serve
from voxrtc.server.realtime import secrets

SDP = {"Content-Type": "application/sdp"}
QUICK: dict[str, Any] = {"asr_s": 0.0, "first_token_s": 0.0, "token_s": 0.0, "voice_s": 0.0, "replies": ["Yes."]}


class Client(Guest):
    """Somebody who speaks the dialect."""

    def __init__(self, front: Front) -> None:
        super().__init__()
        front.exchange.guests.append(self)
        self.channel = self.pc.createDataChannel("oai-events")
        self.channel.on("message", self.messages.put_nowait)


async def body(answer: aiohttp.ClientResponse) -> Any:
    return await answer.json()


async def secret(front: Front, **asked: Any) -> dict[str, Any]:
    async with front.http.post(front.url + "/v1/realtime/client_secrets", json=asked) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
        made: dict[str, Any] = await answer.json()
        return made


async def test_from_a_secret_to_hang_up(serve: Serve) -> None:
    front = await serve(ScriptedModels(**QUICK))
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "You are a pirate."}
    made = await secret(front, session=session, expires_after={"anchor": "created_at", "seconds": 60})
    assert made["value"].startswith("ek_")
    assert made["session"]["instructions"] == "You are a pirate."
    client = Client(front)
    headers = SDP | {"Authorization": f"Bearer {made['value']}"}
    async with front.http.post(front.url + "/v1/realtime/calls", data=await client.offer(), headers=headers) as answer:
        assert (answer.status, answer.content_type) == (201, "application/sdp")
        location = answer.headers["Location"]
        await client.take(await answer.text())
    assert location.startswith("/v1/realtime/calls/")
    created = await client.until("session.created")
    assert created["session"]["instructions"] == "You are a pirate."
    assert created["session"]["model"] == "gpt-realtime"
    client.say(
        type="conversation.item.create", item={"type": "message", "content": [{"type": "input_text", "text": "hi"}]}
    )
    client.say(type="response.create")
    done = await client.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "Yes."
    assert front.exchange.models.answers[0].system.startswith("You are a pirate.")
    async with front.http.post(front.url + location + "/hangup") as gone:
        assert (gone.status, await gone.read()) == (200, b"")
    assert front.exchange.calls.active == 0
    async with front.http.post(front.url + location + "/hangup") as again:
        assert again.status == 404
        assert (await body(again))["error"]["code"] == "call_not_found"


@pytest.mark.parametrize("as_file", [False, True])
async def test_an_offer_with_its_session(serve: Serve, as_file: bool) -> None:
    front = await serve()
    client = Client(front)
    form = aiohttp.FormData()
    session = json.dumps({"type": "realtime", "audio": {"output": {"voice": "espeak"}}})
    form.add_field("sdp", await client.offer(), content_type="application/sdp", filename="offer" if as_file else None)
    form.add_field("session", session, content_type="application/json", filename="session" if as_file else None)
    async with front.http.post(front.url + "/v1/realtime/calls?model=gpt-x", data=form) as answer:
        assert answer.status == 201, await answer.text()
        await client.take(await answer.text())
    created = await client.until("session.created")
    assert created["session"]["audio"]["output"]["voice"] == "espeak"
    assert created["session"]["model"] == "gpt-x"


async def test_the_alias(serve: Serve) -> None:
    front = await serve()
    client = Client(front)
    url = front.url + "/v1/realtime?model=gpt-4o-realtime"
    async with front.http.post(url, data=await client.offer(), headers=SDP | {"Authorization": "Bearer sk-any"}) as one:
        assert one.status == 201
        await client.take(await one.text())
    assert (await client.until("session.created"))["session"]["model"] == "gpt-4o-realtime"


@pytest.mark.parametrize(
    ("path", "headers", "data", "status", "code", "param"),
    [
        ("calls", {"Content-Type": "text/plain"}, "v=0", 415, "unsupported_content_type", None),
        ("calls", SDP, "v=0\r\n", 400, "invalid_offer", "sdp"),
        ("calls", SDP, b"\xff\xfe", 400, "invalid_value", "sdp"),
        ("calls", SDP | {"Content-Encoding": "gzip"}, "v=0", 415, "unsupported_content_type", None),
        ("calls", SDP | {"Authorization": "Bearer ek_nothing"}, "v=0", 401, "invalid_api_key", None),
        ("calls", SDP | {"Authorization": "Basic eDp5"}, "v=0", 401, "invalid_api_key", None),
        ("calls", SDP, "v" * 300_000, 413, "request_entity_too_large", None),
        (
            "calls",
            {"Content-Type": "multipart/form-data; boundary=x"},
            "--x--\r\n",
            400,
            "missing_required_parameter",
            "sdp",
        ),
        ("client_secrets", {"Content-Type": "application/json"}, "{", 400, "bad_request", None),
        ("client_secrets", {"Content-Type": "text/plain"}, "{}", 415, "unsupported_content_type", None),
        (
            "client_secrets",
            {"Content-Type": "application/json"},
            '{"expires_after": {"seconds": 5}}',
            422,
            "unprocessable_entity",
            None,
        ),
        (
            "client_secrets",
            {"Content-Type": "application/json"},
            '{"session": {"voice": "x"}}',
            400,
            "unknown_parameter",
            "session.voice",
        ),
        (
            "client_secrets",
            {"Content-Type": "application/json", "Authorization": "Bearer ek_other"},
            "{}",
            401,
            "invalid_api_key",
            None,
        ),
        ("calls/none/hangup", {}, "", 404, "call_not_found", None),
    ],
)
async def test_errors_are_openais(
    serve: Serve, path: str, headers: dict[str, str], data: Any, status: int, code: str, param: str | None
) -> None:
    front = await serve()
    async with front.http.post(f"{front.url}/v1/realtime/{path}", data=data, headers=headers) as answer:
        assert answer.status == status
        error = (await body(answer))["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_session_that_cannot_be_begins_no_call(serve: Serve) -> None:
    front = await serve()
    for session, code in (
        ("{", "invalid_json"),
        ("[]", "invalid_json"),
        ('"\\ud800"', "invalid_json"),
        ('{"voice": "x"}', "unknown_parameter"),
    ):
        form = aiohttp.FormData({"sdp": "v=0", "session": session}, default_to_multipart=True)
        async with front.http.post(front.url + "/v1/realtime/calls", data=form) as answer:
            assert answer.status == 400
            assert (await body(answer))["error"]["code"] == code
    assert front.exchange.calls.active == 0


async def test_a_full_server_says_when_to_come_back(serve: Serve) -> None:
    front = await serve(server={"max_calls": 1})
    async with front.http.post(front.url + "/v1/realtime/calls", data=await Client(front).offer(), headers=SDP) as one:
        assert one.status == 201
    async with front.http.post(front.url + "/v1/realtime/calls", data=await Client(front).offer(), headers=SDP) as two:
        assert two.status == 503
        assert int(two.headers["Retry-After"]) > 0
        assert (await body(two))["error"] == {
            "type": "server_error",
            "code": "full",
            "message": "all 1 lines are taken; try again in a moment",
            "param": None,
        }


async def test_secrets_expire_and_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    front = await serve()
    monkeypatch.setattr(secrets, "MOST", 2)
    now = secrets.time.time()
    made = [await secret(front, expires_after={"seconds": 10}) for _ in range(2)]
    async with front.http.post(front.url + "/v1/realtime/client_secrets", json={}) as third:
        assert third.status == 429
        assert third.headers["Retry-After"] == "60"
    monkeypatch.setattr(secrets.time, "time", lambda: now + 30)
    headers = SDP | {"Authorization": f"Bearer {made[0]['value']}"}
    async with front.http.post(front.url + "/v1/realtime/calls", data="v=0", headers=headers) as late:
        assert late.status == 401
    await secret(front)


async def test_pages_of_this_machine_may_call(serve: Serve) -> None:
    front = await serve()
    origin = {"Origin": "http://localhost:3000"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for path in ("", "/calls", "/client_secrets", "/calls/x/hangup"):
        async with front.http.options(f"{front.url}/v1/realtime{path}", headers=origin | asked) as answer:
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
            assert "POST" in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    async with front.http.post(front.url + "/v1/realtime/calls", data="v=0", headers=SDP | origin) as wrong:
        assert wrong.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
        assert "Location" in wrong.headers["Access-Control-Expose-Headers"]


async def test_a_call_is_over_with_its_line(serve: Serve) -> None:
    """Its clients do not come back: a call that waited for one would take the place of another that is waited for."""
    front = await serve(dialogue={"resume_s": 3600.0})
    client = Client(front)
    async with front.http.post(front.url + "/v1/realtime/calls", data=await client.offer(), headers=SDP) as answer:
        await client.take(await answer.text())
    await client.until("session.created")
    await client.close()
    await front.exchange.settle(active=0, waiting=0)
