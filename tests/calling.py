"""Callers of a switchboard: somebody else's WebRTC against the real Calls; only the models are scripted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.dialogue.scripted import ScriptedModels
from tests.media.callers import Caller
from voxrtc.audio import Samples
from voxrtc.calls import Answered, Calls
from voxrtc.endpointing.networks import Networks
from voxrtc.endpointing.vad import SileroModel
from voxrtc.metrics import Metrics
from voxrtc.models.verbs import Models
from voxrtc.settings import Settings

PATIENCE_S = 15


class Deaf(SileroModel):
    """STAND-IN for silero: takes nothing for speech. For calls in which nobody speaks."""

    def __init__(self) -> None:
        pass

    def run(self, window: Samples, state: Samples) -> tuple[float, Samples]:
        return 0.0, state


class Guest(Caller):
    """A caller that keeps what it is told on the data channel."""

    def __init__(self, samples: Samples | None = None) -> None:
        super().__init__(samples)
        self.told: list[dict[str, Any]] = []
        """Every event so far that ``until`` has passed."""

    async def dial(self, calls: Calls, resume: str | None = None) -> Answered:
        """Place a call; returns once the answer is taken, connected or not."""
        answered = await calls.offer(await self.offer(), resume)
        await self.take(answered.sdp)
        return answered

    def say(self, **message: Any) -> None:
        self.channel.send(json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next event of ``kind`` with these fields."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self.told.append(event := json.loads(await self.messages.get()))
                    if event["type"] == kind and all(event[name] == value for name, value in fields.items()):
                        return event
        except TimeoutError:
            raise AssertionError(f"no {kind} {fields} came, but {[e['type'] for e in self.told]}") from None

    async def cut(self) -> None:
        """Wait until the other side has closed the connection."""
        closed = asyncio.Event()
        self.pc.on("connectionstatechange", lambda: self.pc.connectionState == "closed" and closed.set())
        if self.pc.connectionState != "closed":
            async with asyncio.timeout(PATIENCE_S):
                await closed.wait()


class Exchange:
    """A switchboard and its callers; ``close`` ends all of them."""

    def __init__(self, models: Models | None = None, silero: SileroModel | None = None, **sections: Any) -> None:
        self.settings = Settings.model_validate({"dialogue": {"partial_every_ms": 0}} | sections)
        self.models = models or ScriptedModels()
        self.metrics = Metrics()
        self.calls = Calls(self.settings, self.models, Networks(silero or Deaf()), self.metrics)
        self.guests: list[Guest] = []

    def guest(self, samples: Samples | None = None) -> Guest:
        self.guests.append(Guest(samples))
        return self.guests[-1]

    async def up(self, resume: str | None = None, samples: Samples | None = None) -> tuple[Guest, Answered]:
        """A new caller whose call has started."""
        guest = self.guest(samples)
        answered = await guest.dial(self.calls, resume)
        await guest.until("call_started")
        return guest, answered

    def counted(self, name: str, **labels: str) -> float:
        """A metric's value, 0 where it never was counted."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def settle(self, active: int = 0, waiting: int | None = None) -> None:
        """Wait until so many calls have a peer, and so many sessions wait for theirs."""
        async with asyncio.timeout(PATIENCE_S):
            # A look from outside: the switchboard tells nobody.
            while self.calls.active != active or waiting not in (None, self.calls.waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.calls.close()
        for guest in self.guests:
            await guest.close()


async def idle(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """The tasks that are still there although all that began after ``before`` should have ended."""
    before = before | {asyncio.current_task()}
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=5)
    return asyncio.all_tasks() - before
