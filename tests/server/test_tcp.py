"""The TCP port: real sockets against real calls; the models are scripted."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from tests.calling import Exchange
from tests.conftest import Open
from tests.dialogue.scripted import ScriptedModels
from tests.media.callers import clip
from voxrtc.audio import HEARD_RATE
from voxrtc.endpointing.vad import SileroModel
from voxrtc.server import carry, tcp
from voxrtc.server.carry import MAX_FRAME
from voxrtc.server.tcp import TcpPort

PATIENCE_S = 15


class Caller:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.told: list[dict[str, Any]] = []
        self.sound = b""

    def say(self, **message: Any) -> None:
        self.send(json.dumps(message).encode())

    def send(self, data: bytes) -> None:
        self.writer.write(len(data).to_bytes(4, "big") + data)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            size = int.from_bytes(await self.reader.readexactly(4), "big")
            told: dict[str, Any] = json.loads(await self.reader.readexactly(size))
        self.told.append(told)
        if told["type"] == "audio":
            self.sound += base64.b64decode(told["data"])
        return told

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        while True:
            told = await self.next()
            if told["type"] == kind and all(told[name] == value for name, value in fields.items()):
                return told

    async def closed(self) -> list[dict[str, Any]]:
        """Wait for the end; returns what was told before it."""
        told = []
        try:
            while True:
                told.append(await self.next())
        except (asyncio.IncompleteReadError, ConnectionError):
            return told


class Port:
    """A port, and the calls behind it."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.tcp = TcpPort(exchange.settings, exchange.calls, exchange.metrics)
        self.number = 0
        self.callers: list[Caller] = []

    async def dial(self) -> Caller:
        self.callers.append(Caller(*await asyncio.open_connection("127.0.0.1", self.number)))
        return self.callers[-1]


Listen = Callable[..., Awaitable[Port]]


@pytest.fixture
async def listen(exchange: Open) -> AsyncIterator[Listen]:
    """Opens ports; closes them, in the order of the server's end."""
    ports: list[Port] = []

    async def start(models: ScriptedModels | None = None, **sections: Any) -> Port:
        ports.append(Port(exchange(models, **sections)))
        ports[-1].number = await ports[-1].tcp.open()
        return ports[-1]

    yield start
    for port in ports:
        await port.exchange.calls.close()
        await port.tcp.close()
        for caller in port.callers:
            caller.writer.transport.abort()


async def test_a_conversation(listen: Listen, silero: SileroModel) -> None:
    port = await listen(ScriptedModels(words=["ask what you can do"], replies=["I am so happy!"]), silero=silero)
    caller = await port.dial()
    speech = np.concatenate([clip("jfk"), np.zeros(2 * HEARD_RATE, np.float32)])
    data = (speech * 32767).astype("<i2").tobytes()
    for start in range(0, len(data), 32_000):
        caller.say(type="audio", data=base64.b64encode(data[start : start + 32_000]).decode())
    started = await caller.until("call_started")
    assert (started["session"], bool(started["resume"])) == (started["call"], True)
    assert (await caller.until("transcription", final=True))["text"] == "ask what you can do"
    assert (await caller.until("emotion"))["emotion"] == "happy"
    assert (await caller.until("response"))["text"].strip() == "I am so happy!"
    await caller.until("reply_ended", ended="finished")
    assert len(caller.sound) > 24_000
    caller.say(type="hangup")
    assert (await caller.closed())[-1]["reason"] == "hangup"


async def test_a_caller_who_comes_back_and_one_with_a_memory(listen: Listen) -> None:
    port = await listen(ScriptedModels(replies=["Yes."]))
    caller = await port.dial()
    caller.say(type="text", text="Remember the quince.")
    token = (await caller.until("call_started"))["resume"]
    await caller.until("reply_ended")
    caller.say(type="export_memory")
    memory = (await caller.until("memory_exported"))["memory"]
    caller.writer.close()
    await port.exchange.settle(0, waiting=1)
    again = await port.dial()
    again.say(type="hello", resume=token, silent_ms=100)
    assert (await again.until("call_started"))["resumed"] is True
    other = await port.dial()
    other.say(type="hello", memory=memory)
    assert (await other.until("call_started"))["resumed"] is False
    other.say(type="export_memory")
    assert "quince" in (await other.until("memory_exported"))["memory"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{}", "type"),
        (b'{"type": "hello"}', "hello"),
        (b'{"type": "config", "binary": true}', "WebSocket"),
        (b'{"type": "audio", "data": "QUJD"}', "odd"),
        (b" " * (MAX_FRAME + 1), str(MAX_FRAME)),
    ],
)
async def test_what_is_not_understood_is_told_and_the_call_goes_on(listen: Listen, data: bytes, says: str) -> None:
    port = await listen(ScriptedModels(replies=["Yes."]))
    caller = await port.dial()
    caller.say(type="hello")
    await caller.until("call_started")
    caller.send(data)
    error = await caller.until("error", code="bad_message")
    assert says in error["message"]
    caller.say(type="text", text="And now?")
    await caller.until("reply_ended", ended="finished")


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (b"GET / HTTP", "bad_message", "not JSON"),
        (b"\xff", "bad_message", "not UTF-8"),
        (b'{"type": "hello", "colour": "red"}', "bad_message", "colour"),
        (b'{"type": "hello", "silent_ms": -1}', "bad_message", "silent_ms"),
        (b'{"type": "hello", "memory": "nonsense"}', "bad_memory", "memory"),
        (b" " * (MAX_FRAME + 1), "bad_message", str(MAX_FRAME)),
    ],
)
async def test_a_first_message_that_begins_no_call(listen: Listen, data: bytes, code: str, says: str) -> None:
    port = await listen()
    caller = await port.dial()
    caller.send(data)
    (told,) = await caller.closed()
    assert (told["type"], told["code"]) == ("error", code)
    assert says in told["message"]
    assert port.exchange.calls.active == port.exchange.calls.waiting == 0


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ({"type": "dance"}, "dance"),
        ({"type": "audio", "data": "%"}, "base64"),
        ({"type": "audio", "data": "\u00e9"}, "base64"),
        ({"type": "config", "binary": True}, "WebSocket"),
        ({"type": "text", "text": "x" * 70_000}, "65536"),
    ],
)
async def test_a_first_message_that_is_wrong_is_told_of_once_the_call_has_begun(
    listen: Listen, first: dict[str, Any], says: str
) -> None:
    port = await listen()
    caller = await port.dial()
    caller.say(**first)
    caller.say(type="config", voice="nobody")
    assert says in (await caller.until("error"))["message"]
    await caller.until("error", code="bad_config")
    assert caller.told[0]["type"] == "call_started"


async def test_a_message_that_no_memory_is_spent_on(listen: Listen) -> None:
    """Such as anything that is spoken on this port but is not this."""
    port = await listen()
    caller = await port.dial()
    caller.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await caller.closed() == []
    caller = await port.dial()
    caller.say(type="hello")
    await caller.until("call_started")
    caller.writer.write((tcp.MAX_BYTES + 1).to_bytes(4, "big"))
    await caller.closed()
    await port.exchange.settle(0, waiting=1)


async def test_callers_who_say_nothing(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "FIRST_S", 0.2)
    monkeypatch.setattr(tcp, "FRAME_S", 0.2)
    port = await listen()
    silent, slow, gone = [await port.dial() for _ in range(3)]
    slow.writer.write(b"\0\0\0\x10{")
    gone.writer.close()
    assert await silent.closed() == await slow.closed() == []
    assert port.exchange.calls.active == 0
    talks = await port.dial()
    talks.say(type="hello")
    await talks.until("call_started")
    talks.writer.write(b"\0\0\0\x10{")
    await talks.closed()
    await port.exchange.settle(0, waiting=1)


async def test_no_room(listen: Listen) -> None:
    port = await listen(server={"max_calls": 1})
    caller = await port.dial()
    caller.say(type="hello")
    await caller.until("call_started")
    other = await port.dial()
    other.say(type="hello")
    (told,) = await other.closed()
    assert (told["type"], told["code"]) == ("error", "full")
    idle = await port.dial()
    third = await port.dial()
    (told,) = await third.closed()
    assert (told["code"], told["message"]) == ("full", "too many connections; try again in a moment")
    idle.writer.close()


async def test_models_that_are_not_ready(listen: Listen) -> None:
    port = await listen(ScriptedModels(ready=None))
    caller = await port.dial()
    caller.say(type="hello")
    assert (await caller.closed())[0]["code"] == "loading"


async def test_a_flood_of_nonsense_is_cut_off(listen: Listen) -> None:
    port = await listen()
    caller = await port.dial()
    caller.say(type="hello")
    for _ in range(2 * carry.COMPLAINTS):
        caller.send(b"nonsense")
    assert (await caller.closed())[-1]["code"] == "bad_messages"
    await port.exchange.settle(0, waiting=0)


async def test_a_connection_that_breaks_in_the_middle_of_a_message(listen: Listen) -> None:
    port = await listen()
    caller = await port.dial()
    caller.say(type="hello")
    await caller.until("call_started")
    caller.writer.write(b"\0\0\1\0{")
    caller.writer.close()
    await port.exchange.settle(0, waiting=1)


async def test_the_end_of_the_server(listen: Listen) -> None:
    port = await listen()
    caller, idle = await port.dial(), await port.dial()
    caller.say(type="hello")
    await caller.until("call_started")
    await port.exchange.calls.close()
    assert (await caller.closed())[-1]["reason"] == "shutdown"
    await port.tcp.close()
    assert await idle.closed() == []
    with pytest.raises(OSError):
        await port.dial()


async def test_tcp_looks_after_itself(listen: Listen) -> None:
    port = await listen()
    caller = await port.dial()
    connection = caller.writer.get_extra_info("socket")
    tcp._watch(connection)
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == tcp.PROBE_S
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2_000 * tcp.PROBE_S
