"""A server of the bench's own: started on free ports, waited for until it is warm, ended by its process id."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import IO

import aiohttp

from voxrtc.bench.ending import ended
from voxrtc.errors import VoxrtcError

ASK_EVERY_S = 0.1
END_TIMEOUT_S = 15.0
COMMAND = (sys.executable, "-m", "voxrtc.cli", "serve")


class NoServer(VoxrtcError):
    """The server that was to be measured did not start; the message holds the last lines it wrote."""


class Server:
    """``voxrtc serve`` as a child process, in ``async with``. ``start_s``: from its start to /ready answering 200.

    Its configuration is that of the working folder and the environment, with host and ports of our own choosing.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        timeout_s: float = 300.0,
        command: tuple[str, ...] | None = None,
    ) -> None:
        self._environ = dict(environ or {})
        self._timeout_s = timeout_s
        self._command = command or COMMAND
        self._process: asyncio.subprocess.Process | None = None
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __aexit__)
        self.url = ""
        self.start_s = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def __aenter__(self) -> Server:
        port, ops_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        environ = os.environ | self._environ
        environ |= {"VOXRTC_SERVER__HOST": "127.0.0.1", "VOXRTC_SERVER__PORT": str(port)}
        environ |= {"VOXRTC_OPS__HOST": "127.0.0.1", "VOXRTC_OPS__PORT": str(ops_port)}
        began = monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log, env=environ
        )
        try:
            await self._warm()
        except BaseException:
            await self._end()
            raise
        self.start_s = monotonic() - began
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._end()

    async def _warm(self) -> None:
        assert self._process is not None
        exited = asyncio.create_task(self._process.wait())
        asking = asyncio.create_task(self._ask())
        try:
            await asyncio.wait({exited, asking}, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                raise NoServer(f"the server ended at its start with status {exited.result()}:\n{self._tail()}")
            if not asking.done():
                raise NoServer(f"the server was not ready within {self._timeout_s:g} s:\n{self._tail()}")
            asking.result()
        finally:
            for task in (exited, asking):
                task.cancel()
            await asyncio.gather(exited, asking, return_exceptions=True)

    async def _ask(self) -> None:
        """Ask /ready until it says yes."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0), trust_env=False) as http:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError, OSError):  # not listening yet
                    async with http.get(f"{self.url}/ready") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(ASK_EVERY_S)

    def _tail(self, lines: int = 15) -> str:
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 8_192))
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])

    async def _end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await ended(process, END_TIMEOUT_S)
        self._log.close()


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on, held together so that they differ; somebody may still be faster."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
