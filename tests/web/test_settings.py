"""The drawer, what is kept of it, and the ways to talk."""

from __future__ import annotations

import pytest

from tests.web.script import state, transcript

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def open_drawer(seen) -> None:
    await seen.page.click("#open-settings")
    await seen.page.wait_for_selector("#settings[open]")


async def close_drawer(seen) -> None:
    await seen.page.keyboard.press("Escape")
    await seen.page.wait_for_selector("#settings", state="hidden")


async def test_what_the_server_offers(seen) -> None:
    await open_drawer(seen)
    languages = await seen.page.locator("#language option").all_inner_texts()
    assert languages == ["As the server is set", "Follow what I speak", "English", "German", "Hindi"]
    assert await seen.page.locator("#voice option").all_inner_texts() == ["Default voice", "hibari", "espeak"]
    await seen.page.select_option("#language", "de")
    assert await seen.page.locator("#voice option").all_inner_texts() == ["Default voice", "espeak"]
    assert await seen.text("#about") == "Hears with whisper-base, thinks with qwen2.5-1.5b, speaks with hibari."


async def test_choices_are_kept_and_told_to_the_server(seen) -> None:
    await open_drawer(seen)
    await seen.page.select_option("#voice", "espeak")
    await seen.page.check("input[name=captions][value=large]")
    assert await seen.page.get_attribute("html", "data-captions") == "large"
    await seen.page.reload()
    await seen.state("ready")
    assert await seen.page.get_attribute("html", "data-captions") == "large"
    await seen.call()
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said == [{"type": "config", "voice": "espeak"}]
    await open_drawer(seen)
    assert await seen.page.input_value("#voice") == "espeak"
    await seen.page.select_option("#language", "hi")
    await seen.server.until(lambda: len(seen.server.said) == 2)
    assert seen.server.said[1] == {"type": "config", "language": "hi"}


async def test_nothing_is_sent_that_was_not_chosen(seen) -> None:
    await seen.call()
    await seen.page.fill("#text", "first")
    await seen.page.press("#text", "Enter")
    await seen.server.until(lambda: seen.server.said)
    assert seen.server.said[0]["type"] == "text"


async def test_another_microphone_during_a_call(seen) -> None:
    await seen.call()
    await open_drawer(seen)
    await seen.page.locator("#microphone option").nth(1).wait_for(state="attached")
    await seen.page.select_option("#microphone", index=1)
    await seen.holds("tracks.length === 2 && tracks[0].readyState === 'ended'")
    assert await seen.page.evaluate("tracks[1].readyState") == "live"
    assert await seen.page.evaluate("peers[0].getSenders()[0].track === tracks[1]")
    assert len(seen.server.offers) == 1  # no new offer for it
    wish = await seen.page.evaluate("window.wish.audio")
    assert all(wish[name] for name in ("echoCancellation", "noiseSuppression", "autoGainControl"))
    await seen.holds("Number(document.getElementById('mic-level').value) > 0.2")


async def test_broken_storage_is_no_obstacle(look) -> None:
    script = (
        "localStorage.setItem('voxrtc.settings', '{not json'); sessionStorage.setItem('voxrtc.resume', 'nor this');"
    )
    async with look(script=script) as seen:
        await seen.state("ready")
        await seen.call()


async def choose_push_to_talk(seen) -> None:
    await open_drawer(seen)
    await seen.page.check("input[value=push-to-talk]")
    await close_drawer(seen)


async def test_push_to_talk_with_the_button(seen) -> None:
    await seen.call()
    await choose_push_to_talk(seen)
    assert await seen.page.get_attribute("#orb", "aria-label") == "Hold to talk"
    assert await seen.page.evaluate("tracks[0].enabled") is False
    box = await seen.page.locator("#orb").bounding_box()
    await seen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    await seen.page.mouse.down()
    await seen.server.until(lambda: len(seen.server.said) == 2)
    assert await seen.page.evaluate("tracks[0].enabled") is True
    assert await seen.text("#hint") == "Release when you are done"
    await seen.page.mouse.up()
    await seen.server.until(lambda: len(seen.server.said) == 3)
    assert seen.server.said == [
        {"type": "config", "interruptions": "push-to-talk"},
        {"type": "push_to_talk", "pressed": True},
        {"type": "push_to_talk", "pressed": False},
    ]
    assert await seen.page.evaluate("tracks[0].enabled") is False


async def test_push_to_talk_with_the_space_bar(seen) -> None:
    seen.server.interruptions = "push-to-talk"  # as the server is set
    await seen.call()
    await seen.holds("document.getElementById('orb').getAttribute('aria-label') === 'Hold to talk'")
    await seen.page.evaluate("document.activeElement.blur()")
    await seen.page.keyboard.down("Space")
    await seen.server.until(lambda: seen.server.said == [{"type": "push_to_talk", "pressed": True}])
    await seen.page.keyboard.up("Space")
    await seen.server.until(lambda: len(seen.server.said) == 2)
    seen.server.say(state("speaking"))
    await seen.state("speaking")
    assert await seen.page.get_attribute("#orb", "aria-label") == "Hold to talk"
    await seen.page.focus("#text")
    await seen.page.keyboard.type("a b")  # a space is a space in a text
    assert await seen.page.input_value("#text") == "a b"
    assert len(seen.server.said) == 2


async def test_the_space_bar_talks_after_a_look_at_the_settings(seen) -> None:
    await seen.call()
    await seen.page.focus("#open-settings")
    await seen.page.keyboard.press("Enter")
    await seen.page.wait_for_selector("#settings[open]")
    await seen.page.check("input[value=push-to-talk]")
    await close_drawer(seen)
    await seen.holds("document.activeElement.id === 'orb'")
    await seen.page.keyboard.press("Space")
    await seen.server.until(lambda: len(seen.server.said) == 3)
    assert [m.get("pressed") for m in seen.server.said] == [None, True, False]


async def test_the_space_bar_talks_after_a_click_but_not_where_the_keyboard_went(seen) -> None:
    seen.server.interruptions = "push-to-talk"
    await seen.call()
    await seen.holds("document.documentElement.hasAttribute('data-hold')")
    await seen.page.click("#mute")
    await seen.state("muted")
    await seen.page.keyboard.press("Space")  # talks, and with that unmutes
    await seen.server.until(lambda: len(seen.server.said) == 2)
    assert await seen.page.get_attribute("#mute", "aria-pressed") == "false"
    await seen.page.keyboard.press("Tab")
    await seen.page.keyboard.press("Shift+Tab")
    assert await seen.page.evaluate("document.activeElement.id") == "mute"
    await seen.page.keyboard.press("Space")
    await seen.holds("mute.getAttribute('aria-pressed') === 'true'")
    assert len(seen.server.said) == 2


async def test_push_to_talk_with_a_finger_that_slips(look) -> None:
    async with look(viewport={"width": 375, "height": 667}, has_touch=True, is_mobile=True) as seen:
        await seen.state("ready")
        await seen.page.tap("#open-settings")
        await seen.page.tap("input[value=push-to-talk]")
        await seen.page.tap("#settings button[value=close]")
        await seen.call()
        seen.server.say(transcript(1, "So the button is in the bar."))
        await seen.sees(".turn", "in the bar")
        await seen.holds("hint.textContent === 'Hold the button and speak'")
        before = len(seen.server.said)
        await seen.page.evaluate("Promise.all(document.getAnimations().map((a) => a.finished))")
        box = await seen.page.locator("#orb").bounding_box()
        assert min(box["width"], box["height"]) >= 72
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        finger = await seen.page.context.new_cdp_session(seen.page)
        await finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        await seen.server.until(lambda: len(seen.server.said) == before + 1)
        for step in range(1, 7):
            moved = [{"x": x, "y": y - 12 * step}]
            await finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
        assert await seen.page.get_attribute("#orb", "aria-label") == "Release to send"
        await finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        await seen.server.until(lambda: len(seen.server.said) == before + 2)
        assert [m["pressed"] for m in seen.server.said[before:]] == [True, False]


async def test_no_interruptions_but_a_press_still_stops(seen) -> None:
    await seen.call()
    await open_drawer(seen)
    await seen.page.check("input[value=off]")
    await close_drawer(seen)
    seen.server.say(state("speaking"))
    await seen.state("speaking")
    assert await seen.text("#hint") == "Tap to stop it"
    assert await seen.page.evaluate("tracks[0].enabled")  # the server decides whom it hears
    await seen.page.click("#orb")
    await seen.server.until(lambda: len(seen.server.said) == 2)
    assert seen.server.said == [{"type": "config", "interruptions": "off"}, {"type": "interrupt"}]


async def test_push_to_talk_without_holding(seen) -> None:
    seen.server.interruptions = "push-to-talk"
    await seen.call()
    await seen.holds("document.getElementById('orb').getAttribute('aria-label') === 'Hold to talk'")
    await seen.page.focus("#orb")
    await seen.page.keyboard.press("Enter")
    await seen.server.until(lambda: seen.server.said == [{"type": "push_to_talk", "pressed": True}])
    assert await seen.page.get_attribute("#orb", "aria-label") == "Release to send"
    await seen.page.keyboard.press("Enter")
    await seen.server.until(lambda: len(seen.server.said) == 2)
