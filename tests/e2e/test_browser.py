"""A real Chromium opens the page of a real server and speaks recorded words into it."""

import base64
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.chromium import AUTOPLAY, CHROMIUM, FLAGS, MICROPHONE
from tests.e2e.running import Server, start, stop
from tests.e2e.speech import apart, error_rate, script, transcribe

pytestmark = [pytest.mark.browser, pytest.mark.models, pytest.mark.timeout(180)]

SPY = """
const make = RTCPeerConnection.prototype.createDataChannel;
window.heardEvents = [];
RTCPeerConnection.prototype.createDataChannel = function (...args) {
  const channel = make.apply(this, args);
  channel.addEventListener("message", (event) => window.heardEvents.push(JSON.parse(event.data)));
  return channel;
};
"""
"""Keeps the events that reach the page, beside the page's own code."""

RECORD = """
() => {
  const recorder = new MediaRecorder(document.querySelector("audio").srcObject);
  window.pieces = [];
  recorder.ondataavailable = (event) => window.pieces.push(event.data);
  recorder.start();
  window.recorder = recorder;
}
"""

RECORDED = """
() => new Promise((resolve) => {
  window.recorder.onstop = async () => {
    const bytes = new Uint8Array(await new Blob(window.pieces).arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    resolve(btoa(text));
  };
  window.recorder.stop();
})
"""


@asynccontextmanager
async def opened(url: str, microphone: Path, expected: str = "no complaint") -> AsyncIterator[Page]:
    """The page at ``url`` in a browser whose microphone plays the file once; ``expected``: what it may complain of."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, *MICROPHONE, AUTOPLAY, f"--use-file-for-fake-audio-capture={microphone}%noloop"],
            ignore_default_args=["--mute-audio"],
        )
        try:
            page = await browser.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
            await page.add_init_script(SPY)
            await page.goto(url)
            yield page
            complaints = [complaint for complaint in complaints if expected not in complaint]
            assert not complaints, complaints
        finally:
            await browser.close()


async def wait_for(page: Page, condition: str, seconds: float = 60) -> None:
    """Until an event for which the JavaScript ``condition`` over ``e`` is true has come."""
    await page.wait_for_function(f"() => window.heardEvents.some((e) => {condition})", timeout=seconds * 1000)


async def events(page: Page, kind: str) -> list[dict]:
    return [e for e in await page.evaluate("() => window.heardEvents") if e["type"] == kind]


async def press_call(page: Page) -> None:
    await page.wait_for_selector("#orb:not([aria-disabled=true])")
    await page.click("#orb")


async def test_a_spoken_conversation(server: Server, data: Path, tmp_path: Path) -> None:
    """The transcript appears, the reply can be heard and is what is shown, hanging up frees everything."""
    before = await server.idle_tasks()
    microphone = script(tmp_path / "mic.wav", 3.0, data / "austen-0880.wav", 30.0)
    async with opened(server.url, microphone) as page:
        await press_call(page)
        await page.wait_for_function("() => document.querySelector('audio').srcObject")
        await page.evaluate(RECORD)
        await wait_for(page, "e.type === 'reply_ended'")
        recording = tmp_path / "reply.webm"
        recording.write_bytes(base64.b64decode(await page.evaluate(RECORDED)))

        (final,) = [t for t in await events(page, "transcript") if t["final"]]
        said = (data / "austen-0880.txt").read_text()
        assert error_rate(said, final["text"]) <= 0.25
        conversation = await page.inner_text("#transcript")
        assert final["text"].strip() in conversation
        (ended,) = await events(page, "reply_ended")
        assert ended["ended"] == "finished"
        assert ended["text"].split()[0] in conversation
        (metrics,) = await events(page, "turn_metrics")
        assert 0 < metrics["voice_to_voice_ms"] < 10_000

        await page.click("#hang-up")
        await server.wait_idle()
        live = "() => [...document.querySelectorAll('audio')].every((a) => !a.srcObject)"
        await page.wait_for_function(live)
    assert apart(ended["text"], await transcribe(recording, tmp_path)) <= 0.25
    assert server.tasks == before


async def test_partial_words_come_while_the_caller_speaks(server: Server, data: Path, tmp_path: Path) -> None:
    microphone = script(tmp_path / "mic.wav", 3.0, data / "austen-0870.wav", 30.0)
    async with opened(server.url, microphone) as page:
        await press_call(page)
        await wait_for(page, "e.type === 'transcript' && e.final")
        heard = await page.evaluate("() => window.heardEvents")
        ended = next(i for i, e in enumerate(heard) if e["type"] == "turn_ended")
        partials = [e["text"] for e in heard[:ended] if e["type"] == "transcript"]
        assert partials
        for shorter, longer in itertools.pairwise(partials):
            assert longer.startswith(shorter), "a partial transcript shrank"


async def test_speaking_over_the_reply_stops_it(storyteller: Server, data: Path, tmp_path: Path) -> None:
    microphone = script(tmp_path / "mic.wav", 3.0, data / "austen-0880.wav", 6.0, data / "jfk.wav", 30.0)
    async with opened(storyteller.url, microphone) as page:
        await press_call(page)
        await wait_for(page, "e.type === 'interrupted'")
        await wait_for(page, "e.type === 'reply_ended' && e.ended === 'interrupted'")
        (ended,) = [e for e in await events(page, "reply_ended") if e["reply"] == 1]
        shown = "".join(e["text"] for e in await events(page, "reply_text") if e["reply"] == 1)
        assert 0 < len(ended["text"]) < len(shown)
        assert shown.startswith(ended["text"]), "what is kept of it is what was heard of it"
        await wait_for(page, "e.type === 'transcript' && e.final && e.text.toLowerCase().includes('country')")
        await wait_for(page, "e.type === 'reply_started' && e.reply > 1")


async def test_typed_text_is_answered(server: Server, tmp_path: Path) -> None:
    microphone = script(tmp_path / "mic.wav", 60.0)
    async with opened(server.url, microphone) as page:
        await press_call(page)
        await wait_for(page, "e.type === 'call_started'")
        await page.fill("#text", "What is your name?")
        await page.keyboard.press("Enter")
        await wait_for(page, "e.type === 'reply_ended' && e.ended === 'finished'")
        assert "What is your name?" in await page.inner_text("#transcript")


async def test_a_killed_server_is_missed_at_once_and_found_again(tmp_path: Path) -> None:
    """Nobody says goodbye. The page tells within seconds, goes on trying, and calls the next server."""
    first = start(tmp_path)
    microphone = script(tmp_path / "mic.wav", 60.0)
    try:
        first.wait_ready()
        async with opened(first.url, microphone, expected="Failed to load resource") as page:
            await press_call(page)
            await page.wait_for_selector("html[data-state=listening]")
            await wait_for(page, "e.type === 'media_stats'")
            first.process.kill()
            killed = time.monotonic()
            await page.wait_for_selector("html[data-state=reconnecting]")
            assert time.monotonic() - killed < 4  # 2 s with the machine to itself
            await page.get_by_text("The server cannot be reached · try").wait_for()
            ports = {f"{k}__PORT": url.rsplit(":", 1)[1] for k, url in (("SERVER", first.url), ("OPS", first.ops))}
            second = start(tmp_path, **ports)
            try:
                await page.get_by_text("The earlier conversation could not be taken up again").wait_for(timeout=60_000)
                await page.wait_for_selector("html[data-state=listening]")
            finally:
                stop(second)
    finally:
        first.process.kill()
        first.process.wait()


async def test_a_closed_page_leaves_nothing_behind(server: Server, data: Path, tmp_path: Path) -> None:
    before = await server.idle_tasks()
    microphone = script(tmp_path / "mic.wav", 1.0, data / "austen-0880.wav", 30.0)
    async with opened(server.url, microphone) as page:
        await press_call(page)
        await wait_for(page, "e.type === 'speech_started'")
    await server.wait_idle(30)
    assert server.tasks == before
