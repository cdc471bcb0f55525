"""A real Chromium on the page, against the stand-in server; whatever the page complains about fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.chromium import CHROMIUM, FLAGS, MICROPHONE
from tests.web.fake_server import FakeServer, serving

RESOLVER = "--host-resolver-rules=MAP voxrtc.test 127.0.0.1"
"""A name that is not this machine's own, for the page without HTTPS."""

WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation',
  (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
window.tracks = []; window.peers = []; window.contexts = [];
const media = navigator.mediaDevices;
if (media) {
  const open = media.getUserMedia.bind(media);
  media.getUserMedia = async (wish) => {
    window.wish = wish;
    const stream = await open(wish);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); window.peers.push(this); }
};
window.AudioContext = class extends AudioContext {
  constructor(...args) { super(...args); window.contexts.push(this); }
};
"""


@dataclass
class Seen:
    """An opened page, its server, and what the page complained about."""

    page: Page
    server: FakeServer
    complaints: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()
    """Parts of complaints that belong to the test (the browser reports every refused request)."""

    async def state(self, name: str) -> None:
        await self.page.wait_for_selector(f"html[data-state={name}]", timeout=20_000)

    async def call(self) -> None:
        """Press the round button, and wait until the call is up."""
        before = len(self.server.lines)
        await self.page.click("#orb")
        await self.up(before)

    async def up(self, before: int = 0) -> None:
        await self.server.until(lambda: len(self.server.lines) > before and self.server.line.up.is_set())
        await self.state("listening")

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def text(self, selector: str) -> str:
        return " ".join((await self.page.inner_text(selector)).split())

    async def sees(self, selector: str, text: str) -> None:
        """Wait until ``text`` stands in ``selector``."""
        await self.page.locator(selector, has_text=text).first.wait_for(timeout=10_000)

    async def holds(self, condition: str) -> None:
        """Wait until a JavaScript expression is true. (wait_for_function would need eval, which the policy forbids.)"""
        look = f"const look = () => ({condition}) ? done() : setTimeout(look, 20);"
        async with asyncio.timeout(10):
            await self.page.evaluate(f"() => new Promise((done) => {{ {look} look(); }})")

    async def check(self) -> None:
        violations = await self.page.evaluate("window.violations ?? []")
        assert violations == []
        assert [c for c in self.complaints if not any(e in c for e in self.expected)] == []


Opener = Callable[..., Any]


async def _launch(*flags: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=[*FLAGS, RESOLVER, *flags]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async for browser in _launch(*MICROPHONE):
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bare_browser() -> AsyncIterator[Browser]:
    """Without a fake microphone, and with nobody to answer the question for it."""
    async for browser in _launch():
        yield browser


@asynccontextmanager
async def opened(browser: Browser, server: FakeServer, url: str | None = None, **how: Any) -> AsyncIterator[Seen]:
    how.setdefault("viewport", {"width": 1280, "height": 800})
    script = how.pop("script", "")
    expected = tuple(how.pop("expected", ()))
    context = await browser.new_context(**how)
    await context.add_init_script(WATCH + script)
    page = await context.new_page()
    seen = Seen(page, server, expected=expected)
    page.on("console", lambda m: seen.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: seen.complaints.append(f"pageerror: {e}"))
    try:
        await page.goto(url or server.url)
        yield seen
        await seen.check()
    finally:
        await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[FakeServer]:
    async with serving(FakeServer()) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def look(browser: Browser, server: FakeServer) -> Opener:
    """``async with look(**how) as seen``: the page in a context of its own."""
    return lambda **how: opened(browser, server, **how)


@pytest_asyncio.fixture(loop_scope="session")
async def seen(browser: Browser, server: FakeServer) -> AsyncIterator[Seen]:
    """The page on a desktop, ready to call."""
    async with opened(browser, server) as seen:
        await seen.state("ready")
        yield seen
