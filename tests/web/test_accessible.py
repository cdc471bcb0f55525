"""Usable with a keyboard, a screen reader, weak eyes, a small screen, and without things that move."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.web.script import (
    clause,
    ended,
    metrics,
    spoken,
    started,
    state,
    stats,
    tool_called,
    tool_ended,
    transcript,
    whole,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}

CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (let x = e; x; x = x.parentElement) {
      const c = parse(getComputedStyle(x).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !e.checkVisibility() || e.closest('.hidden, noscript, script')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) weak.push(`${ratio.toFixed(2)} ${walk.currentNode.data.trim().slice(0, 40)}`);
  }
  return weak;
}"""

SMALL = """() => [...document.querySelectorAll(
    'button, select, summary, input:not([type=radio], [type=checkbox]), .choice')]
  .filter((e) => e.checkVisibility() && !e.closest('.hidden'))
  .map((e) => [e.id || e.className || e.name, e.getBoundingClientRect()])
  .filter(([, r]) => r.height < 44 || r.width < 44)
  .map(([name, r]) => `${name} ${r.width}x${r.height}`)"""


async def busy(seen) -> None:
    """A call with one of everything on the page."""
    await seen.call()
    seen.server.say(
        transcript(1, "Tell me about the lighthouse."), *whole(1, "It was built in 1890.", "It stands yet.")
    )
    seen.server.say(
        started(2), clause(2, 0, "Fine!", "cheerful"), clause(2, 1, "And so on."), ended(2, "interrupted", "Fine!")
    )
    seen.server.say(transcript(3, "And who"), tool_called("a", "look_up", place="the rock"), tool_called("b", "ask"))
    seen.server.say(tool_ended("a", "look_up"), transcript(4, "lived", False))
    seen.server.say(started(5), clause(5, 0, "Many did,"), clause(5, 1, "for years."), spoken(5, 0, 0))
    seen.server.say(*[metrics(n) for n in range(1, 6)], stats(1000, 3), state("speaking"))
    await seen.state("speaking")
    await seen.sees("#link", "Direct")
    await seen.page.click(".tool summary")


async def settled(seen) -> None:
    """Wait for colours and sizes that are on their way."""
    await seen.page.evaluate(
        """Promise.all(document.getAnimations()
             .filter((a) => a.effect.getTiming().iterations < 9).map((a) => a.finished))"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_contrast(look, scheme: str) -> None:
    async with look(color_scheme=scheme) as seen:
        await seen.state("ready")
        await settled(seen)
        assert await seen.page.evaluate(CONTRAST) == []
        await busy(seen)
        await settled(seen)
        assert await seen.page.evaluate(CONTRAST) == []
        for drawer in ("#open-settings", "#open-details"):
            await seen.page.click(drawer)
            assert await seen.page.evaluate(CONTRAST) == []
            await seen.page.keyboard.press("Escape")
        seen.server.ended("error", "Something broke.")
        await seen.page.wait_for_selector("#problem h2")
        await settled(seen)
        assert await seen.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(look, scheme: str) -> None:
    axe = Axe()
    async with look(color_scheme=scheme) as seen:
        await seen.state("ready")
        await settled(seen)
        found = [("ready", await axe.run(seen.page))]
        await busy(seen)
        await settled(seen)
        found.append(("busy", await axe.run(seen.page)))
        await seen.page.click("#open-settings")
        found.append(("settings", await axe.run(seen.page)))
        await seen.page.keyboard.press("Escape")
        await seen.page.click("#open-details")
        found.append(("details", await axe.run(seen.page)))
        for where, results in found:
            faults = [(v["id"], [n["html"] for n in v["nodes"]]) for v in results.response["violations"]]
            assert faults == [], where


async def test_a_narrow_phone(look) -> None:
    async with look(**PHONE) as seen:
        await seen.state("ready")
        fits = "document.documentElement.scrollWidth <= innerWidth && document.body.scrollWidth <= innerWidth"
        assert await seen.page.evaluate(fits)
        assert await seen.page.evaluate(SMALL) == []
        await busy(seen)
        await settled(seen)
        assert await seen.page.evaluate(fits)
        assert await seen.page.evaluate(SMALL) == []
        outside = """() => ["#orb", "#mute", "#hang-up", "#composer"]
          .map((s) => [s, document.querySelector(s).getBoundingClientRect()])
          .filter(([, r]) => r.left < 0 || r.right > innerWidth || r.bottom > innerHeight)
          .map(([s, r]) => `${s} ${r.left}..${r.right} of ${innerWidth}, down to ${r.bottom} of ${innerHeight}`)"""
        assert await seen.page.evaluate(outside) == []
        await seen.page.tap("#open-details")
        assert await seen.page.evaluate("details.scrollWidth <= details.clientWidth")
        assert await seen.page.evaluate(SMALL) == []
        await seen.page.tap("#details button[value=close]")
        await seen.page.tap("#open-settings")
        await seen.page.check("input[value=large]")
        assert await seen.page.evaluate(fits)
        assert await seen.page.evaluate(SMALL) == []
        assert await seen.page.evaluate("settings.scrollWidth <= settings.clientWidth")


async def test_the_conversation_has_the_room_on_a_phone(look) -> None:
    async with look(viewport={"width": 375, "height": 667}, has_touch=True, is_mobile=True) as seen:
        await seen.state("ready")
        await busy(seen)
        await seen.holds("conversation.clientHeight >= 0.55 * innerHeight")  # once its parts have come to rest
        seen.server.ended("error", "Something broke.")
        await seen.page.wait_for_selector("#problem h2")
        await settled(seen)
        overlaps = """() => {
          const parts = ['.top', '#problem', '.talk', '.stage', '#composer', '#strip'];
          const boxes = parts.map((s) => document.querySelector(s).getBoundingClientRect());
          return boxes.slice(1).filter((r, i) => r.top < boxes[i].bottom - 1).length;
        }"""
        assert await seen.page.evaluate(overlaps) == 0
        assert await seen.page.evaluate("conversation.clientHeight >= 0.25 * innerHeight")


async def test_a_phone_on_its_side(look) -> None:
    async with look(viewport={"width": 740, "height": 340}) as seen:
        await seen.state("ready")
        await busy_without_table(seen)
        for part in ("#orb", "#hang-up", "#composer"):
            assert await seen.page.evaluate(
                "(s) => document.querySelector(s).getBoundingClientRect().bottom <= innerHeight", part
            ), part
        assert await seen.page.evaluate("conversation.clientHeight >= 60")


async def busy_without_table(seen) -> None:
    await seen.call()
    seen.server.say(transcript(1, "Hello."), *whole(1, "Hello."), metrics(1), stats(100, 0))
    await seen.sees(".reply", "Hello.")


async def test_the_whole_way_by_keyboard(seen) -> None:
    page = seen.page
    focus = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
    order = []
    for _ in range(4):
        await page.keyboard.press("Tab")
        order.append(await page.evaluate(focus))
    assert order == ["open-settings", "orb", "text", "Send"]
    await page.focus("#orb")
    outline = await page.locator("#orb").evaluate(
        "(e) => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth"
    )
    assert outline == "solid3px"
    await page.keyboard.press("Enter")
    await seen.up()
    await page.keyboard.press("Tab")
    assert await page.evaluate(focus) == "mute"
    await page.keyboard.press("Space")
    await seen.state("muted")
    await page.keyboard.press("Space")
    await seen.state("listening")
    await page.focus("#open-settings")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#settings[open]")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#settings", state="hidden")
    assert await page.evaluate(focus) == "open-settings"  # back to where it was
    await page.focus("#hang-up")
    await page.keyboard.press("Enter")
    await seen.state("ready")


async def test_focus_is_not_lost_when_the_call_ends(seen) -> None:
    await seen.call()
    await seen.page.focus("#hang-up")
    await seen.page.keyboard.press("Enter")
    await seen.state("ready")
    assert await seen.page.evaluate("document.activeElement.id") == "orb"


async def test_live_regions(seen) -> None:
    roles = """Object.fromEntries(['problem', 'status', 'announcer']
      .map((id) => [id, document.getElementById(id).getAttribute('role')]))"""
    assert await seen.page.evaluate(roles) == {"problem": "alert", "status": "status", "announcer": "log"}
    assert await seen.page.locator("#transcript, #conversation, #state, #hint").evaluate_all(
        "(e) => e.every((x) => !x.closest('[aria-live], [role=log], [role=status], [role=alert]'))"
    )
    await seen.page.click("#open-settings")
    await seen.page.uncheck("input[name=announce]")
    await seen.page.keyboard.press("Escape")
    await seen.call()
    seen.server.say(transcript(1, "Hello."))
    await seen.sees(".turn", "Hello.")
    assert await seen.text("#announcer") == ""


async def test_every_control_has_a_name(seen) -> None:
    await busy(seen)
    await seen.page.click("#open-settings")
    tree = await seen.page.locator("body").aria_snapshot()
    for name in ("Microphone", "Talking", "Language", "Voice", "Captions", "Close settings"):
        assert f'"{name}"' in tree, tree


async def test_reduced_motion(look) -> None:
    async with look(reduced_motion="reduce") as seen:
        await seen.state("ready")
        await busy(seen)
        seen.server.say(state("thinking"))
        await seen.state("thinking")
        assert await seen.page.evaluate("document.getAnimations().length") == 0
