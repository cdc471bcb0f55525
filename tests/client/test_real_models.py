"""voxrtc.Client and docs/examples/client.py against a server as a user starts it, with the small models."""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import voxrtc
from tests.client.test_client import until
from tests.e2e.running import ROOT, Server, start, stop
from tests.e2e.speech import apart, error_rate, transcribe

pytestmark = [pytest.mark.models, pytest.mark.timeout(240)]
EXAMPLE = ROOT / "docs" / "examples" / "client.py"
CLIP = "austen-0930"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("server"), DIALOGUE__TEMPERATURE="0", DIALOGUE__MAX_REPLY_TOKENS="24")
    try:
        server.wait_ready()
        yield server
    finally:
        stop(server)


async def example(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    return process.returncode, printed.decode()


async def test_the_example_as_it_stands(server: Server, data: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    status, printed = await example(server.url, str(data / f"{CLIP}.wav"), str(reply))
    assert status == 0, printed
    lines = printed.splitlines()
    (heard,) = [line.removeprefix("you: ") for line in lines if line.startswith("you: ")]
    said = " ".join(line.removeprefix("assistant: ") for line in lines if line.startswith("assistant: "))
    assert error_rate((data / f"{CLIP}.txt").read_text(), heard) <= 0.25
    assert apart(said, await transcribe(reply, tmp_path)) <= 0.25
    assert len(EXAMPLE.read_text().splitlines()) <= 31
    await server.wait_idle()


async def test_the_example_is_asked_what_only_its_function_knows(tmp_path: Path) -> None:
    """Typed as soon as the call is up. SmolLM2 calls no functions; Qwen does."""
    server = start(tmp_path, MODELS__LLM="qwen2.5-1.5b", DIALOGUE__PATIENCE_S="60.0")
    try:
        server.wait_ready(180)
        began = datetime.datetime.now(tz=datetime.UTC)
        status, printed = await example(server.url, "What time is it right now?", str(tmp_path / "reply.wav"))
        assert status == 0, printed
        minutes = [began + datetime.timedelta(minutes=n) for n in range(4)]  # it takes less than that
        told = {f"{time.hour % 12 or 12}:{time:%M}" for each in minutes for time in (each, each.astimezone())}
        told |= {f"{time:%H:%M}" for each in minutes for time in (each, each.astimezone())}
        assert any(time in printed for time in told), printed
    finally:
        stop(server)


async def test_the_example_where_nobody_is() -> None:
    status, printed = await example("http://127.0.0.1:9", "Hello?", "reply.wav")
    assert status == 1
    assert printed.startswith("the call failed: ")
    assert "Traceback" not in printed


async def test_a_server_that_is_killed(data: Path, tmp_path: Path) -> None:
    """It says no goodbye: told within seconds, in a sentence."""
    server = start(tmp_path)
    try:
        server.wait_ready()
        async with asyncio.timeout(60), voxrtc.Client(server.url, reconnect_s=2.0) as call:
            await until(call, "call_started")
            speaking = asyncio.create_task(call.speak(data / f"{CLIP}.wav"))
            for process in (server.host, server.main):
                os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(voxrtc.CallFailed, match=r"the call broke: the server is gone"):
                await until(call, "call_ended")
            await asyncio.gather(speaking, return_exceptions=True)
    finally:
        server.process.kill()
        server.process.wait()
