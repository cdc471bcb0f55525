"""Make the pictures of the page for the README: ``python -m tests.web.screenshots`` writes docs/img/page-*.png.

The conversation in them is scripted (see fake_server.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.chromium import CHROMIUM, FLAGS, MICROPHONE
from tests.web.conftest import Seen, opened
from tests.web.fake_server import FakeServer, serving
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

IMAGES = Path(__file__).parents[2] / "docs" / "img"
LOUD = """() => new Promise((done) => {
  const canvas = document.getElementById('ring');
  const look = () => (canvas.getContext('2d').getImageData(12, canvas.height / 2, 8, 1).data.some(Boolean) ? done()
    : requestAnimationFrame(look));
  look();
})"""

SETTLED = "Promise.all(document.getAnimations().map((a) => a.finished))"


def lighthouse(server: FakeServer) -> None:
    server.say(
        transcript(1, "Tell me about the lighthouse on the rock."),
        started(1),
        clause(1, 0, "It was built in eighteen ninety, an hour by boat from the coast,"),
        clause(1, 1, "and for forty years one family kept the lamp."),
        ended(1, "interrupted", "It was built in eighteen ninety, an hour by boat"),
        {"type": "speech_paused", "at": 1920, "end": 0},
        metrics(1, asr_ms=170.0, first_token_ms=120.0, first_audio_ms=520.0, voice_to_voice_ms=612.0),
        transcript(2, "Can you still visit it?"),
        started(2),
        tool_called("a", "boat_times", day="today"),
        tool_ended("a", "boat_times"),
        clause(2, 0, "Yes, in summer."),
        clause(2, 1, "A boat leaves the harbour at ten,"),
        clause(2, 2, "if the sea is calm enough to land."),
        spoken(2, 0, 0),
        spoken(2, 1, 16),
        metrics(2, asr_ms=140.0, first_token_ms=95.0, first_audio_ms=430.0, voice_to_voice_ms=604.0),
        stats(3000, 9),
        state("speaking"),
    )


def morning(server: FakeServer) -> None:
    server.say(
        transcript(1, "Good morning! What should I wear for a walk?"),
        *whole(1, "Good morning!", "It is nine degrees and bright,", "so a light jacket will do."),
        {"type": "speech_paused", "at": 1920, "end": 0},
        metrics(1, asr_ms=170.0, first_token_ms=120.0, first_audio_ms=520.0, voice_to_voice_ms=612.0),
        stats(3000, 9),
        transcript(2, "And will it stay dry until", False),
    )


async def take(browser: Browser, name: str, tell: Callable[[FakeServer], None], **how: Any) -> None:
    async with serving(FakeServer()) as server, opened(browser, server, expected=["willReadFrequently"], **how) as seen:
        await _begin(seen)
        tell(server)
        await seen.sees("#link", "Direct")
        await seen.page.evaluate(SETTLED)
        await seen.page.evaluate(LOUD)
        await seen.page.mouse.move(0, 0)
        await seen.page.screenshot(path=IMAGES / name)


async def _begin(seen: Seen) -> None:
    await seen.state("ready")
    await seen.call()


async def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    async with async_playwright() as playwright:
        args = [*FLAGS, *MICROPHONE]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=args)
        shots: list[Awaitable[None]] = [
            take(browser, "page-desktop-light.png", lighthouse),
            take(browser, "page-desktop-dark.png", lighthouse, color_scheme="dark"),
            take(browser, "page-phone.png", morning, **phone),
        ]
        for shot in shots:
            await shot
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
