"""A call outlives its connection: a new peer takes the session up again, a bounded number of times."""

from __future__ import annotations

import time

import pytest

from tests.web.fake_server import refusal
from tests.web.script import clause, ended, started, state, transcript, whole

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REFUSED = ("Failed to load resource",)


async def test_a_lost_peer_is_replaced_with_the_token(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "before"), *whole(1, "I am here."))
    await seen.sees("#transcript .reply", "I am here.")
    session = seen.server.line.session
    await seen.server.cut()
    await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
    assert seen.server.offers[1]["resume"] == f"token-{session}"
    await seen.state("listening")
    seen.server.say(transcript(2, "after"))
    await seen.sees("#transcript .turn", "after")
    assert await seen.page.locator("#transcript li").count() == 3  # nothing was forgotten
    assert await seen.page.evaluate("peers.map((p) => p.connectionState)") == ["closed", "connected"]
    assert await seen.page.evaluate("tracks.length") == 1  # the microphone stayed open
    await seen.server.until(lambda: seen.server.line.frames > 20)
    await seen.holds("!sound.paused && sound.srcObject.active")


async def test_a_line_that_falls_silent_is_shown_and_replaced(look) -> None:
    """The server's process was killed: nobody says goodbye, and the browser itself would need 7 s to doubt the line."""
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.server.until(lambda: seen.server.line.frames > 50)
        await seen.page.route("**/*", lambda route: route.abort())
        seen.server.mute()
        since = time.monotonic()
        await seen.state("reconnecting")
        assert time.monotonic() - since < 5  # 1.5 to 2 s on a machine with nothing else to do
        await seen.sees("#hint", "The server cannot be reached · try 1 of 6")
        await seen.page.unroute("**/*")  # there it is again
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        await seen.state("listening")
        assert seen.server.offers[1]["resume"] == "token-s1"


async def test_a_silent_line_to_a_server_that_is_well_is_replaced(seen) -> None:
    await seen.call()
    await seen.server.until(lambda: seen.server.line.frames > 50)
    seen.server.mute()
    await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
    await seen.state("listening")
    assert seen.server.offers[1]["resume"] == "token-s1"


async def test_a_line_that_was_silent_for_a_moment_is_kept(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        seen.server.say(state("speaking"))
        await seen.state("speaking")
        await seen.server.until(lambda: seen.server.line.frames > 50)
        await seen.page.route("**/ready", lambda route: None)  # the network, or the server, takes its time for all
        seen.server.mute()
        await seen.state("reconnecting")
        seen.server.mute(False)
        await seen.state("speaking")  # as it was before
        assert len(seen.server.offers) == 1
        assert await seen.text("#status") == "Connected"


async def test_a_device_without_a_network_is_told_so(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.page.context.set_offline(True)
        await seen.server.cut()
        await seen.sees("#hint", "This device is offline · try 1 of 6")
        await seen.page.context.set_offline(False)
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())


async def test_the_button_that_is_held_while_the_line_breaks(seen) -> None:
    seen.server.interruptions = "push-to-talk"
    await seen.call()
    await seen.holds("document.documentElement.hasAttribute('data-hold')")
    await seen.page.evaluate("document.activeElement.blur()")
    await seen.page.keyboard.down("Space")
    await seen.server.until(lambda: len(seen.server.said) == 1)
    await seen.server.cut()
    await seen.server.until(lambda: len(seen.server.said) == 2)
    await seen.page.keyboard.up("Space")
    await seen.server.until(lambda: len(seen.server.said) == 3)
    assert [m["pressed"] for m in seen.server.said] == [True, True, False]


async def test_tries_go_on_until_one_succeeds(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        seen.server.refusals = [refusal(503, "calls_full", "Full.", 1), refusal(500, "internal", "Broken.")]
        await seen.server.cut()
        await seen.state("reconnecting")
        assert await seen.text("#state") == "Reconnecting"
        assert await seen.text("#status") == "The connection broke. Reconnecting."
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        await seen.state("listening")
        assert len(seen.server.offers) == 4
        assert await seen.text("#status") == "Connected"


async def test_tries_are_bounded_and_the_call_can_be_taken_up_by_hand(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.page.clock.install()
        await seen.call()
        await seen.page.route("**/ice", lambda route: route.abort())
        await seen.server.cut()
        await seen.state("reconnecting")
        for _ in range(40):
            await seen.page.clock.run_for(1_000)
            if await seen.page.is_visible("#problem"):
                break
        assert await seen.text("#problem h2") == "The connection was lost"
        assert await seen.page.evaluate("tracks[0].readyState") == "ended"
        assert await seen.text("#state") == "Call interrupted"
        await seen.page.unroute("**/ice")
        await seen.press("Call again")
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        assert seen.server.offers[-1]["resume"] == "token-s1"


async def test_a_network_that_comes_back_is_used_at_once(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.page.context.set_offline(True)
        await seen.page.context.set_offline(False)
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        assert seen.server.offers[1]["resume"] == "token-s1"
        await seen.state("listening")


async def test_a_phone_that_changes_network(look) -> None:
    script = """
    const link = new EventTarget(); link.type = 'wifi';
    Object.defineProperty(navigator, 'connection', { value: link });
    window.change = (type) => { link.type = type; link.dispatchEvent(new Event('change')); };
    """
    async with look(script=script) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.page.evaluate("change('wifi')")  # only an estimate changed
        await seen.page.evaluate("change('cellular')")
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        await seen.state("listening")
        assert [offer.get("resume") for offer in seen.server.offers] == [None, "token-s1"]


async def test_a_session_that_is_gone_begins_anew_and_says_so(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "before"))
    await seen.sees("#transcript .turn", "before")
    seen.server.keeps_sessions = False
    await seen.server.cut()
    await seen.sees("#transcript .note", "The earlier conversation could not be taken up again.")
    await seen.server.until(lambda: seen.server.line.up.is_set())
    seen.server.say(transcript(1, "again"))  # turns are counted from the start
    await seen.sees("#transcript .turn", "again")
    assert await seen.page.locator("#transcript .turn").count() == 2


async def test_what_is_typed_meanwhile_arrives(seen) -> None:
    await seen.call()
    await seen.page.route("**/ice", lambda route: route.abort())
    seen.expected = REFUSED
    await seen.server.cut()
    await seen.state("reconnecting")
    await seen.page.fill("#text", "Are you there?")
    await seen.page.press("#text", "Enter")
    await seen.page.unroute("**/ice")
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "text", "text": "Are you there?"}]


async def test_hanging_up_while_reconnecting(seen) -> None:
    await seen.call()
    await seen.page.route("**/ice", lambda route: route.abort())
    seen.expected = REFUSED
    await seen.server.cut()
    await seen.state("reconnecting")
    await seen.page.click("#hang-up")
    await seen.state("ready")
    await seen.server.until(lambda: seen.server.deleted == ["s1"])
    assert await seen.page.evaluate("tracks[0].readyState") == "ended"


async def test_a_reloaded_page_can_go_on(seen) -> None:
    await seen.call()
    seen.server.say(state("thinking"))
    await seen.state("thinking")
    await seen.page.reload()
    await seen.state("resumable")
    assert await seen.text("#state") == "Call interrupted"
    assert await seen.page.get_attribute("#orb", "aria-label") == "Go on with the call"
    await seen.call()
    assert seen.server.offers[1]["resume"] == "token-s1"
    await seen.page.click("#hang-up")
    await seen.state("ready")
    await seen.page.reload()
    await seen.state("ready")


async def test_what_is_told_again_is_shown_once(seen) -> None:
    """The server repeats the last turn for a caller who is back, and says what of the reply is heard again."""
    await seen.call()
    seen.server.say(transcript(1, "Tell me."), started(1), clause(1, 0, "One moment."), clause(1, 1, "Here it is."))
    seen.server.say(ended(1, "finished", "One moment. Here it is."))
    await seen.sees("#transcript .reply", "Here it is.")
    await seen.server.cut()
    await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
    seen.server.say(transcript(1, "Tell me."), started(1), clause(1, 0, "One moment."), clause(1, 1, "Here it is."))
    seen.server.say({"type": "reply_resumed", "reply": 1, "heard": 11})
    await seen.sees("#transcript .reply .ahead", "Here it is.")
    assert await seen.text("#transcript .reply .said") == "One moment. Here it is."
    assert await seen.page.locator("#transcript li").count() == 2
    seen.server.say(ended(1, "finished", "One moment. Here it is."))
    await seen.holds("document.querySelector('#transcript .reply .ahead') === null")


async def test_a_working_line_is_kept_until_the_new_one_is_up(look) -> None:
    async with look(expected=REFUSED) as seen:
        await seen.state("ready")
        await seen.call()
        await seen.page.evaluate(
            "window.states = []; new MutationObserver(() => states.push(document.documentElement.dataset.state))"
            ".observe(document.documentElement, { attributes: true, attributeFilter: ['data-state'] })"
        )
        seen.server.refusals = [refusal(503, "calls_full", "Full.", 1)]
        await seen.page.evaluate("window.dispatchEvent(new Event('online'))")
        await seen.server.until(lambda: len(seen.server.offers) == 2)
        assert await seen.page.evaluate("peers[0].connectionState") == "connected"
        await seen.page.evaluate("window.dispatchEvent(new Event('online'))")
        await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
        await seen.holds("peers[0].connectionState === 'closed'")
        assert await seen.page.evaluate("states.includes('reconnecting')") is False
        assert "silent_ms" not in seen.server.offers[-1]


@pytest.mark.parametrize("another", [True, False])
async def test_a_microphone_that_ends_during_the_change(seen, another: bool) -> None:
    """What takes its place, or stands in for it, goes to the new line too."""
    await seen.call()
    if not another:
        await seen.page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = async () => { throw new Error('no'); }; }"
        )
    await seen.server.cut()
    await seen.page.evaluate("tracks[0].dispatchEvent(new Event('ended'))")
    await seen.server.until(lambda: len(seen.server.lines) == 2 and seen.server.line.up.is_set())
    await seen.holds("peers.at(-1).getSenders()[0].track !== tracks[0]")
    if another:
        await seen.holds("peers.at(-1).getSenders()[0].track === tracks[1] && tracks[1].readyState === 'live'")
        assert await seen.page.is_hidden("#problem")
    else:
        assert await seen.text("#problem h2") == "The microphone was disconnected"
