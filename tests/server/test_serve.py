"""The life of a server: in child processes as a user starts it, and inside this one where that shows more."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.calling import Guest, idle
from tests.e2e.running import ROOT, Server, free_port, get
from voxrtc.errors import ModelsError, VoxrtcError
from voxrtc.models import client
from voxrtc.server import serve as serve_module
from voxrtc.server.serve import Running, running, serve
from voxrtc.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.timeout(60)]

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers in child processes; no process may be left of them."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(factory: str = "make", **settings: str) -> Server:
        port, ops = free_port(), free_port()
        env = os.environ | {
            "VOXRTC_SERVER__PORT": str(port),
            "VOXRTC_OPS__PORT": str(ops),
            "VOXRTC_MODELS__LLM": "smollm2-135m",
            "LOG_LEVEL": "DEBUG",
        }
        env |= {key if key.isupper() and "__" not in key else f"VOXRTC_{key}": text for key, text in settings.items()}
        log = tmp_path / "server.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.server.child", factory],
                cwd=ROOT,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return Server(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ops}", log)

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
            pytest.fail("a server was left running")


def end(server: Server, number: signal.Signals) -> None:
    """The signal must end the server with status 0, and every process below it."""
    below = server.main.children(recursive=True)
    server.process.send_signal(number)
    assert server.process.wait(20) == 0, server.log.read_text()
    _, left = psutil.wait_procs(below, timeout=5)
    assert not left
    assert "Traceback" not in server.log.read_text()


def until(server: Server, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert server.process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.05)


def answers(url: str) -> tuple[int, dict] | None:
    try:
        return get(url)
    except OSError:
        return None


# -- as a user starts it --------------------------------------------------------------------------------------------


async def test_a_whole_life_in_which_nothing_said_is_logged(start: Start) -> None:
    server = start()
    server.wait_ready()
    printed = server.log.read_text()
    assert f"Open {server.url} and press" in printed
    assert "hears   ears" in printed
    guest = Guest()
    async with aiohttp.ClientSession() as http:
        offer = {"sdp": await guest.offer(), "type": "offer"}
        async with http.post(server.url + "/offer", json=offer) as answer:
            body = await answer.json()
        await guest.take(body["sdp"])
        await guest.until("call_started")
        for text in ("quince marmalade", "fail rhubarb", "refuse", "die"):
            guest.say(type="text", text=text)
            await guest.until("reply_ended")
        guest.channel.send('{"type": "text", "text": ["damson"]}')
        await guest.until("notice", code="bad_message")
        await asyncio.to_thread(server.wait_ready)  # the host that died has to come back
        async with http.post(server.url + "/offer", json={"sdp": "v=0 gooseberry", "type": "offer"}) as answer:
            assert answer.status == 422
    end(server, signal.SIGTERM)
    assert (await guest.until("call_ended"))["reason"] == "shutdown"
    await guest.close()
    log = server.log.read_text()
    assert f"call {body['session']}: over (shutdown)" in log
    assert "SIGKILL" in log, "the host's death is told"
    for private in ("quince", "rhubarb", "damson", "gooseberry", body["resume"]):
        assert private not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_models_load(start: Start, number: signal.Signals) -> None:
    server = start("fetching")
    loading = (503, {"status": "loading", "what": "fetching a-model", "fraction": 0.1})
    until(server, lambda: answers(server.url + "/ready") == loading)
    assert answers(server.ops + "/ready") == loading
    assert server.host.is_running()
    end(server, number)
    assert "stopped" in server.log.read_text()


def test_a_signal_while_files_are_fetched(start: Start, tmp_path: Path) -> None:
    """Another process fetches them, and this one waits for it."""
    folder = tmp_path / "cache" / "whisper-base"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = start(MODEL_CACHE_DIR=str(folder.parent))
        until(server, lambda: any(file.path == lock.name for file in server.main.open_files()))
        end(server, signal.SIGTERM)
    assert "stopped before it could begin" in server.log.read_text()


def test_a_host_that_cannot_load(start: Start) -> None:
    server = start("unloadable")
    assert server.process.wait(30) == 1
    log = server.log.read_text()
    assert "voxrtc: there is no model here; fetch one" in log
    assert "Traceback" not in log


def test_an_address_that_is_taken(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = start(SERVER__PORT=str(port))
        assert server.process.wait(30) == 1
    log = server.log.read_text()
    assert f"voxrtc: cannot listen on 127.0.0.1:{port}: address already in use" in log
    assert "set server.port to another" in log
    assert "Traceback" not in log


# -- inside this process --------------------------------------------------------------------------------------------


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a server whose host runs the scripted profile."""
    _host(monkeypatch, "make")
    return Settings.model_validate({"server": {"port": 0}, "ops": {"port": free_port()}})


def _host(monkeypatch: pytest.MonkeyPatch, factory: str) -> None:
    factory = f"tests.models.scripted:{factory}"
    monkeypatch.setattr(client, "COMMAND", (sys.executable, "-m", "voxrtc.models.host", "--profile-factory", factory))
    monkeypatch.chdir(ROOT)


def _nothing(what: str, fraction: float) -> None:
    pass


async def test_everything_is_freed(settings: Settings) -> None:
    before = asyncio.all_tasks()
    async with running(settings, _nothing) as server:
        assert server.ready.hears == "ears"
        assert server.host.pid is not None
        pid = server.host.pid
        async with aiohttp.ClientSession() as http, http.get(server.url + "/ready") as answer:
            assert answer.status == 200
    assert not psutil.pid_exists(pid)
    assert await idle(before) == set()
    with socket.create_server(("127.0.0.1", settings.ops.port)):
        pass


async def test_the_second_port_is_taken(settings: Settings) -> None:
    """Nothing stays of what was begun before that was known."""
    before = asyncio.all_tasks()
    port = free_port()
    taken = settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})
    with (
        socket.create_server(("127.0.0.1", settings.ops.port)),
        pytest.raises(VoxrtcError, match=r"already in use .*set ops\.port"),
    ):
        async with running(taken, _nothing):
            pass
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert await idle(before) == set()


async def test_the_port_for_tcp(settings: Settings) -> None:
    """It is open while the server runs, and a caller on it is told of the end."""
    port = free_port()
    with_tcp = settings.model_copy(update={"tcp": settings.tcp.model_copy(update={"port": port})})
    async with running(with_tcp, _nothing):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(len(b'{"type": "hello"}').to_bytes(4, "big") + b'{"type": "hello"}')
        assert b"call_started" in await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
    assert b'"reason":"shutdown"' in await reader.read()
    writer.close()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(VoxrtcError, match=r"already in use .*set tcp\.port"):
        async with running(with_tcp, _nothing):
            pass


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("192.0.2.1", "server.host is no address of this machine"),
        ("no-such-host.invalid", "server.host is no address of this machine"),
    ],
)
async def test_addresses_that_are_none(settings: Settings, host: str, says: str) -> None:
    wrong = settings.model_copy(update={"server": settings.server.model_copy(update={"host": host})})
    with pytest.raises(VoxrtcError, match=says) as raised:
        async with running(wrong, _nothing):
            pass
    assert f"{host}:0" in str(raised.value)


def test_ports_that_need_privileges() -> None:
    why = serve_module._why(OSError(errno.EACCES, "wrapped in a long sentence"), "ops")
    assert why == "permission denied (ports below 1024 need privileges; set ops.port to another)"


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("::", "localhost"), ("::1", "[::1]"), ("box", "box")],
)
def test_urls_can_be_opened(host: str, shown: str) -> None:
    assert serve_module._shown(host) == shown


async def test_everything_ends_even_if_a_part_of_it_cannot(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object) -> None:
        raise RuntimeError("no way")

    monkeypatch.setattr(serve_module.Calls, "close", broken)
    with pytest.raises(RuntimeError, match="no way"):
        async with running(settings, _nothing) as server:
            pid = server.host.pid
    assert pid is not None
    assert not psutil.pid_exists(pid)
    with socket.create_server(("127.0.0.1", settings.ops.port)):
        pass


@pytest.mark.parametrize("how", ["signal", "cancel"])
async def test_serve_until_stopped(settings: Settings, how: str) -> None:
    before = asyncio.all_tasks()
    up: asyncio.Queue[Running] = asyncio.Queue()
    serving = asyncio.create_task(serve(settings, _nothing, up.put_nowait))
    server = await up.get()
    assert server.host.pid is not None
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    else:
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
    assert not psutil.pid_exists(server.host.pid or 1 << 22)
    assert await idle(before) == set()


async def test_what_the_start_dies_of_comes_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    _host(monkeypatch, "buggy")
    with pytest.raises(ModelsError, match="ZeroDivisionError"):
        await serve(settings, _nothing, lambda server: None)
    assert await idle(before) == set()
