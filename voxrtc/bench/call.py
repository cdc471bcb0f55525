"""``voxrtc bench call``: N conversations at the same time, measured at the caller."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yarl import URL

from voxrtc.bench.clip import Clip, load_clips
from voxrtc.bench.conversation import Patience, converse, measuring
from voxrtc.bench.machine import Load, listening_pid, machine, today
from voxrtc.bench.report import CallRow, Row, profile_of, summary
from voxrtc.bench.server import Server
from voxrtc.bench.turn import Turn
from voxrtc.client.failed import CallFailed

STAGGER_S = 0.31
"""Between the beginnings of two calls: no multiple of 20 ms, so that their packets interleave."""

OnRow = Callable[[int, Row], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured: ``calls`` conversations at a time with ``url``, ``rounds`` times over."""

    url: str
    clips: Sequence[Clip]
    calls: int
    rounds: int
    words: bool
    patience: Patience
    on_row: OnRow

    def order(self, call: int) -> list[Clip]:
        """The clips of one call: all of them, from another one on for each."""
        first = call % len(self.clips)
        return [*self.clips[first:], *self.clips[:first]]


async def bench(
    url: str | None,
    audio_dir: Path,
    calls: int = 1,
    *,
    rounds: int = 1,
    words: bool = False,
    patience: Patience | None = None,
    environ: Mapping[str, str] | None = None,
    command: str | None = None,
    unspeculated: bool = False,
    on_row: OnRow = lambda call, row: None,
) -> dict[str, Any]:
    """Measure the server at ``url``; where that is None, one started for it with ``environ`` added to its environment.

    ``calls`` conversations at the same time play every clip of ``audio_dir``, each beginning 0.31 s after the one
    before and one clip further on; the whole is done ``rounds`` times. ``on_row`` gets each turn as it is over.
    ``unspeculated``: then measure the same with a server that prepares no replies in pauses (not with a ``url``). The
    report's keys are in docs/benchmarks.md. Raises AudioError (no clips), NoServer.
    """
    if calls < 1 or rounds < 1:
        raise ValueError("calls and rounds are at least 1")
    clips = await asyncio.to_thread(load_clips, audio_dir)
    plan = Plan(url or "", clips, calls, rounds, words, patience or Patience(), on_row)
    start_s: float | None = None
    if url is not None:
        target = URL(url)
        measured = await _measure(plan, await asyncio.to_thread(listening_pid, target.host, target.port))
    else:
        environ = {"VOXRTC_SERVER__MAX_CALLS": str(max(8, calls))} | dict(environ or {})
        async with Server(environ) as server:
            measured = await _measure(replace(plan, url=server.url), server.pid)
        start_s = round(server.start_s, 2)
        if unspeculated:
            async with Server(environ | {"VOXRTC_DIALOGUE__SPECULATION": "off"}) as server:
                without = await _measure(replace(plan, url=server.url), server.pid)
            measured |= _compared(measured, without)
    head = {"date": today(), "command": command or _command_line(), "calls": calls, "rounds": rounds}
    return head | measured | {"start_s": start_s, "machine": machine()}


async def _measure(plan: Plan, pid: int | None) -> dict[str, Any]:
    found: list[CallRow] = []
    async with Load(pid) as load:
        for n in range(plan.rounds):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_one(plan, n * plan.calls + i + 1, i)) for i in range(plan.calls)]
            found += [task.result() for task in tasks]
    return summary(found) | _cost(load, plan.calls)


async def _one(plan: Plan, number: int, place: int) -> CallRow:
    """One conversation, the ``place``-th to begin. Whatever befalls it is in its row; it never ends the others."""
    await asyncio.sleep(place * STAGGER_S)
    row = CallRow(call=number, planned=len(plan.clips))
    caller = measuring(plan.url)

    def done(turn: Turn) -> None:
        row.turns.append(turn.row(caller.ear, plan.words))
        plan.on_row(number, row.turns[-1])

    try:
        await caller.connect()
        await converse(caller, plan.order(place), plan.patience, done)
        row.failed = caller.ended
    except CallFailed as error:
        row.failed, row.retry_after = str(error), error.retry_after
    finally:
        await caller.close()
    row.offer_ms, row.connect_ms, row.first_packet_ms = caller.offer_ms, caller.connect_ms, caller.first_packet_ms
    row.packets, row.lost = caller.ear.packets, caller.ear.lost
    row.profile = profile_of(caller.started)
    return row


def _cost(load: Load, calls: int) -> dict[str, Any]:
    """CPU and memory by role, and the CPU of each call of the server's processes together."""
    cpu = {role: load.cpu_percent(role) for role in ("server", "host", "caller")}
    ours = [v for v in (cpu["server"], cpu["host"]) if v is not None]
    return {
        "cpu_percent": cpu | {"per_call": round(sum(ours) / calls, 2) if ours else None},
        "rss_mb": {role: load.rss_mb(role) for role in ("server", "host")},
    }


def _compared(measured: dict[str, Any], without: dict[str, Any]) -> dict[str, Any]:
    """What speculation gains: of voice to voice, by median."""
    with_it, without_it = measured["voice_to_voice_ms"]["p50"], without["voice_to_voice_ms"]["p50"]
    known = with_it is not None and without_it is not None
    gain = round(without_it - with_it, 1) if known else None
    return {"without_speculation": without, "speculation_gain_ms": gain}


def _command_line() -> str:
    return shlex.join(["voxrtc", *sys.argv[1:]])
