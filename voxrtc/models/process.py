"""One life of a host process: started, connected to, its log passed on, ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from voxrtc.errors import HostLost
from voxrtc.models.host import EXIT_GRACE_S, LISTENING
from voxrtc.models.stream import BUFFER
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

LINE = 2_000
"""Characters of one line of the host's output that are kept."""
LAST_LINES = 5
PIPES_S = 1.0
"""How long output is still read once the host has exited; a process it left behind may hold the pipes open."""
SOCKET_PATH = 100
"""Bytes that the path of a Unix socket may have (sun_path holds 108)."""
_LEVELLED = re.compile(r"<([A-Z]+)>(.*)")


class HostProcess:
    """A host process and the private folder of its socket. Every start() is followed by one close()."""

    def __init__(self, command: Sequence[str], settings: Settings) -> None:
        self._command = command
        self._settings = settings
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening = asyncio.Event()
        self._listens = False
        self._closed = asyncio.Event()
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process and hand it its settings. Raises HostLost where it cannot be started."""
        self._folder = _private_folder()
        pipe = asyncio.subprocess.PIPE
        command = [*self._command, "--socket", str(self._folder / "socket")]
        try:
            # A session of its own: Ctrl-C in the terminal is for us, and we end the host once the calls are over.
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except OSError as error:
            raise HostLost(f"the model process cannot be started: {command[0]}: {error.strerror}") from None
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin is not None and stdout is not None and stderr is not None  # noqa: PT018 - asked for above
        self._tasks = [
            asyncio.create_task(self._read_stdout(stdout)),
            asyncio.create_task(self._read_stderr(stderr)),
            asyncio.create_task(self._watch(self._process)),
        ]
        stdin.write(self._settings.model_dump_json().encode() + b"\n")
        with contextlib.suppress(ConnectionError):  # it died at once; connect() says so
            await stdin.drain()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to its socket, once it listens. Raises HostLost where it exits before that."""
        await self._listening.wait()
        if not self._listens or self._folder is None:
            raise HostLost("the model process ended before it listened")
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._folder / "socket"), limit=BUFFER)
        except OSError as error:
            raise HostLost(f"the model process cannot be connected to: {error.strerror or error}") from None
        writer.transport.set_write_buffer_limits(high=BUFFER)
        self._writer = writer
        return reader, writer

    async def close(self, *, kill: bool = False) -> None:
        """End it: asked to by the end of its stdin, or at once (``kill``). Returns once it is gone."""
        process = self._process
        self._closed.set()
        try:
            if process is not None:
                if self._writer is not None:
                    self._writer.close()
                if process.stdin is not None:
                    process.stdin.close()
                await _end(process, 0.0 if kill else EXIT_GRACE_S + 1.0)
                await asyncio.wait(self._tasks, timeout=PIPES_S)
        finally:
            for task in self._tasks:
                task.cancel()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    def ending(self) -> str:
        """How it ended, after close(): "was killed by SIGKILL", "exited with code 1"."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "never ran"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"exited with code {code}"

    def last_lines(self) -> str:
        """The last things it printed that were no log records: of a crash while loading, the reason."""
        return "\n".join(self._last)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """End the connection with the process, even where a process that it left behind holds the socket open."""
        await process.wait()
        try:
            async with asyncio.timeout(PIPES_S):  # what it sent last is still to be read
                await self._closed.wait()
        except TimeoutError:
            if self._writer is not None:
                self._writer.transport.abort()

    async def _read_stdout(self, stream: asyncio.StreamReader) -> None:
        try:
            async for line in _lines(stream):
                if line == LISTENING:
                    self._listens = True
                    self._listening.set()
                else:
                    logger.debug("host: %s", line)
        finally:
            self._listening.set()

    async def _read_stderr(self, stream: asyncio.StreamReader) -> None:
        """Our own records at their own level; what native code prints is for debugging."""
        async for line in _lines(stream):
            record = _LEVELLED.fullmatch(line)
            if record:
                logger.log(logging.getLevelNamesMapping().get(record[1], logging.WARNING), "host: %s", record[2])
            else:
                self._last.append(line)
                logger.debug("host: %s", line)


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        if grace:
            logger.warning("the host did not exit within %.0f s of being asked to; killing it", grace)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it went by itself meanwhile
                # Not process.kill(): that reaps a process that is dead already, and asyncio, which waits for it in a
                # thread, then knows no better than to call it "exited with code 255".
                os.kill(process.pid, signal.SIGKILL)
        await process.wait()


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines without their ends, cut to LINE characters: native code may print any number of bytes without one."""
    rest = b""
    while chunk := await stream.read(4_096):
        *whole, rest = (rest + chunk).split(b"\n")
        rest = rest[:LINE]
        for line in whole:
            yield line[:LINE].decode("utf-8", "replace").rstrip()
    if rest:
        yield rest.decode("utf-8", "replace").rstrip()


def _private_folder() -> Path:
    """A new folder that only this user can look into, with a path short enough for a socket in it."""
    folder = tempfile.mkdtemp(prefix="voxrtc-")
    if len(folder) + len("/socket") <= SOCKET_PATH:
        return Path(folder)
    shutil.rmtree(folder)
    return Path(tempfile.mkdtemp(prefix="voxrtc-", dir="/tmp"))
