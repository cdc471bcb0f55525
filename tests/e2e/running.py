"""A real server as a user starts it, in a process of its own, with the embedded models (SmolLM2: quick to load)."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url: str) -> tuple[int, dict]:
    """Status and JSON body of a GET, error statuses included."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@dataclass
class Server:
    """A running `voxrtc serve`."""

    process: subprocess.Popen
    url: str
    ops: str
    log: Path

    @property
    def tasks(self) -> list[str]:
        return get(self.ops + "/debug/tasks")[1]["tasks"]

    async def idle_tasks(self) -> list[str]:
        """The tasks that run when the calls of earlier tests are over: what later ones must leave behind."""
        await self.wait_idle(30)
        return self.tasks

    @property
    def health(self) -> dict:
        return get(self.ops + "/health")[1]

    @property
    def main(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    @property
    def host(self) -> psutil.Process:
        """The process that holds the models."""
        (host,) = [p for p in self.main.children() if any("voxrtc.models.host" in part for part in p.cmdline())]
        return host

    def wait_ready(self, seconds: float = START_S) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the server died:\n{self.log.read_text()[-3000:]}"
            try:
                if get(self.url + "/ready")[0] == 200:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass  # it does not listen yet
            time.sleep(0.1)
        raise AssertionError(f"not ready after {seconds} s:\n{self.log.read_text()[-3000:]}")

    async def wait_idle(self, seconds: float = 15) -> None:
        """Until no call is left."""
        until = time.monotonic() + seconds
        while (health := self.health)["calls"] or health["sessions_waiting"]:
            assert time.monotonic() < until, health
            await asyncio.sleep(0.1)


def start(folder: Path, **settings: str) -> Server:
    """Start a server with ``settings`` as environment (SERVER__MAX_CALLS="2")."""
    port, ops = free_port(), free_port()
    env = os.environ | {
        "VOXRTC_SERVER__PORT": str(port),
        "VOXRTC_OPS__PORT": str(ops),
        "VOXRTC_MODELS__LLM": "smollm2-135m",
        "VOXRTC_DIALOGUE__RESUME_S": "3.0",
    }
    env |= {f"VOXRTC_{key}": value for key, value in settings.items()}
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "voxrtc.cli", "serve"], cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT
        )
    return Server(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ops}", log)


def stop(server: Server) -> None:
    """SIGTERM must end it, and its host with it, within bounds."""
    if server.process.poll() is None:
        children = server.main.children(recursive=True)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
        _, left = psutil.wait_procs(children, timeout=10)
        assert not left, f"left behind: {left}"
    assert server.process.returncode == 0, server.log.read_text()[-3000:]
