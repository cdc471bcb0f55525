"""pipecat's stock client, bundled into a page, calls a real server from Chromium: its own code from first to last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.clients.pages import ENERGY, bundled, installed, page_of
from tests.e2e.conftest import LONG_STORIES
from tests.e2e.running import ROOT, Server, start, stop
from tests.e2e.speech import error_rate

INSTALLED = installed("@pipecat-ai")
pytestmark = [
    *(pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(240)),
    pytest.mark.skipif(not INSTALLED, reason="no node, or its packages are not installed (make test does it)"),
]

FAIL = """
() => {
  const pc = window.peers.at(-1);
  Object.defineProperty(pc, "iceConnectionState", { get: () => "failed" });
  pc.dispatchEvent(new Event("iceconnectionstatechange"));
}
"""
"""What the client sees when its network has gone: it makes another connection by itself."""

HEAR_AGAIN = """
() => {
  const track = window.peers.at(-1).getReceivers()[0].track;
  document.querySelector("audio").srcObject = new MediaStream([track]);
}
"""
"""The client does not tell of the new connection's track: as the old one ends it forgets both (1.10.8)."""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled("pipecat", tmp_path_factory.mktemp("pipecat"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose replies are long enough to be interrupted."""
    server = start(tmp_path_factory.mktemp("server"), DIALOGUE__SYSTEM_PROMPT=LONG_STORIES)
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


@pytest.fixture
def data() -> Path:
    return ROOT / "tests" / "data"


def opened(bundle: Path) -> AbstractAsyncContextManager[Page]:
    # The client's media manager may still be starting its recorder as it is disconnected.
    return page_of(bundle, pardoned="getAudioTracks")


async def call(page: Page, server: Server) -> dict[str, Any]:
    """Start a session as pipecat's documentation has it; what the bot said of itself."""
    return await page.evaluate(
        """(endpoint) => client.startBotAndConnect(
            {endpoint, requestData: {transport: "webrtc", enableDefaultIceServers: true, body: {}}})""",
        server.url + "/start",
    )


async def until(page: Page, event: str, condition: str = "true", seconds: float = 60) -> dict[str, Any]:
    """The first event of that name for whose data ``d`` the JavaScript ``condition`` holds."""
    found = f"told.find(({{event, data: d}}) => event === '{event}' && ({condition}))"
    await page.wait_for_function(f"() => {found}", timeout=seconds * 1000)
    return (await page.evaluate(f"() => {found}"))["data"]


async def all_of(page: Page, event: str) -> list[Any]:
    return [one["data"] for one in await page.evaluate("() => told") if one["event"] == event]


async def raw(page: Page, kind: str) -> list[dict[str, Any]]:
    """The messages of that type that came, data or none; some of them the client keeps to itself."""
    return [m.get("data") or {} for m in await page.evaluate("() => window.came") if m["type"] == kind]


async def came(page: Page, kind: str, condition: str = "true") -> None:
    """Until a message of that type has come for whose data ``d`` the condition holds."""
    await page.wait_for_function(
        f"() => came.some(({{type, data: d}}) => type === '{kind}' && ({condition}))", timeout=60_000
    )


def check_segments(outputs: list[dict[str, Any]]) -> None:
    """Each segment is new first, goes on, and may be completed; what is said and what is not are all of its text."""
    segments: dict[int, list[dict[str, Any]]] = {}
    for output in outputs:
        segments.setdefault(output["segment_id"], []).append(output)
    for told in segments.values():
        order = ["new", "in-progress", "completed"]
        places = [order.index(one["spoken_status"]) for one in told]
        assert places == sorted(places), told
        assert places[0] == 0, told
        for one in told:
            progress = one["spoken_progress"]
            assert progress["accumulated_text"] + progress["remaining_text"] == one["text"]


async def test_a_spoken_conversation(bundle: Path, server: Server, data: Path) -> None:
    """Both sides' words, the bot's as it says them, and metrics; a voice cuts in; the client leaves."""
    before = await server.idle_tasks()
    async with opened(bundle) as page:
        ready = await call(page, server)
        assert ready["version"] == "2.1.0"
        assert ready["about"]["library"] == "voxrtc"
        assert await page.evaluate("() => client.state") == "ready"

        await page.evaluate("() => speak('clips/austen-0880.wav')")
        await until(page, "userStartedSpeaking")
        final = await until(page, "userTranscript", "d.final")
        assert error_rate((data / "austen-0880.txt").read_text(), final["text"]) <= 0.25
        metrics = await until(page, "metrics")
        assert {one["processor"] for one in metrics["ttfb"]} == {"stt", "llm"}
        assert 0 < next(m["value"] for m in metrics["processing"] if m["processor"] == "voice-to-voice") < 30
        await until(page, "botStartedSpeaking")
        await page.evaluate("() => speak('clips/jfk.wav')")
        await came(page, "bot-interrupted")
        await came(page, "bot-tts-stopped")
        said = "".join(one["text"] for one in await raw(page, "bot-tts-text"))
        thought = "".join(one["text"] for one in await raw(page, "bot-llm-text"))
        assert thought.startswith(said.rstrip())
        assert len(said) < len(thought), "it was cut short"
        await until(page, "userTranscript", "d.final && d.text.toLowerCase().includes('country')")
        check_segments(await all_of(page, "botOutput"))
        assert [one for one in await all_of(page, "userTranscript") if not one["final"]], "partials come"
        kinds = [one["event"] for one in await page.evaluate("() => told")]
        order = ["userStartedSpeaking", "userStoppedSpeaking", "botLlmStarted", "botTtsStarted", "botStartedSpeaking"]
        assert sorted(order, key=kinds.index) == order

        await page.evaluate("() => client.disconnect()")
        await until(page, "disconnected")
        await server.wait_idle()
    assert server.tasks == before


async def test_text_requests_and_another_connection(bundle: Path, server: Server) -> None:
    """Typed turns, read or heard; one cuts in on a reply; the network goes, and comes back; the bot is sent off."""
    before = await server.idle_tasks()
    async with opened(bundle) as page:
        params = {"webrtcRequestParams": {"endpoint": server.url + "/api/offer"}}
        await page.evaluate("(params) => client.connect(params)", params)
        taken = await page.evaluate("() => client.sendClientRequest('config', {max_tokens: 60})")
        assert taken == {"taken": True}
        refused = "() => client.sendClientRequest('sing', {}).then(() => '', (e) => e.data.error)"
        assert "sing" in await page.evaluate(refused)

        await page.evaluate("() => client.sendText('My name is Ada.', {audio_response: false})")
        await until(page, "botLlmStopped")
        assert {one["will_be_spoken"] for one in await all_of(page, "botOutput")} == {False}
        assert not await all_of(page, "botTtsStarted")

        await page.evaluate("() => client.sendText('Tell me a story.')")
        await until(page, "botStartedSpeaking")
        await page.evaluate("() => client.sendText('Tell me another one.')")
        await came(page, "bot-interrupted")
        await page.wait_for_function("() => told.filter(({event}) => event === 'botStartedSpeaking').length > 1")

        first = await page.evaluate("() => transport.pc_id")
        await page.evaluate(FAIL)
        await came(page, "server-message", "d.type === 'call_started' && d.resumed")
        assert await page.evaluate("() => transport.pc_id") == first
        assert await page.evaluate("() => peers.length") == 2
        assert await page.evaluate("() => client.state") == "ready"
        assert not await all_of(page, "botDisconnected")
        assert not await all_of(page, "error")
        assert server.health["calls"] == 1

        await page.evaluate("() => client.sendClientRequest('interrupt')")
        counted = "(kind) => came.filter(({type}) => type === kind).length"
        over = f"() => {{ const n = {counted}; return n('bot-llm-started') === n('bot-llm-stopped'); }}"
        await page.wait_for_function(over, timeout=60_000)
        await page.evaluate(HEAR_AGAIN)
        await page.evaluate("() => { told.length = 0; }")
        silence = await page.evaluate(ENERGY)
        await page.evaluate("() => client.sendText('And now a third one.')")
        await until(page, "botOutput", "d.spoken_status === 'completed'")
        await until(page, "botTtsStopped")
        assert await page.evaluate(ENERGY) - silence > 0.0005, "its sound comes on the new connection"
        check_segments(await all_of(page, "botOutput"))

        await page.evaluate("() => client.disconnectBot()")
        await until(page, "botDisconnected")
        await until(page, "disconnected")
        await server.wait_idle()
    assert server.tasks == before


async def test_an_offer_that_is_refused(bundle: Path, server: Server) -> None:
    """The client reads the status, also from another origin, and does not try again."""
    async with opened(bundle) as page:
        params = {"webrtcRequestParams": {"endpoint": server.url + "/sessions/nobody/api/offer"}}
        why = await page.evaluate("(params) => client.connect(params).then(() => '', (e) => e.message)", params)
        assert "404" in why
        assert await page.evaluate("() => peers.length") == 1
