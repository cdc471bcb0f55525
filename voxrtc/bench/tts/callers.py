"""Callers who are spoken to at once: each hears a reply to its end, thinks for a moment, and gets the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from voxrtc.audio import Samples
from voxrtc.bench.tts import clicks
from voxrtc.bench.tts.listener import Block, Reply
from voxrtc.bench.voxtral.timing import spread
from voxrtc.errors import VoxrtcError

PATIENCE_S = 120.0


class Voice(Protocol):
    """What is measured."""

    def say(self, caller: int, turn: int) -> AsyncIterator[tuple[int, Samples]]:
        """One reply: 24 kHz samples as they come, each with the number of its clause. Raises VoxrtcError."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``callers`` to whom replies are begun for ``seconds``, and at least one each. ``thinking_s``: from the end of a
    reply to the next, in the mean (exponential, as are the first callers' arrivals). ``together``: everybody's first
    reply is asked for at the same instant, and there is no second."""

    callers: int = 1
    seconds: float = 10.0
    seed: int = 0
    thinking_s: float = 0.5
    together: bool = False


async def listen(voice: Voice, plan: Plan) -> list[Reply]:
    """The replies of all callers. Raises VoxrtcError where one fails, is empty or does not end."""
    until = perf_counter() + plan.seconds
    try:
        async with asyncio.timeout(plan.seconds + PATIENCE_S), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_caller(voice, number, plan, until)) for number in range(plan.callers)]
    except* VoxrtcError as failures:
        raise VoxrtcError(str(failures.exceptions[0])) from None
    except* TimeoutError:
        raise VoxrtcError(f"a reply did not end within {PATIENCE_S:g} s") from None
    return [reply for task in tasks for reply in task.result()]


async def _caller(voice: Voice, number: int, plan: Plan, until: float) -> list[Reply]:
    draws = np.random.default_rng((plan.seed, number))
    replies: list[Reply] = []
    while True:
        if not plan.together:
            await asyncio.sleep(float(draws.exponential(plan.thinking_s)))
        replies.append(await heard(voice, number, len(replies)))
        ends = replies[-1].plays_until()
        if plan.together or ends > until:
            return replies
        await asyncio.sleep(max(0.0, ends - perf_counter()))  # the caller listens


async def heard(voice: Voice, caller: int, turn: int) -> Reply:
    """One reply, asked for now. Raises VoxrtcError."""
    reply = Reply(perf_counter())
    async with aclosing(voice.say(caller, turn)) as said:  # type: ignore[type-var]
        async for clause, samples in said:
            if samples.size:
                reply.blocks.append(Block(perf_counter(), clause, samples))
    if not reply.blocks:
        raise VoxrtcError("the voice said nothing")
    return reply


def figures(replies: list[Reply]) -> dict[str, Any]:
    """What the callers had of it. ``rtf``: seconds from an ask to the last samples by seconds of sound, in the mean of
    all replies; with one caller what the voice takes, with many also what each waits for the others."""
    gaps = [gap for reply in replies for gap in reply.dry_ms()]
    seconds = sum(reply.seconds for reply in replies)
    return {
        "first_audio_ms": spread([reply.first_audio_ms for reply in replies]),
        "rtf": round(sum(reply.took_s for reply in replies) / seconds, 4),
        "replies": len(replies),
        "seconds_of_sound": round(seconds, 2),
        "underruns": len(gaps),
        "dry_ms": round(max(gaps, default=0.0), 2),
    }


def joints(replies: list[Reply]) -> dict[str, Any]:
    """The joints and the clicks at them, within clauses and between; ``clicks_by_chance``: at places that are none."""
    counts = {"within": 0, "between": 0}
    clicked = {"within": 0, "between": 0}
    chance = []
    for number, reply in enumerate(replies):
        sound, (within, between) = reply.sound, reply.joints()
        for name, places in (("within", within), ("between", between)):
            counts[name] += len(places)
            clicked[name] += len(clicks.clicks(sound, places))
        chance.append(clicks.by_chance(sound, [*within, *between], seed=number))
    return {
        "joint_clicks": sum(clicked.values()),
        "joints": {name: {"clicks": clicked[name], "of": counts[name]} for name in counts},
        "clicks_by_chance": round(float(np.mean(chance)), 4),
    }
