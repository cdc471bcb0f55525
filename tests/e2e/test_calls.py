"""Calls by script: `voxrtc call`, a host that is killed, callers that come and go, bad input."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from tests.e2e.running import Server, start, stop
from tests.e2e.speech import apart, error_rate, script, transcribe

pytestmark = [pytest.mark.models, pytest.mark.timeout(240)]


async def voxrtc(*arguments: str) -> tuple[int, str]:
    """Run the command line; exit status and everything it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voxrtc.cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_voxrtc_call(server: Server, data: Path, tmp_path: Path) -> None:
    """One command plays a file into a call and tells what came of it."""
    reply, report = tmp_path / "reply.wav", tmp_path / "report.json"
    arguments = ("--url", server.url, "--out", str(reply), "--json", str(report))
    status, printed = await voxrtc("call", str(data / "austen-0930.wav"), *arguments)
    assert status == 0, printed
    told = json.loads(report.read_text())
    assert error_rate((data / "austen-0930.txt").read_text(), told["transcript"]) <= 0.25
    assert told["reply"]
    assert told["transcript"] in printed
    assert apart(told["reply"], await transcribe(reply, tmp_path)) <= 0.25
    await server.wait_idle()


async def test_a_call_without_words_is_not_answered(server: Server, tmp_path: Path) -> None:
    status, printed = await voxrtc("call", str(script(tmp_path / "silence.wav", 2.0)), "--url", server.url)
    assert status == 1, printed
    await server.wait_idle()


async def test_a_call_to_nobody(tmp_path: Path, data: Path) -> None:
    status, printed = await voxrtc("call", str(data / "austen-0930.wav"), "--url", "http://127.0.0.1:9")
    assert status == 1
    assert "127.0.0.1:9" in printed
    assert "Traceback" not in printed


async def test_the_host_is_killed_in_mid_call(storyteller: Server, data: Path, tmp_path: Path) -> None:
    """The call stays up, an apology is heard, the host comes back, the next turn is answered."""
    caller = RTCPeerConnection()
    channel = caller.createDataChannel("voxrtc")
    events: asyncio.Queue[dict] = asyncio.Queue()
    channel.on("message", lambda message: events.put_nowait(json.loads(message)))
    caller.addTransceiver("audio", direction="recvonly")

    async def until(kind: str, **wanted: object) -> dict:
        async with asyncio.timeout(60):
            while True:
                event = await events.get()
                if event["type"] == kind and all(event[key] == value for key, value in wanted.items()):
                    return event

    session = await connect(caller, storyteller.url)
    try:
        await until("call_started")
        channel.send(json.dumps({"type": "text", "text": "Tell me about the sea."}))
        await until("reply_started")
        killed = storyteller.host.pid
        os.kill(killed, signal.SIGKILL)
        await until("reply_ended", ended="failed")
        channel.send(json.dumps({"type": "text", "text": "And about the moon."}))
        await until("reply_started")
        await until("reply_spoken")
        assert storyteller.host.pid != killed
        assert caller.connectionState == "connected"
        channel.send(json.dumps({"type": "interrupt"}))
        await until("reply_ended", ended="interrupted")
    finally:
        await hang_up(storyteller.url, session)
        await caller.close()
    await storyteller.wait_idle()


async def test_twenty_calls_leave_nothing_behind(server: Server, tmp_path: Path) -> None:
    """No task, thread, socket or memory stays after calls that ended."""

    async def one() -> None:
        caller = RTCPeerConnection()
        caller.createDataChannel("voxrtc")
        caller.addTransceiver("audio", direction="recvonly")
        session = await connect(caller, server.url)
        await hang_up(server.url, session)
        await caller.close()

    def held() -> tuple[list[str], int, int]:
        return server.tasks, server.main.num_threads(), server.main.num_fds()

    for _ in range(3):
        await one()
    await server.wait_idle()
    tasks, threads, files = held()
    memory = server.main.memory_info().rss
    for _ in range(20):
        await one()
    await server.wait_idle()
    now_tasks, now_threads, now_files = held()
    assert now_tasks == tasks
    assert now_threads <= threads
    assert now_files <= files + 2, "keep-alive connections of this test may differ"
    assert server.main.memory_info().rss - memory < 20e6


async def test_a_full_server_says_so_and_takes_the_next_caller_later(data: Path, tmp_path: Path) -> None:
    server = start(tmp_path, SERVER__MAX_CALLS="1")
    first, second = RTCPeerConnection(), RTCPeerConnection()
    try:
        async with aiohttp.ClientSession() as http:
            early = await http.get(server.url + "/ready") if server.process.poll() is None and listens(server) else None
            if early is not None and early.status == 503:
                assert (await early.json())["status"] == "loading"
            await asyncio.to_thread(server.wait_ready)
            for caller in (first, second):
                caller.createDataChannel("voxrtc")
                caller.addTransceiver("audio", direction="recvonly")
            session = await connect(first, server.url)
            await second.setLocalDescription(await second.createOffer())
            offer = {"sdp": second.localDescription.sdp, "type": "offer"}
            refused = await http.post(server.url + "/offer", json=offer)
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert (await refused.json())["error"]["code"] == "full"
            await hang_up(server.url, session)
            taken = await http.post(server.url + "/offer", json=offer)
            assert taken.status == 200
            await hang_up(server.url, (await taken.json())["session"])
    finally:
        await first.close()
        await second.close()
        stop(server)


def listens(server: Server) -> bool:
    return any(c.status == psutil.CONN_LISTEN for c in server.main.net_connections("tcp"))


async def connect(caller: RTCPeerConnection, url: str) -> str:
    """Offer, take the answer, wait until connected; the session's name."""
    connected = asyncio.Event()
    caller.on("connectionstatechange", lambda: caller.connectionState == "connected" and connected.set())
    await caller.setLocalDescription(await caller.createOffer())
    async with aiohttp.ClientSession() as http:
        answer = await http.post(url + "/offer", json={"sdp": caller.localDescription.sdp, "type": "offer"})
        assert answer.status == 200, await answer.text()
        body = await answer.json()
    await caller.setRemoteDescription(RTCSessionDescription(body["sdp"], "answer"))
    async with asyncio.timeout(15):
        await connected.wait()
    return body["session"]


async def hang_up(url: str, session: str) -> None:
    async with aiohttp.ClientSession() as http:
        answer = await http.delete(f"{url}/offer/{session}")
        assert answer.status == 204, await answer.text()
