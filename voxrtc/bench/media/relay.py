"""A coturn on loopback for callers who are to be relayed."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from aioice import stun
from aiortc import RTCIceServer

from voxrtc.bench.ending import ended
from voxrtc.errors import VoxrtcError

HOST = "127.0.0.1"
START_TIMEOUT_S = 15.0
ASK_EVERY_S = 0.1
END_TIMEOUT_S = 5.0
MISSING = "--relay needs coturn, which is not installed here; on Debian and Ubuntu: sudo apt-get install coturn"


def installed() -> bool:
    """Whether there is a coturn."""
    return shutil.which("turnserver") is not None


def check() -> None:
    """Raise VoxrtcError, which says how to get it, where there is no coturn."""
    if not installed():
        raise VoxrtcError(MISSING)


@asynccontextmanager
async def coturn() -> AsyncGenerator[RTCIceServer]:
    """Run a coturn; what callers need to use it. Raises VoxrtcError where it does not start."""
    check()
    user, password, port = "bench", secrets.token_hex(8), _free_port()
    with tempfile.TemporaryDirectory(prefix="voxrtc-coturn-") as folder:
        log = Path(folder) / "log"
        arguments = [
            "-n", f"--listening-ip={HOST}", f"--relay-ip={HOST}", f"--listening-port={port}", "--lt-cred-mech",
            f"--user={user}:{password}", "--realm=bench", "--no-tls", "--no-dtls", "--no-cli", "--fingerprint",
            "--allow-loopback-peers", f"--pidfile={folder}/pid", f"--userdb={folder}/users", "--log-file=stdout",
        ]  # fmt: skip
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec("turnserver", *arguments, stdout=out, stderr=out)
        try:
            await _until_it_answers(process, port, log)
            yield RTCIceServer(f"turn:{HOST}:{port}?transport=udp", username=user, credential=password)
        finally:
            await _end(process)


async def _until_it_answers(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Ask for a binding (RFC 8489) until there is an answer."""
    loop = asyncio.get_running_loop()
    request = bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.bind((HOST, 0))
        deadline = loop.time() + START_TIMEOUT_S
        while process.returncode is None and loop.time() < deadline:
            asking.sendto(request, (HOST, port))
            try:
                async with asyncio.timeout(ASK_EVERY_S):
                    await loop.sock_recv(asking, 2_048)
            except TimeoutError:
                continue
            return
    raise VoxrtcError(f"coturn did not start:\n{_tail(log)}")


def _tail(log: Path, lines: int = 10) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    await ended(process, END_TIMEOUT_S)


def _free_port() -> int:
    """A UDP port nobody has; somebody may still be faster."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])
