"""OpenAI's stock client, bundled into a page, calls a real server from Chromium: its own code from first to last.

The tests wait for events alone: what is said is said when it is its turn (pages.py)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.clients.pages import ENERGY, SENT, bundled, installed, page_of
from tests.e2e.conftest import LONG_STORIES
from tests.e2e.running import ROOT, Server
from tests.e2e.speech import apart, error_rate, transcribe
from tests.e2e.test_browser import RECORD, RECORDED

INSTALLED = installed("@openai")
DATA = ROOT / "tests" / "data"

pytestmark = [
    *(pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(300)),
    pytest.mark.skipif(not INSTALLED, reason="no node, or its packages are not installed (make test does it)"),
]

BRIEF = {"instructions": "You are a friendly assistant. Answer in one short sentence."}
FEW = 'session.transport.sendEvent({type: "session.update", session: {type: "realtime", max_output_tokens: 24}})'
BY_HAND = {"audio": {"input": {"turnDetection": None}}}
HEARD = "conversation.item.input_audio_transcription.completed"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled("openai", tmp_path_factory.mktemp("openai"))


async def call(page: Page, server: Server, **options: Any) -> str:
    """Call; the name of the call, as the client has it."""
    name: str = await page.evaluate("([base, options]) => call(base, options)", [server.url, BRIEF | options])
    return name


async def until(page: Page, kind: str, number: int = 1, condition: str = "true") -> dict[str, Any]:
    """The ``number``-th server event of ``kind`` for which the JavaScript ``condition`` over ``e`` holds."""
    found = f"told.filter((e) => e.type === '{kind}' && ({condition}))[{number - 1}]"
    await page.wait_for_function(f"() => {found}", timeout=90_000)
    event: dict[str, Any] = await page.evaluate(f"() => {found}")
    return event


async def speak(page: Page, name: str) -> None:
    """Begin to say a clip."""
    await page.evaluate("(clip) => speak(clip)", f"clips/{name}.wav")


async def grown(page: Page, count: str, by: float) -> None:
    """Until what ``count`` counts is so much more than now."""
    wanted = await page.evaluate(count) + by
    await page.wait_for_function(f"async (wanted) => (await ({count})()) >= wanted", arg=wanted, timeout=90_000)


async def history(page: Page) -> list[dict[str, Any]]:
    """The conversation as the client has it, of its own making."""
    items: list[dict[str, Any]] = await page.evaluate("() => session.history")
    return items


def said(name: str) -> str:
    return (DATA / f"{name}.txt").read_text()


async def test_a_spoken_conversation_of_two_turns(bundle: Path, server: Server, tmp_path: Path) -> None:
    """Both sides can be read, the reply can be heard and is what is shown, hanging up frees everything."""
    before = await server.idle_tasks()
    async with page_of(bundle) as page:
        name = await call(page, server)
        await page.evaluate(FEW)
        assert name
        await page.wait_for_function("() => document.querySelector('audio').srcObject")
        await page.evaluate(RECORD)
        await speak(page, "austen-0880")
        await until(page, "output_audio_buffer.stopped")
        recording = tmp_path / "reply.webm"
        recording.write_bytes(base64.b64decode(await page.evaluate(RECORDED)))
        await speak(page, "austen-0870")
        second = await until(page, HEARD, 2)
        done = await until(page, "response.done", 2)

        first = await until(page, HEARD)
        assert error_rate(said("austen-0880"), first["transcript"]) <= 0.25
        assert error_rate(said("austen-0870"), second["transcript"]) <= 0.25
        items = await history(page)
        assert [item["role"] for item in items] == ["user", "assistant", "user", "assistant"]
        spoken = [item["content"][0]["transcript"] for item in items]
        assert spoken[0] == first["transcript"]
        assert spoken[2] == second["transcript"]
        assert done["response"]["status"] == "completed"
        assert await page.evaluate("() => errors") == []
        await page.evaluate("() => session.close()")
        await server.wait_idle()
    assert apart(spoken[1], await transcribe(recording, tmp_path)) <= 0.25
    assert server.tasks == before


async def test_speaking_over_the_reply_truncates_it(bundle: Path, server: Server) -> None:
    async with page_of(bundle) as page:
        await call(page, server, instructions=LONG_STORIES)
        await speak(page, "austen-0880")
        await until(page, "output_audio_buffer.started")
        await grown(page, ENERGY, 0.003)  # some words
        await speak(page, "jfk")
        cleared = await until(page, "output_audio_buffer.cleared")
        truncated = await until(page, "conversation.item.truncated")
        done = await until(page, "response.done", 1, "e.response.status === 'cancelled'")
        assert done["response"]["id"] == cleared["response_id"]
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert truncated["audio_end_ms"] > 0
        shown = await page.evaluate(
            "(id) => told.filter((e) => e.type === 'response.output_audio_transcript.delta' && e.item_id === id)"
            ".map((e) => e.delta).join('')",
            truncated["item_id"],
        )
        await until(page, "conversation.item.retrieved", 1, f"e.item.id === '{truncated['item_id']}'")
        (kept,) = [item for item in await history(page) if item["itemId"] == truncated["item_id"]]
        heard = kept["content"][0]["transcript"]
        assert 0 < len(heard) < len(shown)
        assert shown.strip().startswith(heard)
        await until(page, HEARD, 1, "e.transcript.toLowerCase().includes('country')")
        await until(page, "response.created", 2)


async def test_writing_updating_and_cancelling(bundle: Path, server: Server) -> None:
    """sendMessage, a session.update in mid-call, interrupt, and an error with the client's own event id."""
    async with page_of(bundle) as page:
        await call(page, server)
        await page.evaluate("() => session.sendMessage('What is your name?')")
        done = await until(page, "response.done")
        assert done["response"]["status"] == "completed"
        assert done["response"]["output"][0]["content"][0]["transcript"]

        await page.evaluate(
            "(instructions) => session.transport.updateSessionConfig({instructions, audio: {output: {voice: 'marin'}, "
            "input: {turnDetection: {type: 'server_vad', threshold: 0.6, silenceDurationMs: 400}}}})",
            LONG_STORIES,
        )
        changed = await until(page, "session.updated", 1, "e.session.audio.input.turn_detection.type === 'server_vad'")
        assert changed["session"]["instructions"] == LONG_STORIES
        assert changed["session"]["audio"]["output"]["voice"] == "marin"
        await page.evaluate("() => session.sendMessage('Tell me about the sea.')")
        await until(page, "output_audio_buffer.started", 2)
        await page.evaluate("() => session.interrupt()")
        cancelled = await until(page, "response.done", 2)
        assert cancelled["response"]["status_details"]["reason"] == "client_cancelled"
        await until(page, "conversation.item.truncated")

        assert await page.evaluate("() => errors") == []
        await page.evaluate(
            "() => session.transport.sendEvent({type: 'conversation.item.delete', item_id: 'none', event_id: 'mine'})"
        )
        error = await until(page, "error")
        assert (error["error"]["event_id"], error["error"]["code"]) == ("mine", "item_not_found")


async def test_push_to_talk(bundle: Path, server: Server) -> None:
    """Nothing is taken for a turn before it is committed, nothing answered before that is asked for."""
    async with page_of(bundle) as page:
        await call(page, server, config=BY_HAND)
        send = "(type) => session.transport.sendEvent({type})"
        await page.evaluate(send, "input_audio_buffer.clear")
        await until(page, "input_audio_buffer.cleared")
        await speak(page, "austen-0880")
        await page.evaluate("() => said")
        await grown(page, SENT, 75)  # so much silence follows it that all of it is there
        assert await page.evaluate("() => told.some((e) => e.type.startsWith('input_audio_buffer.speech'))") is False
        await page.evaluate(send, "input_audio_buffer.commit")
        await until(page, "input_audio_buffer.committed")
        await page.evaluate(send, "response.create")
        heard = await until(page, HEARD)
        assert error_rate(said("austen-0880"), heard["transcript"]) <= 0.25
        done = await until(page, "response.done")
        assert done["response"]["status"] == "completed"
        assert await page.evaluate("() => errors") == []


async def test_a_function_of_the_page_is_called(bundle: Path, qwen: Server) -> None:
    async with page_of(bundle) as page:
        await call(page, qwen, functions=True)
        await page.evaluate("() => session.sendMessage('What is the weather in Madrid right now?')")
        arguments = await until(page, "response.function_call_arguments.done")
        assert arguments["name"] == "weather"
        calling = await until(page, "response.done")
        assert calling["response"]["output"][0]["type"] == "function_call"
        answered = await until(page, "response.done", 2)
        assert await page.evaluate("() => asked") == ["Madrid"]
        transcript = answered["response"]["output"][0]["content"][0]["transcript"]
        assert "31" in transcript or "thirty" in transcript.lower()
        kinds = [item["type"] for item in await history(page)]
        assert kinds == ["message", "function_call", "message"]
        assert await page.evaluate("() => errors") == []
