"""One call after another on one server: what grows with them, and how soon it notices who left without a word."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import numpy as np

from voxrtc.bench.media.caller import Caller
from voxrtc.bench.media.measure import Cores, Plan, Progress, pinned
from voxrtc.bench.media.process import MediaServer
from voxrtc.client.failed import CallFailed
from voxrtc.errors import VoxrtcError

WARM_UP = 50
"""Calls, at the most, before the first look: caches and pools fill with them. A fifth of all where that is less."""

MOMENT = 5
"""Packets that each call hears before it ends."""

KILL_EVERY = 25
NOTICE_S = 60.0
"""Seconds the server has to notice that nobody is there any more."""

LOOKED_AT = ("rss_mb", "tasks", "threads", "sockets")


async def sequence(count: int, plan: Plan, cores: Cores, progress: Progress) -> dict[str, Any]:
    """Place ``count`` calls, one after another: what our server holds after a warm-up, and at the end.

    Every KILL_EVERY-th caller, and the last, is killed: ``noticed_s`` tells when the server knew. Raises VoxrtcError.
    """
    async with pinned(cores), MediaServer("ours", config=plan.config, core=cores.server) as server:
        warm_up = min(WARM_UP, count // 5)
        killed: dict[str, float] = {}
        failures: list[str] = []
        before = half = await server.state(collect=True)
        for number in range(1, count + 1):
            kill = number > warm_up and (number % KILL_EVERY == 0 or number == count)
            try:
                session = await _one(server, kill)
            except CallFailed as error:
                failures.append(str(error))
            else:
                if kill:
                    killed[session] = monotonic()
            if number == warm_up:
                before = await server.state(collect=True)
            if number == (warm_up + count) // 2:
                half = await server.state(collect=True)
            progress("one after another", number / count)
        if len(failures) == count:
            raise VoxrtcError(f"none of {count} calls came about: {failures[0]}")
        noticed = await _noticed(server, killed)
        after = await server.state(collect=True)
    return {
        "calls": count,
        "warm_up": warm_up,
        "failed": len(failures),
        "errors": sorted(set(failures))[:5],
        "killed": len(killed),
        "noticed_s": noticed,
        "unnoticed": after["calls"],
        **{key: _grown(before[key], half[key], after[key]) for key in LOOKED_AT},
    }


async def _one(server: MediaServer, kill: bool) -> str:
    """A call that is echoed for a moment; its session. Raises CallFailed."""
    caller = Caller(server.url, server.http)
    try:
        await caller.connect()
        await caller.hears(MOMENT)
    except BaseException:
        await caller.close()
        raise
    await (caller.kill() if kill else caller.close())
    return caller.session


async def _noticed(server: MediaServer, killed: dict[str, float]) -> dict[str, float | None]:
    """How long after they were killed the callers counted as gone, once all do."""
    deadline = monotonic() + NOTICE_S
    while (await server.state())["calls"] and monotonic() < deadline:  # noqa: ASYNC110 (it tells only when asked)
        await asyncio.sleep(0.1)
    ends = await server.ends()
    took = [ends[session][0] - at for session, at in killed.items() if session in ends]
    if not took:
        return {"p50": None, "max": None}
    return {"p50": round(float(np.median(took)), 2), "max": round(max(took), 2)}


def _grown(before: float, half: float, after: float) -> dict[str, float]:
    """What grows without end grows as much in the second half as in the first."""
    figures = {"before": before, "half": half, "after": after, "growth": after - before}
    return {name: round(value, 2) for name, value in figures.items()}
