"""The whole of ``voxrtc bench media``: ours and stock aiortc on the same cores, as one document."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from typing import Any

from voxrtc.bench.machine import machine, today
from voxrtc.bench.media import relay
from voxrtc.bench.media.measure import Cores, Plan, Progress, measure
from voxrtc.bench.media.process import Kind
from voxrtc.bench.media.sequence import sequence
from voxrtc.errors import VoxrtcError

STEPS = 6
"""Numbers of calls that a sweep goes through."""

HOPELESS_MS = 200.0
"""With a lag like this (p99), no more calls are tried."""

MOST_RELAYED = 20


async def bench(
    plan: Plan,
    *,
    stock: bool = True,
    one_after_another: int = 0,
    relayed: bool = False,
    sweep: bool = False,
    command: str | None = None,
    progress: Progress = lambda what, fraction: None,
) -> dict[str, Any]:
    """Measure ``plan``; the keys of the document are in docs/benchmarks.md. Raises VoxrtcError.

    ``stock``: the same on stock aiortc. ``one_after_another``: so many calls besides, each after the one before.
    ``relayed``: some of the calls once more through a coturn. ``sweep``: fewer calls too, as the plot needs it.
    """
    if relayed:
        relay.check()  # before the measuring, not after it
    cores = Cores.here()
    kinds: tuple[Kind, ...] = ("ours", "stock") if stock else ("ours",)
    steps = _steps(plan.calls) if sweep else [plan.calls]
    swept: dict[Kind, list[dict[str, Any]]] = {}
    for kind in kinds:
        swept[kind] = await _sweep(kind, plan, steps, cores, progress)
    document: dict[str, Any] = {
        "date": today(),
        "command": command or shlex.join(["voxrtc", *sys.argv[1:]]),
        "seconds": plan.seconds,
        "seed": plan.seed,
        "network": _network(plan),
        **swept["ours"][-1],
    }
    if stock:
        document["stock"] = swept["stock"][-1]
    if sweep:
        document["sweep"] = {kind: [_point(figures) for figures in all_] for kind, all_ in swept.items()}
    if relayed:
        document["relayed"] = await _relayed(plan, cores, progress)
    if one_after_another:
        document["sequence"] = await sequence(one_after_another, plan, cores, progress)
    return document | {"cores": {"server": cores.server, "callers": sorted(cores.callers)}, "machine": machine()}


async def _sweep(kind: Kind, plan: Plan, steps: list[int], cores: Cores, progress: Progress) -> list[dict[str, Any]]:
    """The figures at each number of calls, until nothing more can be expected."""
    found: list[dict[str, Any]] = []
    for calls in steps:
        try:
            figures = await measure(kind, replace(plan, calls=calls), cores, _told(progress, f"{kind}, {calls} calls"))
        except VoxrtcError:
            if not found:
                raise
            break  # at so many not one call comes about any more
        found.append(figures)
        if figures["loop_lag_ms"]["p99"] > HOPELESS_MS:
            break
    return found


async def _relayed(plan: Plan, cores: Cores, progress: Progress) -> dict[str, Any]:
    async with relay.coturn() as server:
        fewer = replace(plan, calls=min(plan.calls, MOST_RELAYED), relay=server)
        return await measure("ours", fewer, cores, _told(progress, "relayed"))


def _told(progress: Progress, what: str) -> Progress:
    """``progress`` of a part, with its name before what it does."""
    return lambda doing, part: progress(f"{what}: {doing}", part)


def _steps(calls: int) -> list[int]:
    return sorted({max(1, round(calls * step / STEPS)) for step in range(1, STEPS + 1)})


def _point(figures: dict[str, Any]) -> dict[str, Any]:
    keys = ("calls", "failed", "loop_lag_ms", "cpu_percent_per_call", "delivered_ratio", "latency_ms")
    return {key: figures[key] for key in keys}


def _network(plan: Plan) -> dict[str, Any]:
    """The impairment on the way to the server."""
    keys = ("loss", "burst", "delay_ms", "jitter_ms")
    return {key: value for key, value in asdict(plan.up).items() if key in keys}
