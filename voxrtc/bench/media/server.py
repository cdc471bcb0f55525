"""The server under measurement, in a process of its own: HTTP and event loop as ``voxrtc serve`` has them.

``python -m voxrtc.bench.media.server ours|stock``. It writes its address to standard output as one line of JSON and
lives until standard input is closed, so that it cannot outlive the bench. It has routes of its own: ``POST /refresh``
(echoes begin anew), ``POST /lag`` (the lag is measured from now on), ``GET /state`` and ``GET /ends``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
import threading
from array import array
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, process_time
from typing import Any, cast

import psutil
from aiohttp import web

from voxrtc.bench.media.echo import Echoes, Ours, Stock
from voxrtc.calls import Calls
from voxrtc.config import load
from voxrtc.server import app as public
from voxrtc.server import offer
from voxrtc.server.keys import CALLS, SETTINGS

LAG_EVERY_S = 0.005
LAGS_KEPT = 200 * 600
MIB = 1_048_576


class Lag:
    """How late the event loop is: a chain of timers, each set for LAG_EVERY_S after the one before ran."""

    def __init__(self) -> None:
        self.late_s = array("d")
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Forget what was measured, and begin to."""
        self.stop()
        del self.late_s[:]
        self._arm()

    def stop(self) -> None:
        """Measure no more: the chain has its cost, and is not to be in other figures."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = monotonic() + LAG_EVERY_S
        self._timer = self._loop.call_later(LAG_EVERY_S, self._tick)

    def _tick(self) -> None:
        if len(self.late_s) < LAGS_KEPT:
            self.late_s.append(max(0.0, monotonic() - self._due))
        self._arm()


class Routes:
    """What the bench asks its server."""

    def __init__(self, echoes: Echoes, lag: Lag) -> None:
        self._echoes = echoes
        self._lag = lag
        self._process = psutil.Process()

    def add(self, app: web.Application) -> None:
        app.router.add_post("/refresh", self.refresh)
        app.router.add_post("/lag", self.lag)
        app.router.add_get("/state", self.state)
        app.router.add_get("/ends", self.ends)

    async def refresh(self, request: web.Request) -> web.Response:
        self._echoes.refresh()
        return web.Response(status=204)

    async def lag(self, request: web.Request) -> web.Response:
        self._lag.start()
        return web.Response(status=204)

    async def state(self, request: web.Request) -> web.Response:
        """What the process uses. ``?collect=1``: after all garbage was collected. ``?lag=1``: the lags, and measure
        them no more."""
        if request.query.get("collect"):
            gc.collect()
        state: dict[str, Any] = {
            "calls": self._echoes.active,
            "at": monotonic(),
            "cpu_s": process_time(),
            "rss_mb": self._process.memory_info().rss / MIB,
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "sockets": self._process.num_fds(),
        }
        if request.query.get("lag"):
            self._lag.stop()
            state["late_ms"] = [round(1e3 * late, 3) for late in self._lag.late_s]
        return web.json_response(state)

    async def ends(self, request: web.Request) -> web.Response:
        """The calls that are over: session, ``time.monotonic()`` (one clock for all of the machine), why."""
        return web.json_response(list(self._echoes.ends))


async def serve(echoes: Echoes, config: Path | None) -> None:
    """Take calls until standard input is closed."""
    app = web.Application(middlewares=[public.errors])
    app.on_response_prepare.append(public.headers)
    app[SETTINGS], app[CALLS] = load(config), cast(Calls, echoes)
    app.add_routes(offer.routes)
    lag = Lag()
    Routes(echoes, lag).add(app)
    runner = public.make_runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}) + "\n")
        sys.stdout.flush()
        await _closed(sys.stdin.fileno())
    finally:
        lag.stop()
        await echoes.close()
        await runner.cleanup()


async def _closed(file: int) -> None:
    """Return once ``file`` is at its end."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        if not os.read(file, 4_096):
            loop.remove_reader(file)
            over.set()

    loop.add_reader(file, read)
    await over.wait()


async def _run(kind: str, config: Path | None) -> None:
    await serve(Ours(load(config)) if kind == "ours" else Stock(), config)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["ours", "stock"])
    parser.add_argument("--config", type=Path)
    parser.add_argument("--core", type=int)
    options = parser.parse_args(argv)
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    if options.kind == "ours":
        import uvloop

        uvloop.run(_run("ours", options.config))
    else:
        asyncio.run(_run("stock", options.config))  # as its examples do


if __name__ == "__main__":
    main()
