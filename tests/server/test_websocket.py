"""GET /ws: real sockets against the real application and calls; the models are scripted."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, web

from tests.dialogue.scripted import MS_PER_CHAR, ScriptedModels
from tests.media.callers import clip
from tests.server.conftest import Front, Serve
from voxrtc import commands
from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, Samples, resample
from voxrtc.endpointing.vad import SileroModel
from voxrtc.server import carry, messages, websocket
from voxrtc.server.carry import MAX_FRAME

PATIENCE_S = 15
SOON: dict[str, Any] = {"timeout": aiohttp.ClientWSTimeout(ws_close=1.0)}
"""Tests do not wait for goodbyes."""


def pcm(samples: Samples) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def said() -> Samples:
    """Real speech, and the silence in which a caller waits for the reply."""
    return np.concatenate([clip("jfk"), np.zeros(2 * HEARD_RATE, np.float32)])


class Caller:
    """One end of a socket, that keeps what it is told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.told: list[dict[str, Any]] = []
        self.sound: list[bytes] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def next(self) -> dict[str, Any] | None:
        """The next message, None where it was binary."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self.socket.receive()
        if message.type is WSMsgType.BINARY:
            self.sound.append(message.data)
            return None
        assert message.type is WSMsgType.TEXT, (message, self.socket.close_code, self.kinds)
        told = json.loads(message.data)
        self.told.append(told)
        if told["type"] == "audio":
            self.sound.append(base64.b64decode(told["data"], validate=True))
        return told

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        while True:
            told = await self.next()
            if told and told["type"] == kind and all(told[name] == value for name, value in fields.items()):
                return told

    async def closed(self) -> tuple[int | None, str]:
        """The code and the reason that it is closed with; what comes before is told."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.socket.receive()
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING):
                    return self.socket.close_code, message.extra or ""
                if message.type is WSMsgType.TEXT:
                    self.told.append(json.loads(message.data))

    @property
    def kinds(self) -> list[str]:
        return [one["type"] for one in self.told if one["type"] not in ("audio", "state_changed", "reply_spoken")]

    @property
    def heard(self) -> Samples:
        return np.frombuffer(b"".join(self.sound), "<i2").astype(np.float32) / 32768


Dial = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """Opens sockets to a front; closes them after the test."""
    opened: list[Caller] = []

    async def open_one(front: Front, query: str = "", **more: Any) -> Caller:
        caller = Caller(await front.http.ws_connect(f"ws://127.0.0.1:{front.port}/ws{query}", **SOON | more))
        opened.append(caller)
        return caller

    yield open_one
    for caller in opened:
        await caller.socket.close()


# -- a conversation --------------------------------------------------------------------------------------------------


async def test_the_messages_of_the_original_system(serve: Serve, dial: Dial, silero: SileroModel) -> None:
    front = await serve(ScriptedModels(words=["ask what you can do"], replies=["I am so happy!"]), silero=silero)
    caller = await dial(front)
    started = await caller.until("call_started")
    assert started["session"] == started["call"]
    assert started["resume"]
    await caller.say(type="audio", data=base64.b64encode(pcm(said())).decode())
    heard = await caller.until("transcription", final=True)
    assert heard["text"] == "ask what you can do"
    assert heard["confidence"] == 0.9
    assert heard["timestamp"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(heard["timestamp"])).total_seconds()) < 60
    emotion = await caller.until("emotion")
    assert (emotion["emotion"], emotion["reply"], emotion["clause"]) == ("happy", 1, 0)
    assert 0.5 <= emotion["intensity"] <= 2
    response = await caller.until("response")
    assert response["text"].strip() == "I am so happy!"
    metrics = await caller.until("metrics")
    assert metrics["voice_to_voice_ms"] > 0
    ended = await caller.until("reply_ended")
    assert ended["ended"] == "finished"
    want = len("I am so happy!") * MS_PER_CHAR * SPOKEN_RATE / 1000
    assert caller.heard.size == pytest.approx(want, rel=0.05)
    assert np.abs(caller.heard).max() == pytest.approx(0.1, rel=0.01)
    await caller.say(type="hangup")
    assert (await caller.closed())[0] == 1000
    assert caller.told[-1]["type"] == "call_ended"


@pytest.mark.parametrize("rate", [8_000, 48_000])
async def test_binary_frames_both_ways_at_a_rate_of_the_callers(
    serve: Serve, dial: Dial, silero: SileroModel, rate: int
) -> None:
    models = ScriptedModels(words=["ask what you can do"])
    front = await serve(models, silero=silero)
    caller = await dial(front)
    await caller.say(type="config", sample_rate=rate, binary=True)
    speech = pcm(resample(said(), HEARD_RATE, rate))
    for start in range(0, len(speech), rate // 5):
        await caller.socket.send_bytes(speech[start : start + rate // 5])
    await caller.until("reply_ended", ended="finished")
    assert "audio" not in [one["type"] for one in caller.told]
    assert caller.heard.size > SPOKEN_RATE
    asked = models.heard_samples().size / HEARD_RATE
    assert asked == pytest.approx(clip("jfk").size / HEARD_RATE, abs=2.0)
    await caller.say(type="config", binary=False)
    await caller.say(type="text", text="Once more.")
    await caller.until("audio")


async def test_who_types_is_answered_before_anything_is_heard(serve: Serve, dial: Dial) -> None:
    models = ScriptedModels(replies=["Yes."], first_token_s=0.0, token_s=0.0, voice_s=0.0)
    caller = await dial(await serve(models))
    await caller.say(type="text", text="Quick!")
    metrics = await caller.until("metrics")
    assert 0 <= metrics["voice_to_voice_ms"] < 5_000
    await caller.until("reply_ended", ended="finished")


async def test_text_config_and_interrupt(serve: Serve, dial: Dial) -> None:
    models = ScriptedModels(replies=["One two three four five six seven eight nine ten, and so on and on and on."])
    caller = await dial(await serve(models))
    await caller.say(type="config", language="de", voice="espeak", instructions="Be a pirate.", sample_rate=16_000)
    await caller.say(type="text", text="Count!")
    await caller.until("audio")
    assert models.answers[-1].language == "de"
    await caller.say(type="interrupt")
    await caller.until("clear")
    await caller.until("interrupted")
    ended = await caller.until("reply_ended", ended="interrupted")
    assert ended["text"] != models.replies[0]
    await caller.say(type="export_memory")
    assert "Count!" in (await caller.until("memory_exported"))["memory"]
    assert "error" not in caller.kinds


async def test_a_caller_who_comes_back(serve: Serve, dial: Dial) -> None:
    front = await serve()
    caller = await dial(front)
    token = (await caller.until("call_started"))["resume"]
    await caller.say(type="text", text="Remember me.")
    await caller.until("reply_ended")
    await caller.socket.close()
    again = await dial(front, f"?resume={token}&silent_ms=100")
    started = await again.until("call_started", resumed=True)
    assert started["resume"] == token
    await again.until("response")  # what it may have missed
    moved = await dial(front, f"?resume={token}")
    assert (await again.closed()) == (1000, "moved")
    assert again.told[-1]["type"] == "call_moved"
    await moved.say(type="export_memory")
    assert "Remember me." in (await moved.until("memory_exported"))["memory"]


# -- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("not json", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"type": "dance"}', "dance"),
        ('{"text": "no type"}', "type"),
        ('{"type": "audio"}', "base64"),
        ('{"type": "audio", "data": "%%%%"}', "base64"),
        ('{"type": "audio", "data": 7}', "base64"),
        ('{"type": "audio", "data": "QUJD"}', "odd"),
        ('{"type": "text", "text": ""}', "text"),
        ('{"type": "text", "text": "' + "a" * 70_000 + '"}', "65536"),
        ('{"type": "config", "sample_rate": 7000}', "sample_rate"),
        ('{"type": "config", "sample_rate": true}', "sample_rate"),
        ('{"type": "config", "sample_rate": "16000"}', "sample_rate"),
        ('{"type": "config", "binary": 1}', "binary"),
        ('{"type": "config", "colour": "red"}', "colour"),
        ('{"type": "text", "text": "Be brief.", "role": "system", "respond": true}', "respond"),
        (b"abc", "odd"),
        (b"\0" * (MAX_FRAME + 2), str(MAX_FRAME)),
    ],
)
async def test_what_is_not_understood_is_told_and_the_call_goes_on(
    serve: Serve, dial: Dial, message: str | bytes, says: str
) -> None:
    caller = await dial(await serve(ScriptedModels(replies=["Yes."])))
    if isinstance(message, str):
        await caller.socket.send_str(message)
    else:
        await caller.socket.send_bytes(message)
    error = await caller.until("error")
    assert error["code"] == "bad_message"
    assert says in error["message"]
    await caller.say(type="text", text="And now?")
    await caller.until("reply_ended", ended="finished")


async def test_a_setting_that_cannot_be(serve: Serve, dial: Dial) -> None:
    caller = await dial(await serve())
    await caller.say(type="config", voice="nobody")
    assert (await caller.until("error"))["code"] == "bad_config"


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\n\r\n"
)


async def test_a_message_that_no_memory_is_spent_on(serve: Serve) -> None:
    """Its length alone is enough to be closed with 1009."""
    front = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(bytes([0x82, 0xFF]) + (websocket.MAX_BYTES + 1).to_bytes(8, "big") + bytes(4))
    async with asyncio.timeout(PATIENCE_S):
        assert b"\x03\xf1" in await reader.read()
    writer.close()
    await front.exchange.settle(0, waiting=1)


async def test_what_comes_with_the_handshake_is_answered_after_the_call_has_begun(serve: Serve) -> None:
    """In the order in which it came."""
    front = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    said = [b'{"type":"dance"}', b'{"type":"config","voice":"nobody"}', b'{"type":"sing"}', b'{"type":"export_memory"}']
    writer.write(HANDSHAKE + b"".join(bytes([0x81, 0x80 | len(one)]) + bytes(4) + one for one in said))
    await reader.readuntil(b"\r\n\r\n")
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not told or told[-1]["type"] != "memory_exported":
            _, size = await reader.readexactly(2)
            size = int.from_bytes(await reader.readexactly(2), "big") if size == 126 else size
            told.append(json.loads(await reader.readexactly(size)))
    assert told[0]["type"] == "call_started"
    assert [one["code"] for one in told if one["type"] == "error"] == ["bad_message", "bad_config", "bad_message"]
    writer.close()
    await front.exchange.settle(0, waiting=1)


async def test_each_message_is_read_once(serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []

    def decode(message: str | bytes) -> dict[str, Any]:
        counted.append(message)
        return commands.decode(message)

    monkeypatch.setattr(messages, "decode", decode)
    caller = await dial(await serve())
    await caller.until("call_started")
    await caller.say(type="export_memory")
    await caller.until("memory_exported")
    assert len(counted) == 1


async def test_a_flood_of_nonsense_is_cut_off(serve: Serve, dial: Dial) -> None:
    front = await serve()
    caller = await dial(front)
    for _ in range(2 * carry.COMPLAINTS):
        await caller.socket.send_str("nonsense")
    code, reason = await caller.closed()
    assert (code, reason) == (1008, "Too many messages were not understood.")
    assert caller.told[-1]["code"] == "bad_messages"
    await front.exchange.settle(0, waiting=0)


async def test_a_flood_of_sound_is_read_at_its_pace(
    serve: Serve, dial: Dial, silero: SileroModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's buffers fill up, and the sender waits."""
    monkeypatch.setattr(carry, "BURST", 65_536)
    monkeypatch.setattr(carry, "PER_SECOND", 65_536)
    front = await serve(silero=silero)
    caller = await dial(front)
    await caller.until("call_started")
    sending = asyncio.create_task(_flood(caller))
    done, _ = await asyncio.wait({sending}, timeout=1.5)
    assert not done, "32 MiB were read"
    other = await dial(front)
    await other.say(type="text", text="Am I heard?")
    await other.until("reply_ended", ended="finished")
    sending.cancel()
    await asyncio.wait({sending})


async def _flood(caller: Caller) -> None:
    for _ in range(512):
        await caller.socket.send_bytes(b"\0" * 65_536)


async def test_a_caller_who_does_not_read(serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "SEND_S", 0.3)
    front = await serve(ScriptedModels(replies=["La la la la la la la la la la la la. " * 10]))
    upgradable = websocket.upgradable

    def narrow(request: web.Request) -> web.WebSocketResponse:
        """The kernel would keep 4 MB, which is a minute of sound."""
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return upgradable(request)

    monkeypatch.setattr(websocket, "upgradable", narrow)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", front.port))
        connection.sendall(HANDSHAKE)
        text = json.dumps({"type": "text", "text": "Sing!"}).encode()
        connection.sendall(bytes([0x81, 0x80 | len(text)]) + bytes(4) + text)
        await front.exchange.settle(1, waiting=0)
        await front.exchange.settle(0, waiting=1)


async def test_a_caller_who_is_not_there_any_more(serve: Serve, dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "HEARTBEAT_S", 0.2)
    front = await serve()
    caller = await dial(front, autoping=False)
    await front.exchange.settle(0, waiting=1)  # it never answered a ping
    await caller.closed()


async def test_a_connection_that_breaks(serve: Serve, dial: Dial) -> None:
    front = await serve()
    caller = await dial(front)
    await caller.until("call_started")
    assert front.exchange.calls.active == 1
    connection = caller.socket._response.connection
    assert connection is not None
    connection.transport.abort()
    await front.exchange.settle(0, waiting=1)


# -- who may, and when -----------------------------------------------------------------------------------------------


async def test_no_room(serve: Serve, dial: Dial) -> None:
    front = await serve(server={"max_calls": 1})
    caller = await dial(front)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dial(front)
    assert refused.value.status == 503
    assert refused.value.headers is not None
    assert int(refused.value.headers["Retry-After"]) > 0
    assert front.exchange.counted("voxrtc_offers_refused_total", code="full") == 1
    await caller.say(type="hangup")
    await caller.closed()
    await front.exchange.settle(0)
    await dial(front)


async def test_models_that_are_not_ready(serve: Serve, dial: Dial) -> None:
    models = ScriptedModels(ready=None)
    front = await serve(models, warm=False)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dial(front)
    assert refused.value.status == 503


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
async def test_pages_of_other_origins_are_refused(serve: Serve, dial: Dial, origin: str) -> None:
    front = await serve()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dial(front, headers={"Origin": origin})
    assert refused.value.status == 403
    assert front.exchange.calls.active == 0


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_pages_of_our_own_are_not(serve: Serve, dial: Dial, scheme: str) -> None:
    """Also behind a proxy that takes off the TLS."""
    front = await serve()
    caller = await dial(front, headers={"Origin": f"{scheme}://127.0.0.1:{front.port}"})
    await caller.until("call_started")


async def test_what_is_no_handshake(serve: Serve) -> None:
    front = await serve()
    async with front.http.get(front.url + "/ws") as answer:
        assert answer.status == 426
        assert (await answer.json())["error"]["code"] == "upgrade_required"
    async with front.http.post(front.url + "/ws") as answer:
        assert answer.status == 405
    assert front.exchange.calls.active == front.exchange.calls.waiting == 0


@pytest.mark.parametrize("silent", ["-1", "soon", "inf", "nan"])
async def test_a_silence_that_is_none(serve: Serve, dial: Dial, silent: str) -> None:
    front = await serve()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dial(front, f"?silent_ms={silent}")
    assert refused.value.status == 422


async def test_the_end_of_the_server(serve: Serve, dial: Dial) -> None:
    front = await serve()
    caller = await dial(front)
    await caller.until("call_started")
    closing = asyncio.create_task(front.exchange.calls.close())
    assert await caller.closed() == (1001, "shutdown")
    assert caller.told[-1]["type"] == "call_ended"
    await closing


@pytest.mark.parametrize(
    ("over", "gone", "code"),
    [
        ("shutdown", "closed", 1001),
        ("hangup", "closed", 1000),
        ("expired", "closed", 1000),
        ("moved", "closed", 1000),
        ("error", "closed", 1011),
        (None, "closed", 1013),
        (None, "hangup", 1000),
        (None, "lost", 1008),
        (None, "error", 1008),
    ],
)
def test_codes_of_the_end(over: str | None, gone: Any, code: int) -> None:
    assert websocket.closing(over, gone, "why")[0] == code
