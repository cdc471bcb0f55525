"""What runs in the lab: the real server, callers and the impairment proxies, each a process in its namespace."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.coturn import Coturn, coturn
from tests.lab.lab import CLOUD, HOME, HTTP_PORT, MEDIA_PORTS, SERVER, STUN_PORT, TLS_PORT, TURN, Lab

ROOT = Path(__file__).resolve().parents[2]
URL = f"http://{CLOUD}"
"""Where callers find the server, at port 80: the only port but 443 that a "web only" network lets out."""

START_S = 90.0
STORIES = "You are a storyteller. Whatever is said to you, tell a long story in many sentences about the sea."


def turn_server(lab: Lab) -> AbstractAsyncContextManager[Coturn]:
    """coturn in "turn", as it is shipped, TLS on HTTPS' port; all here have documentation addresses, which it is
    told to relay to all the same."""
    prefix = lab.spaces.command("turn")
    return coturn(TURN, port=STUN_PORT, tls_port=TLS_PORT, prefix=prefix, peers=[CLOUD, HOME])


class Server:
    """``voxrtc serve`` with real models in "server", which has a private address and is told its public one."""

    def __init__(self, lab: Lab, folder: Path, turn: Coturn, **settings: str) -> None:
        self._lab = lab
        self.log = folder / "server.log"
        environment = {
            "SERVER__HOST": "0.0.0.0",
            "SERVER__PORT": str(HTTP_PORT),
            "SERVER__MAX_CALLS": "16",
            "MEDIA__PUBLIC_IP": CLOUD,
            "MEDIA__PORT_RANGE": json.dumps(MEDIA_PORTS),
            "TURN__URLS": json.dumps(turn.urls),
            "TURN__SECRET": turn.secret,
            "TURN__RELAY": "true",
            "MODELS__LLM": "smollm2-135m",
            "DIALOGUE__SYSTEM_PROMPT": STORIES,
        } | settings
        words = lab.spaces.command("server", sys.executable, "-m", "voxrtc.cli", "serve")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {f"VOXRTC_{key}": value for key, value in environment.items()},
            )  # fmt: skip

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._process.terminate()
        status = self._process.wait(20)
        assert kind is not None or status == 0, self.tail()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3_000:]

    def wait_ready(self) -> None:
        """Until the models are loaded."""
        until = time.monotonic() + START_S
        while self._process.poll() is None and time.monotonic() < until:
            try:
                self.get(f"http://{SERVER}:{HTTP_PORT}/ready")
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)  # it refuses, or says 503
            else:
                return
        raise AssertionError(f"not ready:\n{self.tail()}")

    def get(self, url: str) -> Any:
        """JSON of the server's, as seen from where it stands."""

        def ask() -> Any:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)

        return self._lab.spaces.inside("server", ask)


class Agent:
    """A process that obeys JSON lines, in ``async with``: ``await agent(...)`` is its answer to one."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None = None) -> None:
        self._command = command
        self._environment = os.environ | dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Agent:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, cwd=ROOT, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It ends by itself at the end of its input; it is ended where it does not."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        assert error is not None or status == 0, f"{self._command} ended with {status}"

    async def ask(self, seconds: float = 60.0, **line: Any) -> Any:
        """One line to it, and its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(seconds):
            told = await self._process.stdout.readline()
        assert told, f"{self._command} ended with {self._process.returncode}"
        return json.loads(told)

    async def kill(self) -> None:
        """As a phone whose battery is empty."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()


class Caller(Agent):
    """A caller in "caller"; its steps are the methods of tests.lab.caller.Agent."""

    def __init__(self, lab: Lab, turn: Coturn) -> None:
        words = lab.spaces.command("caller", sys.executable, "-m", "tests.lab.caller", URL)
        super().__init__(words, {"SSL_CERT_FILE": str(turn.ca)})

    async def do(self, step: str, **options: Any) -> Any:
        """What a step returned. Raises AssertionError with what it said where it failed."""
        told = await self.ask(do=step, **options)
        assert "done" in told, f"{step}: {told['failed']}"
        return told["done"]


class Impaired(Agent):
    """A bad network between every caller and the server's media ports, in ``async with``."""

    def __init__(self, lab: Lab) -> None:
        first, last = MEDIA_PORTS
        program = [sys.executable, "-m", "tests.lab.proxy", CLOUD, SERVER, str(first), str(last)]
        super().__init__(lab.spaces.command("cloud", *program))
        self._lab = lab

    async def __aenter__(self) -> Impaired:
        await super().__aenter__()
        await self.be()
        self._lab.media_over_proxy(True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lab.media_over_proxy(False)
        await super().__aexit__(kind, error, trace)

    async def be(self, **impairment: Any) -> None:
        """Do this both ways (fields of voxrtc.bench.impair.Impairment) from now on."""
        await self.ask(up=impairment, down=impairment)

    async def counted(self, since: float, until: float) -> dict[str, int]:
        """RTP packets from callers between two Unix times: "rtp", and of these "lost", "duplicated", "reordered"."""
        counted: dict[str, int] = await self.ask(since=since, until=until)
        return counted
