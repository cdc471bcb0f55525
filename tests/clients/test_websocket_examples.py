"""The examples of docs/ for /ws, run as they stand against a real server."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import async_playwright

from tests.chromium import CHROMIUM, FLAGS
from tests.e2e.running import ROOT, Server, start, stop
from tests.e2e.speech import RATE, apart, error_rate, read, transcribe, write
from voxrtc.audio import SPOKEN_RATE, from_pcm16, resample

pytestmark = [pytest.mark.models, pytest.mark.timeout(200)]

EXAMPLES = ROOT / "docs" / "examples"
MODULES = ROOT / "tests" / "clients" / "node" / "node_modules"
CLIP = ROOT / "tests" / "data" / "austen-0880.wav"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("server"), DIALOGUE__MAX_REPLY_TOKENS="24")
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


async def check(lines: list[str], sound: bytes, tmp_path: Path) -> None:
    """Both sides were shown, and the sound that came is the words of the reply."""
    (you,) = [line.removeprefix("you: ") for line in lines if line.startswith("you: ")]
    assert error_rate(CLIP.with_suffix(".txt").read_text(), you) <= 0.25
    shown = " ".join(line.removeprefix("assistant: ") for line in lines if line.startswith("assistant: "))
    spoken = write(tmp_path / "spoken.wav", resample(from_pcm16(sound), SPOKEN_RATE, RATE) * 32767)
    assert apart(shown, await transcribe(spoken, tmp_path)) <= 0.25


def saved(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SPOKEN_RATE, 1, 2)
        return file.readframes(file.getnframes())


@pytest.mark.parametrize("language", ["python", "node"])
async def test_a_file_is_said_and_the_reply_saved(server: Server, tmp_path: Path, language: str) -> None:
    if language == "node" and not ((MODULES / "ws").is_dir() and shutil.which("node")):
        pytest.skip("no node, or its packages are not installed (make test does it)")
    program = [sys.executable, "websocket.py"] if language == "python" else ["node", "websocket.js"]
    reply = tmp_path / "reply.wav"
    process = await asyncio.create_subprocess_exec(
        *(program[0], EXAMPLES / program[1], server.url.replace("http", "ws") + "/ws", CLIP, reply),
        env=os.environ | {"NODE_PATH": str(MODULES)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, err) == (0, b"")
    await check(out.decode().splitlines(), saved(reply), tmp_path)
    await server.wait_idle()


@pytest.mark.skipif(shutil.which("node") is None, reason="no node")
@pytest.mark.parametrize(("modules", "why"), [(MODULES, "no connection to "), ("/nonexistent", "")])
async def test_what_goes_wrong_in_node_is_a_sentence(tmp_path: Path, modules: Path | str, why: str) -> None:
    """No server; and before node 22, no WebSocket."""
    if why and not (MODULES / "ws").is_dir():
        pytest.skip("node's packages are not installed (make test does it)")
    process = await asyncio.create_subprocess_exec(
        *("node", EXAMPLES / "websocket.js", "ws://127.0.0.1:9/ws", CLIP, tmp_path / "reply.wav"),
        env=os.environ | {"NODE_PATH": str(modules)},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    (line,) = err.decode().splitlines()
    assert line.startswith("failed: " + why)


def test_they_are_short() -> None:
    assert all(len((EXAMPLES / name).read_text().splitlines()) <= 31 for name in ("websocket.py", "websocket.js"))


@pytest.mark.browser
async def test_the_same_code_in_a_page(server: Server, tmp_path: Path) -> None:
    """In a page of the server's own, whose security policy must let it."""
    pcm = base64.b64encode(np.ascontiguousarray(read(CLIP)).tobytes()).decode()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        page = await browser.new_page()
        lines: list[str] = []
        page.on("console", lambda message: lines.append(message.text))
        await page.goto(server.url)
        await page.evaluate((EXAMPLES / "websocket.js").read_text() + "\nglobalThis.ask = ask; true")
        sound = await page.evaluate(
            """async ([pcm, rate]) => {
                const sound = Uint8Array.from(atob(pcm), (c) => c.charCodeAt(0));
                const reply = await ask(`ws://${location.host}/ws`, sound, rate);
                return reply.map((part) => [...part]).flat();
            }""",
            [pcm, RATE],
        )
        await browser.close()
    await check(lines, bytes(sound), tmp_path)
