"""The life of a server process: listen, load, be ready, and on a signal end every call and go."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiohttp import web

from voxrtc.calls import Calls
from voxrtc.endpointing.networks import Networks
from voxrtc.errors import VoxrtcError
from voxrtc.metrics import Metrics
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Ready
from voxrtc.server.app import make_app, make_ops_app, make_runner
from voxrtc.server.status import Status
from voxrtc.server.tcp import TcpPort
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens and is warm."""

    url: str
    ready: Ready
    calls: Calls
    host: HostClient


@asynccontextmanager
async def running(settings: Settings, progress: Callable[[str, float], None]) -> AsyncGenerator[Running, None]:
    """Listen at once, load the models, yield when the first call would be answered; end everything on the way out.

    Raises VoxrtcError where an address is taken, a model file is missing or the models cannot be loaded.
    """
    host, metrics = HostClient(settings), Metrics()
    metrics.host_restarts.set_function(lambda: host.restarts)
    status = Status(host)
    networks = await asyncio.to_thread(Networks.load, settings)
    calls = Calls(settings, host, networks, metrics)
    tcp = TcpPort(settings, calls, metrics)
    app = make_app(settings, calls, status, metrics)

    def report(what: str, fraction: float) -> None:
        status.progress(what, fraction)
        progress(what, fraction)

    runners: list[web.AppRunner] = []
    async with AsyncExitStack() as stack:  # what is pushed last goes first, and each whether or not others fail
        stack.callback(networks.close)
        stack.push_async_callback(host.close)
        stack.push_async_callback(_close_all, runners)
        stack.push_async_callback(tcp.close)
        stack.push_async_callback(calls.close)
        stack.callback(status.drain)
        url = await _listen(app, "server", settings.server.host, settings.server.port, runners)
        if settings.ops.port:
            await _listen(make_ops_app(app), "ops", settings.ops.host, settings.ops.port, runners)
        if settings.tcp.port:
            with _binding("tcp", settings.tcp.host, settings.tcp.port):
                await tcp.open()
        ready = await host.start(report)
        await calls.warm()
        status.warm = True
        yield Running(url, ready, calls, host)


async def serve(settings: Settings, progress: Callable[[str, float], None], started: Callable[[Running], None]) -> None:
    """Run until SIGINT or SIGTERM, also in the middle of the start. ``started`` is called once calls are answered."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(_serve(settings, progress, started), name="serve")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        serving.cancel()
        await asyncio.wait({serving, stopping})
    if serving.cancelled():
        logger.info("stopped")
    else:
        serving.result()


async def _serve(
    settings: Settings, progress: Callable[[str, float], None], started: Callable[[Running], None]
) -> None:
    async with running(settings, progress) as server:
        started(server)
        await asyncio.get_running_loop().create_future()


async def _listen(app: web.Application, section: str, host: str, port: int, runners: list[web.AppRunner]) -> str:
    """Serve ``app`` there; returns its URL. Raises VoxrtcError with what to change where that is not possible."""
    runner = make_runner(app)
    await runner.setup()
    runners.append(runner)
    with _binding(section, host, port):
        await web.TCPSite(runner, host, port, reuse_address=True).start()
    return f"http://{_shown(host)}:{runner.addresses[0][1]}"


@contextmanager
def _binding(section: str, host: str, port: int) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise VoxrtcError(f"cannot listen on {_shown(host, host)}:{port}: {_why(error, section)}") from None


def _why(error: OSError, section: str) -> str:
    """asyncio wraps the reason in a long sentence of its own; a name that is none has no errno of the system."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}; {section}.host is no address of this machine"
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    hints = {
        errno.EADDRINUSE: f"another program has it; set {section}.port to another",
        errno.EACCES: f"ports below 1024 need privileges; set {section}.port to another",
        errno.EADDRNOTAVAIL: f"{section}.host is no address of this machine",
    }
    return f"{reason} ({hint})" if (hint := hints.get(error.errno or 0)) else reason


async def _close_all(runners: list[web.AppRunner]) -> None:
    for runner in runners:
        await runner.cleanup()


def _shown(host: str, everywhere: str = "localhost") -> str:
    """A host as URLs have it, and one that a person can open: listening everywhere is reached at localhost."""
    if host in ("0.0.0.0", "::", ""):
        return everywhere
    return f"[{host}]" if ":" in host else host
