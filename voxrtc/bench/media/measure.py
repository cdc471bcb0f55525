"""One measurement: a server of one kind, so many calls at once, and what came of them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, process_time
from typing import Any, TypeAlias

import numpy as np
from aiortc import RTCIceServer

from voxrtc.bench.detour import Detour
from voxrtc.bench.impair import CLEAR, Impairment
from voxrtc.bench.media.caller import Caller
from voxrtc.bench.media.hearing import Heard, hear
from voxrtc.bench.media.process import Kind, MediaServer
from voxrtc.bench.media.tones import signal
from voxrtc.client.failed import CallFailed
from voxrtc.errors import VoxrtcError

SPACING_S = 0.1
"""Between the offers of two callers: nobody's connecting waits for everybody's."""

SETTLE_S = 1.5
"""From the last connection to the measuring, twice: before all echoes begin anew, and after."""

TAIL_S = 2.0
"""Callers go on for so long after the measuring, and what is on its way is heard."""

MOST_RECORDED_S = 1_600.0
"""Seconds of calls, of all together, whose sound is looked at: above that, evenly chosen calls."""

Progress: TypeAlias = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. ``up``: the network on the way to the server; ``relay``: a TURN server all go through."""

    calls: int
    seconds: float
    up: Impairment = CLEAR
    seed: int = 0
    config: Path | None = None
    relay: RTCIceServer | None = None


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the server and the callers run; ``server`` None: wherever the system puts them."""

    server: int | None
    callers: frozenset[int]

    @classmethod
    def here(cls) -> Cores:
        """One core for the server and the others for the callers, where there are two."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, frozenset())
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], frozenset(cores[1:])) if len(cores) > 1 else cls(None, frozenset(cores))


@asynccontextmanager
async def pinned(cores: Cores) -> AsyncGenerator[None]:
    """This process on the callers' cores, and where it was afterwards."""
    if cores.server is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.callers)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


async def measure(kind: Kind, plan: Plan, cores: Cores, progress: Progress) -> dict[str, Any]:
    """The figures of ``plan`` on a server of ``kind``. Raises VoxrtcError where none can be had."""
    async with pinned(cores), MediaServer(kind, config=plan.config, core=cores.server) as server:
        await _warm_up(server)
        idle = await server.state(collect=True)
        callers, failures = await _place(server, plan, lambda done: progress("connecting", done))
        try:
            if not callers:
                raise VoxrtcError(f"none of {plan.calls} calls came about: {_first(failures)}")
            figures = await _listen(server, plan, callers, idle, failures, lambda done: progress("measuring", done))
        finally:
            await asyncio.gather(*(caller.close() for caller in callers))
    figures |= _setting_up(callers)
    figures |= {"failed": plan.calls - figures["calls"], "errors": dict(Counter(failures).most_common(5))}
    return figures


async def _warm_up(server: MediaServer) -> None:
    """One call first: what is loaded and set up once is no call's."""
    caller = Caller(server.url, server.http)
    try:
        await caller.connect()
    finally:
        await caller.close()


async def _place(server: MediaServer, plan: Plan, done: Callable[[float], None]) -> tuple[list[Caller], list[str]]:
    """The callers that are connected, and why the others are not."""
    callers: list[Caller] = []
    failures: list[str] = []

    async def one(number: int) -> None:
        await asyncio.sleep(number * SPACING_S)
        detour = Detour(up=plan.up, seed=f"{plan.seed}/{number}") if plan.up != CLEAR else None
        caller = Caller(server.url, server.http, detour=detour, relay=plan.relay)
        try:
            await caller.connect()
        except CallFailed as error:
            failures.append(str(error))
            await caller.close()
        except BaseException:
            await caller.close()
            raise
        else:
            callers.append(caller)
        done((len(callers) + len(failures)) / plan.calls)

    await _all(one(number) for number in range(plan.calls))
    return callers, failures


async def _all(work: Any) -> None:
    """Await all; if one fails, end the others first."""
    tasks: list[asyncio.Task[None]] = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(
    server: MediaServer,
    plan: Plan,
    callers: Sequence[Caller],
    idle: dict[str, Any],
    failures: list[str],
    done: Callable[[float], None],
) -> dict[str, Any]:
    """The figures of connected ``callers``; why some did not last comes to ``failures``."""
    await asyncio.sleep(SETTLE_S)
    await server.refresh()
    recorded = _chosen(callers, plan.seconds + SETTLE_S + TAIL_S)
    for caller in callers:
        caller.late_s.clear()
        caller.skipped = 0
        if caller in recorded:
            caller.keep()
    await asyncio.sleep(SETTLE_S)
    begin, used = monotonic(), process_time()
    # First what it costs, and then how late it is: to measure the lag costs something too.
    before = await server.state()
    await _pass(plan.seconds / 2, lambda part: done(part / 2))
    after = await server.state()
    await server.measure_lag()
    await _pass(plan.seconds / 2, lambda part: done(0.5 + part / 2))
    lag = await server.state(lag=True)
    end, used = monotonic(), process_time() - used
    await asyncio.sleep(TAIL_S)
    for caller in recorded:
        caller.keeps = False
    ends = await server.ends()
    lost = [caller for caller in callers if not caller.alive]
    failures += [f"lost while it was measured ({ends.get(c.session, (0, 'the server has it still'))[1]})" for c in lost]
    heard = await asyncio.to_thread(lambda: [hear(one.recording, signal(), begin, end) for one in recorded])
    late = np.concatenate([np.array(caller.late_s) for caller in callers]) * 1e3
    calls, seconds = len(callers), after["at"] - before["at"]
    return {
        "calls": calls - len(lost),
        **_sound(heard),
        "cpu_percent_per_call": round(100 * (after["cpu_s"] - before["cpu_s"]) / seconds / calls, 3),
        "loop_lag_ms": _of(lag["late_ms"], 50, 99, 100),
        "rss_mb_per_call": round((after["rss_mb"] - idle["rss_mb"]) / calls, 3),
        "callers": {
            "recorded": len(recorded),
            "cpu_percent": round(100 * used / (end - begin), 1),
            "skipped": sum(caller.skipped for caller in callers),
            "late_ms": _of(late.tolist(), 50, 99, 100),
        },
    }


async def _pass(seconds: float, done: Callable[[float], None]) -> None:
    """Let ``seconds`` go by, telling how much of them is over."""
    begun = monotonic()
    while (left := begun + seconds - monotonic()) > 0:
        await asyncio.sleep(min(0.5, left))
        done(min(1.0, (monotonic() - begun) / seconds))


def _chosen(callers: Sequence[Caller], seconds: float) -> list[Caller]:
    """As many as can be looked at, evenly from all."""
    count = max(1, min(len(callers), int(MOST_RECORDED_S / seconds)))
    return [callers[i * len(callers) // count] for i in range(count)]


def _sound(heard: Sequence[Heard]) -> dict[str, Any]:
    stretches = sum(one.stretches for one in heard)
    latency = [ms for one in heard for ms in one.latency_ms]
    return {
        "delivered_ratio": round(sum(one.delivered for one in heard) / max(1, stretches), 5),
        "concealed_ratio": round(sum(one.concealed for one in heard) / max(1, stretches), 5),
        "latency_ms": _of(latency, 50, 95),
        "longest_gap_ms": round(max(one.longest_gap_ms for one in heard), 1),
    }


def _setting_up(callers: Sequence[Caller]) -> dict[str, Any]:
    return {
        "answer_ms": _of([c.answer_ms for c in callers if c.answer_ms is not None], 50, 95),
        "connect_ms": _of([c.connect_ms for c in callers if c.connect_ms is not None], 50, 95),
    }


def _of(values: Sequence[float], *quantiles: int) -> dict[str, float | None]:
    """Percentiles of ``values`` by name; 100 is the maximum. None of what there are no values for."""
    names = {100: "max"}
    if not values:
        return {names.get(q, f"p{q}"): None for q in quantiles}
    found = np.percentile(np.asarray(values, dtype=np.float64), quantiles)
    return {names.get(q, f"p{q}"): round(float(v), 2) for q, v in zip(quantiles, found, strict=True)}


def _first(failures: Sequence[str]) -> str:
    return failures[0] if failures else "nobody knows why"
