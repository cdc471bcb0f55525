"""OpenAI's stock Python client talks with a real server over the Realtime API's WebSocket, in real speech."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.e2e.conftest import LONG_STORIES
from tests.e2e.running import ROOT, Server
from tests.e2e.speech import RATE, apart, error_rate, read, transcribe, write
from voxrtc.audio import SPOKEN_RATE, from_pcm16, resample, to_pcm16

pytestmark = [pytest.mark.models, pytest.mark.timeout(300)]

DATA = ROOT / "tests" / "data"
HEARD = "conversation.item.input_audio_transcription.completed"
FRAME_S = 0.1


class Talk:
    """A connection of the client's, with a microphone that is always on and a loudspeaker."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.to = connection
        self.told: list[Any] = []
        self.sound: dict[str, bytes] = {}
        """What came to be played, by item."""
        self._news = asyncio.Condition()
        self.quiet = asyncio.Event()
        """Whether all was said."""
        self._speech: list[bytes] = []
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._speak())]

    def say(self, name: str) -> None:
        """Speak a clip, from now on, at the speed of speech."""
        samples = resample(from_pcm16(read(DATA / f"{name}.wav").tobytes()), RATE, SPOKEN_RATE)
        data, step = to_pcm16(samples), int(FRAME_S * SPOKEN_RATE) * 2
        self.quiet.clear()
        self._speech += [data[at : at + step] for at in range(0, len(data), step)]

    async def until(self, kind: str, number: int = 1, **fields: Any) -> Any:
        """The ``number``-th event of ``kind`` with these fields, of all so far and to come."""

        def found() -> list[Any]:
            return [e for e in self.told if e.type == kind and all(getattr(e, k) == v for k, v in fields.items())]

        async with asyncio.timeout(90), self._news:
            await self._news.wait_for(lambda: len(found()) >= number or self._tasks[0].done())
        assert len(found()) >= number, [event.type for event in self.told]
        return found()[number - 1]

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.told if event.type == kind]

    async def write(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.to.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await self.to.response.create()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended

    async def _listen(self) -> None:
        async for event in self.to:
            if event.type == "response.output_audio.delta":
                self.sound[event.item_id] = self.sound.get(event.item_id, b"") + base64.b64decode(event.delta)
            async with self._news:
                self.told.append(event)
                self._news.notify_all()

    async def _speak(self) -> None:
        silence = to_pcm16(np.random.default_rng(1).normal(0, 8 / 32768, int(FRAME_S * SPOKEN_RATE)))
        due = asyncio.get_running_loop().time()
        while True:
            data = self._speech.pop(0) if self._speech else silence
            if data is silence:
                self.quiet.set()
            await self.to.input_audio_buffer.append(audio=base64.b64encode(data).decode())
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


@asynccontextmanager
async def talking(server: Server, **session: Any) -> AsyncIterator[Talk]:
    """A call with that session."""
    client = AsyncOpenAI(base_url=server.url + "/v1", api_key="any")
    async with client.realtime.connect(model="voxrtc") as connection:
        talk = Talk(connection)
        try:
            await talk.until("session.created")
            await connection.session.update(session={"type": "realtime"} | session)
            await talk.until("session.updated")
            yield talk
        finally:
            await talk.close()


def said(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


async def test_a_spoken_conversation_of_two_turns(server: Server, tmp_path: Path) -> None:
    """Both sides can be read, and what is heard of the reply is what is shown; hanging up frees everything."""
    before = await server.idle_tasks()
    async with talking(server, instructions="Answer in one short sentence.", max_output_tokens=24) as talk:
        for number, name in enumerate(("austen-0880", "austen-0870"), 1):
            talk.say(name)
            heard = await talk.until(HEARD, number)
            assert error_rate(said(name), heard.transcript) <= 0.25
            done = await talk.until("response.done", number)
            assert done.response.status == "completed"
        assert not talk.all("error")
        shown = await talk.until("response.output_audio_transcript.done")
        added = [event.item for event in talk.all("conversation.item.added")]
        assert [item.role for item in added] == ["user", "assistant", "user", "assistant"]
        assert set(talk.sound) == {item.id for item in added if item.role == "assistant"}
        spoken = resample(from_pcm16(talk.sound[shown.item_id]), SPOKEN_RATE, RATE)
    reply = write(tmp_path / "reply.wav", spoken * 32767)
    assert apart(shown.transcript, await transcribe(reply, tmp_path)) <= 0.25
    await server.wait_idle()
    assert server.tasks == before


async def test_speaking_over_the_reply_truncates_it(server: Server) -> None:
    async with talking(server, instructions=LONG_STORIES) as talk:
        talk.say("austen-0880")
        first = await talk.until("response.output_audio.delta")
        await talk.until("response.output_audio.delta", 40)  # it is being heard
        talk.say("jfk")
        done = await talk.until("response.done")
        assert done.response.status == "cancelled"
        assert done.response.status_details.reason == "turn_detected"
        cut = await talk.until("conversation.item.truncated")
        assert cut.item_id == first.item_id
        # What the server says was heard is what came to be played, but for what was on its way.
        played_ms = len(talk.sound[cut.item_id]) / 2 / SPOKEN_RATE * 1000
        assert played_ms - 400 <= cut.audio_end_ms <= played_ms
        # As clients do: they tell how far they have played.
        await talk.to.conversation.item.truncate(item_id=cut.item_id, content_index=0, audio_end_ms=500)
        assert (await talk.until("conversation.item.truncated", 2)).audio_end_ms == 500
        written = "".join(
            e.delta for e in talk.all("response.output_audio_transcript.delta") if e.item_id == cut.item_id
        )
        kept = done.response.output[0].content[0].transcript
        assert 0 < len(kept) < len(written)
        heard = await talk.until(HEARD, 2)
        assert "country" in heard.transcript.lower()
        await talk.until("response.created", 2)
        assert not talk.all("error")


async def test_writing_and_cancelling(server: Server) -> None:
    async with talking(server, instructions="Answer in one short sentence.") as talk:
        await talk.write("What is your name?")
        done = await talk.until("response.done")
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].transcript
        await talk.to.session.update(
            session={
                "type": "realtime",
                "instructions": LONG_STORIES,
                "audio": {
                    "output": {"voice": "marin"},
                    "input": {"turn_detection": {"type": "server_vad", "threshold": 0.6, "silence_duration_ms": 400}},
                },
            }
        )
        changed = (await talk.until("session.updated", 2)).session
        assert (changed.instructions, changed.audio.input.turn_detection.type) == (LONG_STORIES, "server_vad")
        await talk.write("Tell me about the sea.")
        begun = await talk.until("response.created", 2)
        await talk.until("response.output_audio.delta", len(talk.all("response.output_audio.delta")) + 5)
        await talk.to.response.cancel(response_id=begun.response.id)
        cancelled = await talk.until("response.done", 2)
        assert cancelled.response.status_details.reason == "client_cancelled"
        assert not talk.all("error")
        await talk.to.conversation.item.delete(item_id="none", event_id="mine")
        error = (await talk.until("error")).error
        assert (error.event_id, error.code) == ("mine", "item_not_found")


async def test_push_to_talk(server: Server) -> None:
    """Nothing is taken for a turn before it is committed, nothing answered before that is asked for."""
    by_hand = {"input": {"turn_detection": None}}
    async with talking(server, audio=by_hand, instructions="Answer in one short sentence.") as talk:
        await talk.to.input_audio_buffer.clear()
        await talk.until("input_audio_buffer.cleared")
        talk.say("austen-0880")
        await talk.quiet.wait()
        assert not talk.all("input_audio_buffer.speech_started")
        await talk.to.input_audio_buffer.commit()
        committed = await talk.until("input_audio_buffer.committed")
        heard = await talk.until(HEARD, item_id=committed.item_id)
        assert error_rate(said("austen-0880"), heard.transcript) <= 0.25
        assert not talk.all("response.created")
        await talk.to.response.create()
        assert (await talk.until("response.done")).response.status == "completed"
        assert not talk.all("error")


async def test_a_function_of_the_clients_is_called(qwen: Server) -> None:
    weather = {
        "type": "function",
        "name": "weather",
        "description": "The weather in a city right now.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    async with talking(qwen, tools=[weather], instructions="Answer in one short sentence.") as talk:
        await talk.write("What is the weather in Madrid right now?")
        call = await talk.until("response.function_call_arguments.done")
        assert (call.name, "Madrid" in call.arguments) == ("weather", True)
        assert (await talk.until("response.done")).response.output[0].type == "function_call"
        output = '{"celsius": 31, "sky": "clear"}'
        await talk.to.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": output}
        )
        await talk.to.response.create()
        answered = await talk.until("response.done", 2)
        transcript = answered.response.output[0].content[0].transcript
        assert "31" in transcript or "thirty" in transcript.lower()
        assert not talk.all("error")
