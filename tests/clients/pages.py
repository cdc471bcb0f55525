"""Pages with the stock clients of others in them, and a microphone that speaks when it is told to."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.chromium import AUTOPLAY, CHROMIUM, FLAGS, MICROPHONE
from tests.e2e.running import ROOT

_HERE = Path(__file__).parent
_MODULES = _HERE / "node" / "node_modules"
_HTML = (
    '<!doctype html><meta charset="utf-8"><title>a client</title><audio autoplay></audio><script src="app.js"></script>'
)

_PEERS = """
const Native = window.RTCPeerConnection;
window.peers = [];
window.came = [];
window.RTCPeerConnection = class extends Native {
  constructor(...args) {
    super(...args);
    window.peers.push(this);
  }
  createDataChannel(...args) {
    const channel = super.createDataChannel(...args);
    channel.addEventListener("message", ({ data }) => window.came.push(JSON.parse(data)));
    return channel;
  }
};
"""
"""Keeps the connections that the client makes, and the messages that come."""

_MICROPHONE_OF_CLIPS = """
const context = new AudioContext();
const voice = context.createGain();
navigator.mediaDevices.getUserMedia = async () => {
  const line = context.createMediaStreamDestination();
  voice.connect(line);
  return line.stream;
};
window.speak = async (clip) => {
  const sound = await (await fetch(clip)).arrayBuffer();
  const source = new AudioBufferSourceNode(context, { buffer: await context.decodeAudioData(sound) });
  source.connect(voice);
  window.said = new Promise((over) => (source.onended = over));
  source.start();
};
"""
"""A microphone into which recorded words are spoken when it is their turn, however slow the machine is. A clip is begun
by ``speak``; ``said`` is a promise of its end."""

ENERGY = """
async () => {
  const stats = [...(await window.peers.at(-1).getStats()).values()];
  return stats.find((one) => one.type === "inbound-rtp" && one.kind === "audio").totalAudioEnergy;
}
"""
"""What has been heard so far, in seconds at full loudness (W3C webrtc-stats); silence adds nothing."""


SENT = """
async () => {
  const stats = [...(await window.peers.at(-1).getStats()).values()];
  return stats.find((one) => one.type === "outbound-rtp" && one.kind === "audio").packetsSent;
}
"""
"""How many packets of sound, of 20 ms each, have gone out."""


def installed(package: str) -> bool:
    """Whether there is node, and that package of it."""
    return (_MODULES / package).is_dir() and shutil.which("node") is not None


def bundled(name: str, folder: Path) -> Path:
    """The code of the page ``name`` and the packages that it imports, as one script."""
    out = folder / "app.js"
    command = (
        _MODULES / ".bin" / "esbuild",
        _HERE / f"{name}.js",
        "--bundle",
        f"--outfile={out}",
        "--log-level=warning",
    )
    done = subprocess.run(command, env=os.environ | {"NODE_PATH": str(_MODULES)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@asynccontextmanager
async def _served(bundle: Path) -> AsyncIterator[str]:
    """The page at an address of its own, which is another origin than the server's."""
    app = web.Application()

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_HTML, content_type="text/html")

    async def code(_: web.Request) -> web.FileResponse:
        return web.FileResponse(bundle)

    app.add_routes([web.get("/", page), web.get("/app.js", code), web.static("/clips", ROOT / "tests" / "data")])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def page_of(bundle: Path, pardoned: str | None = None) -> AsyncIterator[Page]:
    """The page in a browser. It must throw nothing to its end, but for errors that say ``pardoned``."""
    async with _served(bundle) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[*FLAGS, *MICROPHONE, AUTOPLAY],
            ignore_default_args=["--mute-audio"],
        )
        try:
            page = await browser.new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.add_init_script(_PEERS + _MICROPHONE_OF_CLIPS)
            await page.goto(url)
            yield page
            complaints = [one for one in complaints if pardoned is None or pardoned not in one]
            assert not complaints, complaints
        finally:
            await browser.close()
