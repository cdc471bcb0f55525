"""The drawer, what is kept of it, and the ways to talk."""

from __future__ import annotations

import pytest
from script import state

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
