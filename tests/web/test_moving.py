"""The page on a network that changes: the real server, a real Chromium, and a UDP proxy that goes dead on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any

import psutil
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page

from tests.calling import Exchange
from tests.chromium import AUTOPLAY, MICROPHONE
from tests.test_moving import Recorded
from tests.web.conftest import _launch, opened
from tests.web.fake_server import FakeServer
from voxrtc.bench.detour import Detour, anonymous
from voxrtc.bench.impair import Impairment
from voxrtc.calls import Answered
from voxrtc.server.app import make_app, make_runner
from voxrtc.server.status import Status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="session")]

DEAD = Impairment(down=True)
LIMIT_S = 6.0
"""For a machine with other things to do; what it takes on one that has not is printed."""

ENERGY = """
window.heard = []; window.phases = [];
setInterval(async () => {
  let energy = 0;
  for (const pc of window.peers) {
    if (pc.connectionState !== 'connected') continue;
    pc.upAt ??= performance.now();
    for (const one of (await pc.getStats()).values()) {
      if (one.type === 'inbound-rtp') energy += one.totalAudioEnergy ?? 0;
    }
  }
  if (energy > (window.energy ?? 0) + 1e-6) window.heard.push(performance.now());
  window.energy = energy;
}, 20);
new MutationObserver(() => window.phases.push([performance.now(), document.documentElement.dataset.state]))
  .observe(document, { subtree: true, attributes: true, attributeFilter: ['data-state'] });
"""
"""When sound came, at any peer, and what the page showed; in ms of the page's clock."""


class Road:
    """The real server behind one proxy a line: ``lines[-1]`` is the newest."""

    def __init__(self, exchange: Exchange, stack: ExitStack) -> None:
        self.exchange = exchange
        self.lines: list[Detour] = []
        self.port = 0
        self._stack = stack
        self._offer = exchange.calls.offer
        exchange.calls.offer = self.offer  # type: ignore[method-assign]
        exchange.calls.add_candidates = self.add_candidates  # type: ignore[method-assign, assignment]

    async def offer(self, sdp: str, *more: Any, **others: Any) -> Answered:
        answered = await self._offer(anonymous(sdp), *more, **others)
        self.lines.append(self._stack.enter_context(Detour()))
        return Answered(answered.session, self.lines[-1].reroute(answered.sdp), answered.resume)

    async def add_candidates(self, *_: Any) -> list[Any]:
        return []  # the caller is to be found through the proxy only

    def cut(self) -> None:
        self.lines[-1].impair(up=DEAD, down=DEAD)


@pytest_asyncio.fixture(loop_scope="session")
async def road() -> AsyncIterator[Road]:
    replies = ["A recording of six seconds. " * 5]
    exchange = Exchange(Recorded(replies=replies, asr_s=0.0, first_token_s=0.0, token_s=0.0))
    with ExitStack() as stack:
        road = Road(exchange, stack)
        runner = make_runner(
            make_app(exchange.settings, exchange.calls, Status(exchange.models, warm=True), exchange.metrics)
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        road.port = runner.addresses[0][1]
        yield road
        await exchange.close()
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async for browser in _launch(*MICROPHONE, AUTOPLAY):
        yield browser


async def story(page: Page) -> None:
    """Call, ask for a long reply, and wait until it sounds."""
    await page.wait_for_selector("html[data-state=ready]", timeout=10_000)
    await page.click("#orb")
    await page.wait_for_selector("html[data-state=listening]")
    await page.click("#mute")  # the fake microphone beeps
    await page.fill("#text", "Go on.")
    await page.press("#text", "Enter")
    await page.wait_for_selector("html[data-state=speaking]")
    async with asyncio.timeout(10):
        await page.evaluate("() => new Promise((done) => { const look = () => heard.length > 50 ? done() "
                            ": setTimeout(look, 20); look(); })")  # fmt: skip


async def again_s(page: Page, since: float) -> tuple[float, float]:
    """Wait until it sounds on another line. Returns when the longest silence after ``since`` (ms of the page's clock)
    was over, and how long that was, in seconds."""
    async with asyncio.timeout(LIMIT_S + 5):
        await page.evaluate(
            "() => new Promise((done) => { const look = () => peers.length > 1 && "
            "heard.filter((at) => at > peers.at(-1).upAt + 300).length > 8 ? done() : setTimeout(look, 20); look(); })"
        )
    gaps = await page.evaluate(
        "(since) => { const after = [since, ...heard.filter((at) => at > since)];"
        "return after.slice(1).map((at, i) => [at - after[i], at - since]); }", since
    )  # fmt: skip
    longest, over = max(gaps)
    return over / 1000, longest / 1000


async def phases(page: Page, since: float) -> list[str]:
    return await page.evaluate("(since) => phases.filter(([at]) => at > since).map(([, state]) => state)", since)


def look(browser: Browser, road: Road, **how: Any) -> Any:
    how.setdefault("expected", ["Failed to load resource"])
    script = ENERGY + how.pop("script", "")
    return opened(browser, FakeServer(), f"http://127.0.0.1:{road.port}/", script=script, **how)


async def test_a_line_that_dies_without_a_word(browser: Browser, road: Road) -> None:
    async with look(browser, road) as seen:
        await story(seen.page)
        road.cut()
        since = await seen.page.evaluate("performance.now()")
        took, silent = await again_s(seen.page, since)
        print(f"the line died: sound again after {took:.2f} s, {silent:.2f} s of silence")
        assert took < LIMIT_S
        assert "reconnecting" in await phases(seen.page, since)
        assert len(road.lines) == 2
        assert road.exchange.counted("voxrtc_calls_resumed_total") == 1


async def test_a_network_that_goes_and_another_that_comes(browser: Browser, road: Road) -> None:
    async with look(browser, road) as seen:
        await story(seen.page)
        road.cut()
        since = await seen.page.evaluate("performance.now()")
        await seen.page.context.set_offline(True)
        await asyncio.sleep(0.5)  # between two networks
        await seen.page.context.set_offline(False)
        took, silent = await again_s(seen.page, since)
        print(f"0.5 s without a network: sound again after {took:.2f} s, {silent:.2f} s of silence")
        assert took < LIMIT_S
        assert road.exchange.counted("voxrtc_calls_resumed_total") >= 1


LINK = """
const link = new EventTarget(); link.type = 'wifi';
Object.defineProperty(navigator, 'connection', { value: link });
window.change = (type) => { link.type = type; link.dispatchEvent(new Event('change')); };
"""


async def test_a_network_that_changes_while_the_old_one_works(browser: Browser, road: Road) -> None:
    async with look(browser, road, script=LINK) as seen:
        await story(seen.page)
        since = await seen.page.evaluate("performance.now()")
        await seen.page.evaluate("change('cellular')")
        _, silent = await again_s(seen.page, since)
        print(f"both networks up: the longest silence was {silent:.2f} s")
        assert silent < 1.5
        assert "reconnecting" not in await phases(seen.page, since)
        assert len(road.lines) == 2


async def test_a_second_tab_with_the_same_token_takes_the_call_once(browser: Browser, road: Road) -> None:
    """A tab that was duplicated has the token too. Each would call again whenever the other took the call."""
    async with look(browser, road) as seen:
        await story(seen.page)
        token = await seen.page.evaluate("sessionStorage.getItem('voxrtc.resume')")
        async with look(browser, road, script=f"sessionStorage.setItem('voxrtc.resume', {token!r});") as other:
            await other.page.wait_for_selector("html[data-state=resumable]")
            await other.page.click("#orb")
            await seen.sees("#problem h2", "The call goes on in another tab")
            await asyncio.sleep(1.5)  # it would be back by now
            assert await other.page.get_attribute("html", "data-state") in ("listening", "thinking", "speaking")
            assert len(road.lines) == 2
            assert road.exchange.counted("voxrtc_calls_resumed_total") == 1
            assert await seen.page.evaluate("sessionStorage.getItem('voxrtc.resume')") is None


async def test_a_browser_that_is_killed_is_missed(road: Road) -> None:
    mine = psutil.Process()
    before = set(mine.children(recursive=True))
    async for browser in _launch(*MICROPHONE, AUTOPLAY):
        killed = [one for one in mine.children(recursive=True) if one not in before and "chrom" in one.name()]
        page = await (await browser.new_context()).new_page()
        await page.add_init_script("window.heard = Array(99);")
        await page.goto(f"http://127.0.0.1:{road.port}/")
        await story(page)
        since = time.monotonic()
        for one in killed:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        async with asyncio.timeout(15):
            # A look from outside: the metrics tell nobody.
            while not road.exchange.counted("voxrtc_connections_lost_total", reason="lost"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        took = time.monotonic() - since
        print(f"a killed browser was missed after {took:.2f} s")
        assert took < 8.0
        assert road.exchange.calls.active == 0


async def test_a_page_that_is_shown_again_on_a_dead_line(browser: Browser, road: Road) -> None:
    """Its timers stood still, as on a phone: only the look at the line tells."""
    script = "const repeat = setInterval; window.setInterval = (f, ms) => (ms === 250 ? 1e9 : repeat(f, ms));"
    async with look(browser, road, script=script) as seen:
        await story(seen.page)
        road.cut()
        await asyncio.sleep(1.0)
        assert await seen.page.get_attribute("html", "data-state") == "speaking"
        since = await seen.page.evaluate("performance.now()")
        await seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        took, silent = await again_s(seen.page, since)
        print(f"shown again: sound again after {took:.2f} s, {silent:.2f} s of silence")
        assert took < LIMIT_S
