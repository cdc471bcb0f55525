"""GET /v1/realtime: OpenAI's stock Python client, and raw sockets, against the real application; scripted models."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.dialogue.scripted import MS_PER_CHAR, ScriptedModels
from tests.media.callers import clip
from tests.server.conftest import Front, Serve
from tests.server.test_websocket import HANDSHAKE
from voxrtc.audio import HEARD_RATE, SPOKEN_RATE, resample, to_pcm16
from voxrtc.endpointing.vad import SileroModel
from voxrtc.media.stream_ears import PATIENCE_S as PATIENCE
from voxrtc.server import carry

PATIENCE_S = 15


def client(front: Front, key: str = "none") -> AsyncOpenAI:
    return AsyncOpenAI(base_url=front.url + "/v1", api_key=key)


def append(speech: np.ndarray) -> list[str]:
    """Speech (n,) at 16 kHz as what input_audio_buffer.append takes, 0.1 s each."""
    data = to_pcm16(resample(speech, HEARD_RATE, SPOKEN_RATE))
    return [base64.b64encode(data[at : at + 4_800]).decode() for at in range(0, len(data), 4_800)]


async def until(connection: AsyncRealtimeConnection, kind: str, told: list[Any] | None = None) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event = await connection.recv()
            if told is not None:
                told.append(event)
            if event.type == kind:
                return event


async def test_a_spoken_turn(serve: Serve, silero: SileroModel) -> None:
    models = ScriptedModels(words=["ask what you can do"], replies=["Yes, of course."])
    front = await serve(models, silero=silero)
    told: list[Any] = []
    async with client(front).realtime.connect(model="any") as connection:
        created = await until(connection, "session.created")
        assert created.session.model == "any"
        speech = np.concatenate([clip("jfk"), np.zeros(2 * HEARD_RATE, np.float32)])
        for audio in append(speech):
            await connection.input_audio_buffer.append(audio=audio)
        await until(connection, "response.done", told)
    kinds = [event.type for event in told]
    for kind in ("input_audio_buffer.speech_started", "input_audio_buffer.committed", "response.output_audio.done"):
        assert kind in kinds
    assert not [kind for kind in kinds if kind.startswith("output_audio_buffer")], "the client plays, and knows it"
    (heard,) = [one for one in told if one.type == "conversation.item.input_audio_transcription.completed"]
    assert heard.transcript == "ask what you can do"
    deltas = [one for one in told if one.type == "response.output_audio.delta"]
    (item,) = [one.item for one in told if one.type == "response.output_item.added"]
    assert {delta.item_id for delta in deltas} == {item.id}
    assert kinds.index("response.output_item.added") < kinds.index("response.output_audio.delta")
    size = sum(len(base64.b64decode(delta.delta)) for delta in deltas) / 2
    assert size == pytest.approx(len("Yes, of course.") * MS_PER_CHAR * SPOKEN_RATE / 1000, rel=0.05)
    await front.exchange.settle(0, waiting=0)  # nobody comes back


async def test_what_is_appended_is_what_is_committed(serve: Serve) -> None:
    """However fast it came, and whatever silence there was before it; of too much, the end."""
    by_hand: Any = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    front = await serve(ScriptedModels(partials=["Ask."] * 3), endpointing={"max_turn_s": 5})
    async with client(front).realtime.connect(model="any") as connection:
        await connection.session.update(session=by_hand)
        await until(connection, "session.updated")
        for sent_s, seconds in ((3, 3.0), (1, 1.0), (7, 5.0)):
            await asyncio.sleep(2 * PATIENCE)  # in which silence flows
            for audio in append(clip("jfk")[: sent_s * HEARD_RATE]):
                await connection.input_audio_buffer.append(audio=audio)
            await connection.input_audio_buffer.commit(event_id=f"commit {sent_s}")
            told: list[Any] = []
            heard = await until(connection, "conversation.item.input_audio_transcription.completed", told)
            assert heard.usage.seconds == pytest.approx(seconds, abs=0.05)
        (cut,) = [one.error for one in told if one.type == "error"]
        assert (cut.code, cut.event_id) == ("turn_cut", "commit 7")


async def test_writing_and_cancelling(serve: Serve) -> None:
    models = ScriptedModels(replies=["One two three four five six seven eight nine ten, and so on and on and on."])
    front = await serve(models)
    async with client(front).realtime.connect(model="any") as connection:
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count!"}]}
        )
        await connection.response.create()
        await until(connection, "response.output_audio.delta")
        await connection.response.cancel()
        told: list[Any] = []
        done = await until(connection, "response.done", told)
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "client_cancelled"
        (cut,) = [one for one in told if one.type == "conversation.item.truncated"]
        assert cut.audio_end_ms >= 0


async def test_errors_have_the_clients_event_id_and_the_call_goes_on(serve: Serve) -> None:
    front = await serve(ScriptedModels(replies=["Yes."]))
    async with client(front).realtime.connect(model="any") as connection:
        await until(connection, "session.created")
        await connection.response.cancel(event_id="mine")
        error = (await until(connection, "error")).error
        assert (error.event_id, error.code) == ("mine", "response_cancel_not_active")
        await connection.input_audio_buffer.append(audio="%%%", event_id="sound")
        error = (await until(connection, "error")).error
        assert (error.event_id, error.code) == ("sound", "invalid_audio")
        await connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And now?"}]}
        )
        await connection.response.create()
        assert (await until(connection, "response.done")).response.status == "completed"


@pytest.mark.parametrize(
    ("data", "says"), [(b"\0\0", "binary"), ("nonsense", "JSON"), ("{" + " " * carry.MAX_FRAME, str(carry.MAX_FRAME))]
)
async def test_what_is_no_event(serve: Serve, data: str | bytes, says: str) -> None:
    front = await serve()
    async with front.http.ws_connect(front.url + "/v1/realtime?model=any") as socket:
        await (socket.send_str(data) if isinstance(data, str) else socket.send_bytes(data))
        async with asyncio.timeout(PATIENCE_S):
            while (told := json.loads((await socket.receive()).data))["type"] != "error":
                pass
    assert says in told["error"]["message"]


async def test_what_comes_with_the_handshake_is_answered_after_the_session_was_created(serve: Serve) -> None:
    front = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    said = [b'{"type":"session.update","session":{}}', b'{"type":"dance"}']
    handshake = HANDSHAKE.replace(b"/ws", b"/v1/realtime?model=any")
    writer.write(handshake + b"".join(bytes([0x81, 0x80 | len(one)]) + bytes(4) + one for one in said))
    await reader.readuntil(b"\r\n\r\n")
    told = []
    async with asyncio.timeout(PATIENCE_S):
        while "error" not in told:
            _, size = await reader.readexactly(2)
            size = int.from_bytes(await reader.readexactly(2), "big") if size == 126 else size
            told.append(json.loads(await reader.readexactly(size))["type"])
    assert told == ["session.created", "session.updated", "error"]
    writer.close()
    await front.exchange.settle(0, waiting=0)


async def test_a_flood_of_nonsense_is_cut_off(serve: Serve) -> None:
    front = await serve()
    async with front.http.ws_connect(front.url + "/v1/realtime?model=any") as socket:
        for _ in range(2 * carry.COMPLAINTS):
            await socket.send_str("nonsense")
        async with asyncio.timeout(PATIENCE_S):
            last = None
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                last = json.loads(message.data)
        assert last is not None
        assert last["error"]["code"] == "bad_messages"
        assert socket.close_code == 1008
    await front.exchange.settle(0, waiting=0)


async def test_client_secrets_in_the_header_and_among_the_protocols(serve: Serve) -> None:
    front = await serve()
    wanted = {"session": {"type": "realtime", "instructions": "Be brief."}}
    async with front.http.post(front.url + "/v1/realtime/client_secrets", json=wanted) as answer:
        key = (await answer.json())["value"]
    async with client(front, key).realtime.connect(model="any") as connection:
        assert (await until(connection, "session.created")).session.instructions == "Be brief."
    named = ("realtime", "openai-insecure-api-key." + key)
    async with front.http.ws_connect(front.url + "/v1/realtime?model=any", protocols=named) as socket:
        assert socket.protocol == "realtime"
        created = json.loads((await socket.receive()).data)
    assert created["session"]["instructions"] == "Be brief."


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", {"Authorization": "Bearer ek_wrong"}, 401),
        ("", {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.ek_wrong"}, 401),
        ("", {"Authorization": "Basic abc"}, 401),
        ("?call_id=one", {}, 400),
    ],
)
async def test_who_is_refused(serve: Serve, query: str, headers: dict[str, str], status: int) -> None:
    front = await serve()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await front.http.ws_connect(front.url + "/v1/realtime" + query, headers=headers)
    assert refused.value.status == status
    assert front.exchange.calls.active == 0


async def test_no_room_and_what_is_no_handshake(serve: Serve) -> None:
    front = await serve(server={"max_calls": 1})
    url = front.url + "/v1/realtime?model=any"
    async with front.http.get(url) as answer:
        assert answer.status == 426
        assert (await answer.json())["error"]["type"] == "invalid_request_error"
    async with front.http.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await front.http.ws_connect(url)
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert "Retry-After" in refused.value.headers


async def test_pages_of_other_origins(serve: Serve) -> None:
    """As for the routes of WebRTC: any page where only this machine reaches the server, else its own."""
    front = await serve(server={"host": "0.0.0.0"})
    url = front.url + "/v1/realtime?model=any"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await front.http.ws_connect(url, headers={"Origin": "https://evil.example"})
    assert refused.value.status == 403
    async with front.http.ws_connect(url, headers={"Origin": front.url}):
        pass
