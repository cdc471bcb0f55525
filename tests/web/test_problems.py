"""Whatever goes wrong, the page says what happened and what to do next."""

from __future__ import annotations

import pytest

from tests.web.conftest import opened
from tests.web.fake_server import READY, refusal

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REFUSED = ("Failed to load resource",)
"""What Chromium itself logs about any answer that is an error."""

FAILING = "navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{}'); }};"


async def test_models_loading_with_progress(server, look) -> None:
    server.readiness = {"status": "loading", "what": "qwen2.5-1.5b", "fraction": 0.42}
    async with look(expected=REFUSED) as seen:
        await seen.sees("#hint", "Loading qwen2.5-1.5b, 42 %")
        assert await seen.text("#state") == "Starting"
        assert await seen.page.get_attribute("#loading", "value") == "0.42"
        assert await seen.page.get_attribute("#orb", "aria-disabled") == "true"
        assert await seen.page.is_disabled("#text")
        server.readiness = dict(READY)
        await seen.state("ready")
        assert await seen.page.is_hidden("#loading")


async def test_the_server_is_not_there_and_comes_back(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.page.route("**/ready", lambda route: route.abort())
        await seen.page.route("**/ice", lambda route: route.abort())
        await seen.page.click("#orb")
        await seen.state("gone")
        assert await seen.text("#problem h2") == "The server cannot be reached"
        await seen.page.unroute("**/ready")
        await seen.page.unroute("**/ice")
        await seen.press("Try again")
        await seen.state("ready")
        assert await seen.page.is_hidden("#problem")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NotAllowedError", "The microphone is blocked"),
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "The microphone cannot be opened"),
    ],
)
async def test_the_microphone_fails(look, name: str, title: str) -> None:
    async with look(script=FAILING.format(name)) as seen:
        await seen.state("ready")
        await seen.page.click("#orb")
        await seen.sees("#problem h2", title)
        assert await seen.page.get_attribute("#problem", "role") == "alert"
        await seen.state("ready")
        assert seen.server.offers == []
        assert await seen.page.evaluate("contexts.every((c) => c.state === 'closed')")
        await seen.press("Type instead")
        await seen.state("muted")
        assert await seen.page.evaluate("document.activeElement.id") == "text"
        await seen.page.click("#mute")  # asks again, in the call; the call goes on
        await seen.sees("#problem h2", title)
        await seen.press("OK")
        await seen.state("muted")


async def test_a_machine_without_a_microphone(bare_browser, server) -> None:
    async with opened(bare_browser, server, permissions=["microphone"]) as seen:
        await seen.state("ready")
        await seen.page.click("#orb")
        await seen.sees("#problem h2", "No microphone was found")


async def test_the_only_microphone_is_pulled_out(seen) -> None:
    await seen.call()
    await seen.page.evaluate(
        """() => { window.given = navigator.mediaDevices.getUserMedia;
          navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("none", "NotFoundError"); }; }"""
    )
    await seen.page.evaluate("() => { const [t] = tracks; t.stop(); t.dispatchEvent(new Event('ended')); }")
    await seen.sees("#problem h2", "The microphone was disconnected")
    await seen.state("muted")
    before = seen.server.line.frames
    await seen.server.until(lambda: seen.server.line.frames > before + 20)  # the call itself goes on, in silence
    await seen.press("OK")
    await seen.page.evaluate("() => { navigator.mediaDevices.getUserMedia = window.given; }")
    await seen.page.click("#mute")
    await seen.state("listening")
    assert await seen.page.evaluate("tracks.at(-1).readyState") == "live"


async def test_no_https(browser, server) -> None:
    async with opened(browser, server, url=f"http://voxrtc.test:{server.port}/", expected=["Opener-Policy"]) as seen:
        await seen.sees("#problem h2", "This page needs HTTPS to use the microphone")
        await seen.state("ready")
        await seen.press("Type instead")
        await seen.state("muted")
        await seen.page.fill("#text", "Hello")
        await seen.page.press("#text", "Enter")
        await seen.server.until(lambda: seen.server.said)


async def test_a_full_server_counts_down_and_calls_again(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        seen.server.refusals = [refusal(503, "calls_full", "All 8 lines are in use.", 2)]
        await seen.page.click("#orb")
        await seen.sees("#problem h2", "All lines are busy")
        await seen.sees("#problem .detail", "All 8 lines are in use.")
        await seen.sees("#hint", "Trying again in 2 s")
        await seen.sees("#hint", "Trying again in 1 s")
        assert await seen.page.evaluate("tracks[0].readyState") == "ended"  # no open microphone while waiting
        await seen.up()
        assert await seen.page.is_hidden("#problem")


async def test_waiting_for_a_line_can_be_stopped(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        seen.server.refusals = [refusal(503, "calls_full", "Full.", 30)]
        await seen.page.click("#orb")
        await seen.press("Stop trying")
        await seen.state("ready")
        assert await seen.page.is_hidden("#problem")


async def test_a_server_that_stays_full(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        seen.server.refusals = [refusal(503, "calls_full", "Full.", 1) for _ in range(6)]
        await seen.page.click("#orb")
        await seen.page.locator("#problem h2", has_text="All lines are still busy").wait_for(timeout=20_000)
        await seen.state("ready")
        assert len(seen.server.offers) == 6


async def test_models_still_loading_when_called(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        seen.server.readiness = {"status": "loading", "what": "whisper-base", "fraction": None}
        seen.server.refusals = [refusal(503, "loading", "The models are loading.", 5)]
        await seen.page.click("#orb")
        await seen.sees("#problem h2", "The assistant is not ready yet")
        await seen.sees("#hint", "Loading whisper-base")
        seen.server.readiness = dict(READY)
        await seen.state("ready")
        assert await seen.page.is_hidden("#problem")


async def test_an_offer_that_is_refused(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        seen.server.refusals = [refusal(422, "bad_sdp", "There is no audio in this offer.")]
        await seen.page.click("#orb")
        await seen.sees("#problem h2", "The server refused this call")
        await seen.sees("#problem .detail", "There is no audio in this offer.")
        assert await seen.page.evaluate("tracks[0].readyState") == "ended"
        await seen.press("Call again")
        await seen.up()


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("expired", "The call ended because nobody spoke"),
        ("shutdown", "The server was switched off or restarted"),
        ("error", "The call ended because something broke on the server"),
        ("lost", "The connection was lost"),
    ],
)
async def test_the_server_ends_the_call(seen, reason: str, title: str) -> None:
    await seen.call()
    seen.server.ended(reason, "It says why.")
    await seen.sees("#problem h2", title)
    await seen.sees("#problem .detail", "It says why.")
    assert await seen.page.evaluate("tracks[0].readyState") == "ended"
    await seen.press("Call again")
    await seen.up(1)


async def test_sound_held_back_by_the_browser(look) -> None:
    script = """
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function () {
      return window.allowed ? play.call(this) : Promise.reject(new DOMException('no gesture', 'NotAllowedError'));
    };
    """
    async with look(script=script) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.sees("#problem h2", "The browser is holding the sound back")
        await seen.page.evaluate("window.allowed = true")
        await seen.press("Turn on sound")
        await seen.page.locator("#problem").wait_for(state="hidden")


async def test_a_browser_without_webrtc(look) -> None:
    async with look(script="delete window.RTCPeerConnection;") as seen:
        await seen.state("ready")
        await seen.page.click("#orb")
        await seen.sees("#problem h2", "This browser cannot place calls")


async def test_sound_that_cannot_get_through(look) -> None:
    script = """
    const Real = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Real {
      constructor(config) { super({ ...config, iceTransportPolicy: 'relay' }); } // and there is no relay
    };
    """
    async with look(script=script) as seen:
        await seen.state("ready")
        await seen.page.click("#orb")
        await seen.page.locator("#problem h2", has_text="The call could not be connected").wait_for(timeout=25_000)
        await seen.state("ready")
        assert await seen.page.evaluate("tracks[0].readyState") == "ended"
