"""The life of a server process: listen, load, be ready, and on a signal end every call and go."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from voxrtc.calls import Calls
from voxrtc.config import Settings
from voxrtc.endpointing.vad import SileroModel
from voxrtc.errors import VoxrtcError
from voxrtc.metrics import Metrics
from voxrtc.models import store
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Ready
from voxrtc.server.app import errors, make_app
from voxrtc.server.keys import CALLS, METRICS, SETTINGS, STATUS
from voxrtc.server.ops import debug_routes, health_routes, metrics_routes
from voxrtc.server.status import Status

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
    silero = SileroModel(await asyncio.to_thread(silero_file, settings))
    calls = Calls(settings, host, silero, metrics)
    app = make_app(settings, calls, status, metrics)

    def report(what: str, fraction: float) -> None:
        status.progress(what, fraction)
        progress(what, fraction)

    runners: list[web.AppRunner] = []
    try:
        url = await _listen(app, settings.server.host, settings.server.port, runners)
        if settings.ops.port:
            await _listen(_ops_app(app), settings.ops.host, settings.ops.port, runners)
        ready = await host.start(report)
        await calls.warm()
        status.warm = True
        yield Running(url, ready, calls, host)
    finally:
        status.draining = True
        await calls.close()
        for runner in runners:
            await runner.cleanup()
        await host.close()


async def serve(settings: Settings, progress: Callable[[str, float], None], started: Callable[[Running], None]) -> None:
    """Run until SIGINT or SIGTERM, also in the middle of the start. ``started`` is called once calls are answered."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = asyncio.create_task(_serve(settings, progress, started), name="serve")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        logger.info("stopped")


async def _serve(
    settings: Settings, progress: Callable[[str, float], None], started: Callable[[Running], None]
) -> None:
    async with running(settings, progress) as server:
        started(server)
        await asyncio.get_running_loop().create_future()


def silero_file(settings: Settings) -> Path:
    """The voice activity model, fetched if it has to be."""
    folder = store.ensure("silero-vad", settings.models.cache_path, lambda what, fraction: None)
    return next(folder.glob("*.onnx"))


async def _listen(app: web.Application, host: str, port: int, runners: list[web.AppRunner]) -> str:
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
    await runner.setup()
    runners.append(runner)
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
    except OSError as error:
        raise VoxrtcError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    address = runner.addresses[0]
    return f"http://{_shown(host)}:{address[1]}"


def _shown(host: str) -> str:
    """A host that a person can open: listening everywhere is reached at localhost."""
    if host in ("0.0.0.0", "::", ""):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _ops_app(public: web.Application) -> web.Application:
    app = web.Application(middlewares=[errors])
    app[SETTINGS], app[CALLS] = public[SETTINGS], public[CALLS]
    app[STATUS], app[METRICS] = public[STATUS], public[METRICS]
    app.add_routes(health_routes)
    if public[SETTINGS].metrics.enabled:
        app.add_routes(metrics_routes)
    if public[SETTINGS].ops.host in ("127.0.0.1", "::1", "localhost"):
        app.add_routes(debug_routes)
    return app
