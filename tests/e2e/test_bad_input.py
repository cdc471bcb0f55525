"""What a server must shrug off: wrong requests, strange offers, callers that vanish. Other calls go on unharmed."""

import asyncio
import json
import re
import sys

import aiohttp
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from tests.e2e.running import ROOT, Server
from tests.e2e.test_calls import connect, hang_up

pytestmark = [pytest.mark.models, pytest.mark.timeout(180)]


async def offer_of(**kinds: str) -> str:
    """A real offer with the given lines (audio="sendrecv", video="recvonly")."""
    caller = RTCPeerConnection()
    for kind, direction in kinds.items():
        caller.addTransceiver(kind, direction=direction)
    if not kinds:
        caller.createDataChannel("voxrtc")
    await caller.setLocalDescription(await caller.createOffer())
    sdp = caller.localDescription.sdp
    await caller.close()
    return sdp


async def post(url: str, body: bytes | str, content_type: str = "application/json") -> tuple[int, dict]:
    async with aiohttp.ClientSession() as http:
        answer = await http.post(url + "/offer", data=body, headers={"Content-Type": content_type})
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("body", "content_type", "status", "says"),
    [
        (b"{", "application/json", 400, "JSON"),
        (b"\xff\xfe", "application/json", 400, "JSON"),
        (b"[]", "application/json", 422, "object"),
        (b"{}", "application/json", 422, "sdp"),
        (b'{"sdp": 1, "type": "offer"}', "application/json", 422, "sdp"),
        (b'{"sdp": "", "type": "answer"}', "application/json", 422, "answer"),
        (b'{"sdp": "", "type": "offer"}', "application/json", 422, ""),
        (b'{"sdp": "hello", "type": "offer"}', "application/json", 422, ""),
        (b"v=0", "application/sdp", 415, "application/json"),
        (json.dumps({"sdp": "v=0\r\n" * 200_000, "type": "offer"}).encode(), "application/json", 413, ""),
    ],
    ids=["cut", "bytes", "list", "empty", "number", "answer", "nothing", "no-sdp", "not-json", "one-megabyte"],
)
async def test_wrong_bodies(server: Server, body: bytes, content_type: str, status: int, says: str) -> None:
    got, answer = await post(server.url, body, content_type)
    assert got == status
    assert says in answer["error"]["message"]
    assert answer["error"]["code"]
    assert server.health["calls"] == 0


async def test_an_offer_without_audio(server: Server) -> None:
    for sdp in (await offer_of(), await offer_of(video="sendrecv")):
        status, answer = await post(server.url, json.dumps({"sdp": sdp, "type": "offer"}))
        assert status == 422
        assert "audio" in answer["error"]["message"]


async def test_an_offer_with_an_unknown_codec_only(server: Server) -> None:
    sdp = re.sub(r"opus/48000/2", "mystery/48000/2", await offer_of(audio="sendrecv"))
    sdp = re.sub(r"(PCMU|PCMA|G722)/8000", r"x-\1/8000", sdp)
    status, answer = await post(server.url, json.dumps({"sdp": sdp, "type": "offer"}))
    assert status == 422
    assert "opus" in answer["error"]["message"].lower()


async def test_requests_for_calls_that_are_not(server: Server) -> None:
    async with aiohttp.ClientSession() as http:
        for answer in (
            await http.delete(server.url + "/offer/nobody"),
            await http.patch(server.url + "/offer/nobody", json={"candidates": []}),
        ):
            assert answer.status == 404
            assert (await answer.json())["error"]["code"] == "unknown_call"
        missing = await http.get(server.url + "/nothing-here")
        assert missing.status == 404
        wrong = await http.get(server.url + "/offer")
        assert wrong.status in (404, 405)
        outside = await http.get(server.url + "/../pyproject.toml")
        assert outside.status == 404


async def test_bad_candidates(server: Server) -> None:
    caller = RTCPeerConnection()
    caller.addTransceiver("audio", direction="sendrecv")
    session = await connect(caller, server.url)
    async with aiohttp.ClientSession() as http:
        url = f"{server.url}/offer/{session}"
        good = {"candidate": "candidate:1 1 udp 2130706431 127.0.0.1 9 typ host", "sdp_mid": "0"}
        for body, status in (
            ({"candidates": [good]}, 204),
            ({"candidates": [{"candidate": ""}]}, 204),
            ({"candidates": [{"candidate": "x y z", "sdp_mid": "0"}]}, 422),
            ({"candidates": [good] * 100}, 422),
            ({"candidates": good}, 422),
        ):
            assert (await http.patch(url, json=body)).status == status, body
    await hang_up(server.url, session)
    await caller.close()
    await server.wait_idle()


async def test_messages_that_are_not_understood(server: Server) -> None:
    """Each gets a notice; the call goes on."""
    caller = RTCPeerConnection()
    channel = caller.createDataChannel("voxrtc")
    caller.addTransceiver("audio", direction="recvonly")
    events: asyncio.Queue[dict] = asyncio.Queue()
    channel.on("message", lambda message: events.put_nowait(json.loads(message)))
    session = await connect(caller, server.url)

    async def until(kind: str) -> dict:
        async with asyncio.timeout(30):
            while (event := await events.get())["type"] != kind:
                pass
            return event

    await until("call_started")
    for message in ("{", "[]", "7", '{"type": "sing"}', '{"type": "text", "text": ""}', b"\x00\x01", "x" * 60_000):
        channel.send(message)
        assert (await until("notice"))["code"] == "bad_message"
    channel.send('{"type": "config", "language": "tlh"}')
    assert (await until("notice"))["code"] == "unsupported_language"
    channel.send('{"type": "text", "text": "Good morning."}')
    await until("reply_started")
    channel.send('{"type": "hangup"}')
    assert (await until("call_ended"))["reason"] == "hangup"
    await server.wait_idle()
    await caller.close()
    assert session


async def test_callers_that_are_killed_at_every_stage(server: Server) -> None:
    """After the answer, once connected, in mid-reply: no goodbye on any protocol, and yet nothing stays."""
    before = await server.idle_tasks()
    for stage in ("answered", "connected", "replying"):
        caller = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.e2e.vanishing", server.url, stage), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        assert caller.stdout is not None
        async with asyncio.timeout(60):
            assert await caller.stdout.readline() == b"there\n"
        caller.kill()
        await caller.wait()
    await server.wait_idle(60)
    assert server.tasks == before


async def test_other_calls_go_on_while_offers_fail(server: Server) -> None:
    caller = RTCPeerConnection()
    caller.addTransceiver("audio", direction="recvonly")
    session = await connect(caller, server.url)
    for _ in range(20):
        await post(server.url, b'{"sdp": "junk", "type": "offer"}')
    assert server.health["calls"] == 1
    assert caller.connectionState == "connected"
    await hang_up(server.url, session)
    await caller.close()


def test_descriptions_are_real() -> None:
    """The helpers above make what they say."""
    sdp = asyncio.run(offer_of(audio="sendrecv"))
    assert "opus/48000/2" in sdp
    assert RTCSessionDescription(sdp, "offer").type == "offer"
