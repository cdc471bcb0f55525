"""A server of the bench's own: waited for, told apart from one that fails, and really ended."""

import sys
from pathlib import Path

import psutil
import pytest

from voxrtc.bench.server import NoServer, Server

SCRIPT = str(Path(__file__).with_name("tone_server.py"))


async def test_started_and_ended():
    async with Server(command=(sys.executable, SCRIPT)) as server:
        assert server.start_s > 0
        assert psutil.pid_exists(server.pid or 0)
        pid = server.pid
    assert not psutil.pid_exists(pid or 0)


async def test_ended_when_the_bench_fails():
    server = Server(command=(sys.executable, SCRIPT))

    async def fail() -> None:
        async with server:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not psutil.pid_exists(server.pid or 0)


async def test_server_that_fails_to_start():
    with pytest.raises(NoServer, match=r"(?s)status 3.*the reason why"):
        async with Server(command=(sys.executable, "-c", "print('the reason why'); raise SystemExit(3)")):
            pass


async def test_server_that_never_gets_ready():
    command = (sys.executable, "-c", "import signal; print('loading', flush=True); signal.pause()")
    with pytest.raises(NoServer, match=r"not ready within 0\.5 s"):
        async with Server(command=command, timeout_s=0.5):
            pass
