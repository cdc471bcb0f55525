"""For operators and load balancers: /health, /ready, /metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from voxrtc import __version__
from voxrtc.metrics import CONTENT_TYPE, Metrics
from voxrtc.server.keys import CALLS, METRICS, SETTINGS, STATUS
from voxrtc.server.openapi import Operation, Reply, struct

health_routes = web.RouteTableDef()
metrics_routes = web.RouteTableDef()
debug_routes = web.RouteTableDef()
"""Only served where the ops port listens on loopback."""


@health_routes.get("/health")
async def health(request: web.Request) -> web.Response:
    """200 as long as the process serves at all; says how it does."""
    status, calls, metrics = request.app[STATUS], request.app[CALLS], request.app[METRICS]
    ready = status.models.ready
    body: dict[str, Any] = {
        "status": "draining" if status.draining else "ok" if status.ready else "loading",
        "version": __version__,
        "uptime_s": round(status.uptime_s, 1),
        "calls": calls.active,
        "sessions_waiting": calls.waiting,
        "max_calls": request.app[SETTINGS].server.max_calls,
        "profile": ready.profile if ready else None,
        "counts": metrics.counts(),
        "latency_ms": {stage: metrics.quantiles_ms(stage) for stage in metrics.stages},
    }
    return web.json_response(body, headers={"Cache-Control": "no-store"})


@health_routes.get("/ready")
async def ready(request: web.Request) -> web.Response:
    """200 once a call would be answered as fast as any later one; 503 with the progress until then."""
    status = request.app[STATUS]
    runs = status.ready
    no_store = {"Cache-Control": "no-store"}
    if runs is None:
        state = "draining" if status.draining else "loading"
        what, fraction = status.doing
        body: dict[str, Any] = {"status": state, "what": what, "fraction": round(fraction, 3)}
        return web.json_response(body, status=503, headers=no_store | {"Retry-After": "1"})
    body = {
        "status": "ready",
        "profile": runs.profile,
        "hears": runs.hears,
        "thinks": runs.thinks,
        "speaks": runs.speaks,
        "languages": runs.hears_languages,
        "voices": runs.voices,
    }
    return web.json_response(body, headers=no_store)


@metrics_routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Prometheus text."""
    exposed: Metrics = request.app[METRICS]
    return web.Response(body=exposed.expose(), headers={"Content-Type": CONTENT_TYPE})


@debug_routes.get("/debug/tasks")
async def tasks(request: web.Request) -> web.Response:
    """What runs, one entry a task: what a leak would grow."""
    return web.json_response({"tasks": sorted(map(_called, asyncio.all_tasks()))})


def _called(task: asyncio.Task[Any]) -> str:
    """Its name; of one that was given none, what it runs, which does not change from one look to the next."""
    name = task.get_name()
    return getattr(task.get_coro(), "__qualname__", name) if name.startswith("Task-") else name


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_HEALTH = struct(
    {
        "status": {"enum": ["ok", "loading", "draining"]},
        "version": _TEXT,
        "uptime_s": {"type": "number"},
        "calls": _COUNT,
        "sessions_waiting": _COUNT,
        "max_calls": _COUNT,
        "profile": {"type": ["string", "null"]},
        "counts": {"type": "object"},
        "latency_ms": {"type": "object"},
    }
)
_READY = struct(
    {
        "status": {"const": "ready"},
        "profile": _TEXT,
        "hears": _TEXT,
        "thinks": _TEXT,
        "speaks": _TEXT,
        "languages": {"type": "array", "items": _TEXT},
        "voices": {"type": "object", "additionalProperties": {"type": "array", "items": _TEXT}},
    }
)
_NOT_YET = struct({"status": {"enum": ["loading", "draining"]}, "what": _TEXT, "fraction": {"type": "number"}})
OPENAPI = {
    ("GET", "/health"): Operation(
        "How the server does", replies={200: Reply("It serves", {"application/json": _HEALTH})}
    ),
    ("GET", "/ready"): Operation(
        "Whether a call would be answered now",
        replies={
            200: Reply("It would", {"application/json": _READY}),
            503: Reply("Not yet, or no more", {"application/json": _NOT_YET}, headers=("Retry-After",)),
        },
    ),
}
