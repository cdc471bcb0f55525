"""The server's process as the bench sees it: started, asked for its state, ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import aiohttp

from voxrtc.bench.ending import ended
from voxrtc.bench.server import NoServer

Kind = Literal["ours", "stock"]

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 20.0
ASK_TIMEOUT_S = 30.0


class MediaServer:
    """``voxrtc.bench.media.server`` on ``core``, in ``async with``. ``http``: for its callers too."""

    def __init__(self, kind: Kind, *, config: Path | None = None, core: int | None = None) -> None:
        self._arguments: list[str] = [kind]
        if config is not None:
            self._arguments += ["--config", str(config)]
        if core is not None:
            self._arguments += ["--core", str(core)]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __aexit__)
        self._process: asyncio.subprocess.Process | None = None
        self.http: aiohttp.ClientSession
        self.url = ""

    async def __aenter__(self) -> MediaServer:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "voxrtc.bench.media.server", *self._arguments,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await self._process.stdout.readline()
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise NoServer(f"the server was not there within {START_TIMEOUT_S:g} s:\n{self._tail()}") from None
            raise
        if not line:
            await self._end(close=False)
            raise NoServer(f"the server ended at its start:\n{self._tail()}")
        self.url = json.loads(line)["url"]
        connector = aiohttp.TCPConnector(limit=64)
        timeout = aiohttp.ClientTimeout(total=ASK_TIMEOUT_S)
        self.http = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.close()
        await self._end()

    async def state(self, *, collect: bool = False, lag: bool = False) -> dict[str, Any]:
        """What it uses (``server.Routes.state``). Raises NoServer where it does not say."""
        asked = {name: "1" for name, wanted in (("collect", collect), ("lag", lag)) if wanted}
        return dict(await self._ask("GET", "/state", asked))

    async def ends(self) -> dict[str, tuple[float, str]]:
        """Of the calls that are over, by session: when (``time.monotonic()``) and why."""
        return {session: (at, why) for session, at, why in await self._ask("GET", "/ends")}

    async def refresh(self) -> None:
        """Let every echo begin anew."""
        await self._ask("POST", "/refresh")

    async def measure_lag(self) -> None:
        """Measure the loop's lag from now on until ``state(lag=True)``."""
        await self._ask("POST", "/lag")

    async def _ask(self, method: str, path: str, asked: dict[str, str] | None = None) -> Any:
        try:
            async with self.http.request(method, f"{self.url}{path}", params=asked) as response:
                response.raise_for_status()
                return await response.json() if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoServer(f"the server was lost: {error or type(error).__name__}\n{self._tail()}") from None

    def _tail(self, lines: int = 15) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 8_192))
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])

    async def _end(self, *, close: bool = True) -> None:
        """Close its standard input, which ends it."""
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            await ended(process, END_TIMEOUT_S)
        if close:
            self._log.close()
