"""A call from the first press to the mic light going out."""

from __future__ import annotations

import pytest

from tests.web.script import state, transcript, whole

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_ready_then_a_call(seen) -> None:
    assert await seen.text("#state") == "Ready"
    assert await seen.page.get_attribute("#orb", "aria-label") == "Call the assistant"
    assert await seen.page.is_hidden("#controls")
    await seen.call()
    assert await seen.text("#state") == "Listening"
    assert await seen.page.is_visible("#hang-up")
    wish = await seen.page.evaluate("window.wish.audio")
    assert wish == {"echoCancellation": True, "noiseSuppression": True, "autoGainControl": True, "channelCount": 1}
    has = await seen.page.evaluate("tracks[0].getSettings()")  # and the browser does it
    assert [has[k] for k in ("echoCancellation", "noiseSuppression", "autoGainControl")] == [True, True, True]
    offer = seen.server.offers[0]
    assert set(offer) == {"sdp", "type"}
    assert "webrtc-datachannel" in offer["sdp"]
    await seen.server.until(lambda: seen.server.line.frames > 20)


async def test_candidates_are_trickled_to_their_end(seen) -> None:
    await seen.call()
    told = lambda: [c for patch in seen.server.patches for c in patch]  # noqa: E731
    await seen.server.until(lambda: told() and told()[-1]["candidate"] == "")
    first = told()[0]
    assert first["candidate"].startswith("candidate:")
    assert first["sdp_mid"] == "0"
    assert first["sdp_mline_index"] == 0


async def test_the_word_follows_the_assistant(seen) -> None:
    await seen.call()
    words = []
    for name in ("thinking", "speaking", "listening"):
        seen.server.say(state(name))
        await seen.state(name)
        words.append(await seen.text("#state"))
    assert words == ["Thinking", "Speaking", "Listening"]


async def test_a_press_interrupts_the_assistant_but_not_the_caller(seen) -> None:
    await seen.call()
    await seen.page.click("#orb", force=True)  # listening: nothing to stop
    seen.server.say(state("speaking"))
    await seen.state("speaking")
    assert await seen.page.get_attribute("#orb", "aria-label") == "Stop the assistant"
    await seen.page.click("#orb")
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "interrupt"}]


async def test_both_sides_move_the_ring(seen) -> None:
    seen.expected = ("willReadFrequently",)  # it is this test that reads
    await seen.call()
    drawn = """() => new Promise((done) => {
      const canvas = document.getElementById("ring");
      const look = () => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        const middle = canvas.width / 2;
        let reach = 0;
        const row = Math.floor(middle) * canvas.width;
        for (let x = Math.floor(middle); x >= 0; x--) if (data[4 * (row + x) + 3]) reach = middle - x;
        const moved = canvas.parentElement.clientWidth / 2 * devicePixelRatio + 16;
        if (reach > moved) done(reach); else requestAnimationFrame(look);
      };
      look();
    })"""
    assert await seen.page.evaluate(drawn)  # the fake microphone beeps once a second
    seen.server.say(state("speaking"))
    await seen.state("speaking")
    assert await seen.page.evaluate(drawn)  # the tone of the stand-in


async def test_the_reply_is_played(seen) -> None:
    await seen.call()
    await seen.holds("!sound.paused && sound.currentTime > 0.2")
    assert await seen.page.evaluate("sound.autoplay && sound.hasAttribute('playsinline')")


async def test_mute_closes_the_gate_and_says_so(seen) -> None:
    await seen.call()
    await seen.page.click("#mute")
    await seen.state("muted")
    assert await seen.text("#state") == "Microphone off"
    assert await seen.page.get_attribute("#mute", "aria-pressed") == "true"
    assert await seen.page.evaluate("tracks[0].enabled") is False
    await seen.page.click("#mute")
    await seen.state("listening")
    assert await seen.page.evaluate("tracks[0].enabled") is True


async def test_hanging_up_lets_go_of_everything(seen) -> None:
    await seen.call()
    session = seen.server.line.session
    await seen.page.click("#hang-up")
    await seen.state("ready")
    await seen.server.until(lambda: seen.server.deleted == [session])
    left = await seen.page.evaluate(
        """() => ({ tracks: tracks.map((t) => t.readyState), peers: peers.map((p) => p.connectionState),
                    contexts: contexts.map((c) => c.state), sound: sound.srcObject,
                    token: sessionStorage.getItem("voxrtc.resume") })"""
    )
    assert left == {"tracks": ["ended"], "peers": ["closed"], "contexts": ["closed"], "sound": None, "token": None}
    assert await seen.page.is_hidden("#controls")
    await seen.sees("#transcript", "Call ended")


async def test_one_call_after_another(seen) -> None:
    for number in range(3):
        await seen.call()
        seen.server.say(transcript(1, f"call {number}"))
        await seen.sees("#transcript .turn", f"call {number}")
        assert await seen.page.locator("#transcript .turn").count() == 1  # each begins on a clean sheet
        await seen.page.click("#hang-up")
        await seen.state("ready")
    assert await seen.page.evaluate("tracks.every((t) => t.readyState === 'ended')")
    assert not any("resume" in offer for offer in seen.server.offers)


async def test_hanging_up_while_it_connects(seen) -> None:
    await seen.page.route("**/offer", lambda route: None)  # never answered
    await seen.page.click("#orb")
    await seen.state("connecting")
    await seen.page.click("#hang-up")
    await seen.state("ready")
    await seen.holds("tracks.every((t) => t.readyState === 'ended')")
    assert await seen.page.evaluate("peers.every((p) => p.connectionState === 'closed')")


async def test_the_server_hangs_up(seen) -> None:
    await seen.call()
    seen.server.ended("hangup")
    await seen.state("ready")
    await seen.sees("#transcript", "Call ended")
    assert await seen.page.is_hidden("#problem")
    assert await seen.page.evaluate("tracks[0].readyState") == "ended"


async def test_typed_text_is_a_turn(seen) -> None:
    await seen.call()
    await seen.page.fill("#text", "  How late is it?  ")
    await seen.page.press("#text", "Enter")
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "text", "text": "How late is it?"}]
    assert await seen.page.locator("#transcript .turn.partial").count() == 1
    seen.server.say(transcript(1, "How late is it?"), *whole(1, "Ten past four."))
    await seen.sees("#transcript .reply", "Ten past four.")
    assert await seen.page.locator("#transcript .turn").count() == 1
    assert await seen.page.locator("#transcript .turn.partial").count() == 0
    assert await seen.page.input_value("#text") == ""


async def test_typing_alone_calls_without_a_microphone(seen) -> None:
    await seen.page.fill("#text", "Hello there")
    await seen.page.click("#composer button")
    await seen.state("muted")
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "text", "text": "Hello there"}]
    assert await seen.page.evaluate("tracks.length") == 0  # it was not even asked for
    await seen.server.until(lambda: seen.server.line.frames > 20)  # but silence is sent
    await seen.page.click("#mute")  # now it is
    await seen.state("listening")
    assert await seen.page.evaluate("tracks.map((t) => [t.readyState, t.enabled])") == [["live", True]]


async def test_the_screen_stays_on_during_a_call(look) -> None:
    script = """
    window.locks = 0;
    Object.defineProperty(navigator, 'wakeLock', { value: { request: async () => {
      window.locks += 1;
      return { release: async () => { window.locks -= 1; } };
    } } });
    """
    async with look(script=script) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.holds("locks === 1")
        await seen.page.click("#hang-up")
        await seen.holds("locks === 0")


async def test_an_unknown_event_is_skipped(seen) -> None:
    await seen.call()
    seen.server.say({"type": "from_the_future"}, transcript(1, "still here"))
    await seen.sees("#transcript .turn", "still here")


async def test_a_notice_is_shown(seen) -> None:
    await seen.call()
    seen.server.say({"type": "notice", "code": "models_restarted", "message": "Sorry, I had to start over."})
    await seen.sees("#transcript .note", "Sorry, I had to start over.")
    assert await seen.text("#status") == "Sorry, I had to start over."
