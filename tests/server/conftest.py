"""A server on a port of its own: the real applications and calls, scripted models, everything in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.calling import Exchange
from tests.conftest import Open
from tests.dialogue.scripted import ScriptedModels
from voxrtc.server.app import make_app, make_ops_app, make_runner
from voxrtc.server.status import Status


@dataclass
class Front:
    """The two ports of a server, and what is behind them."""

    exchange: Exchange
    app: web.Application
    status: Status
    port: int
    ops_port: int
    http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ops(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"

    async def offer(self, sdp: str, **more: Any) -> aiohttp.ClientResponse:
        return await self.http.post(self.url + "/offer", json={"sdp": sdp, "type": "offer"} | more)


Serve = Callable[..., Awaitable[Front]]


@pytest.fixture
async def serve(exchange: Open) -> AsyncIterator[Serve]:
    """Makes servers, warm unless told otherwise; closes them after the test."""
    fronts: list[Front] = []
    runners: list[web.AppRunner] = []

    async def start(models: ScriptedModels | None = None, *, warm: bool = True, **sections: Any) -> Front:
        one = exchange(models, **sections)
        status = Status(one.models, warm=warm)
        app = make_app(one.settings, one.calls, status, one.metrics)
        ports = []
        for each in (app, make_ops_app(app)):
            runner = make_runner(each)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports.append(runner.addresses[0][1])
        fronts.append(Front(one, app, status, *ports, aiohttp.ClientSession()))
        return fronts[-1]

    yield start
    for front in fronts:
        await front.exchange.calls.close()
        await front.http.close()
    for runner in runners:
        await runner.cleanup()
