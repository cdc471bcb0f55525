"""A call in virtual time: a session, with real or scripted parts, on virtual ears and a virtual mouth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import pytest

from tests.dialogue.scripted import ScriptedDetector, ScriptedModels, ScriptedProsody
from voxrtc import events
from voxrtc.bench.virtual import VirtualEars, VirtualMouth
from voxrtc.dialogue.functions import Function
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.session import Session
from voxrtc.endpointing.detector import TurnDetector
from voxrtc.endpointing.prosody import Prosody
from voxrtc.settings import Settings

E = TypeVar("E", bound=events.Event)


class Stage:
    """One call and everything that happened in it."""

    def __init__(
        self,
        models: ScriptedModels | None = None,
        detector: TurnDetector | None = None,
        functions: Sequence[Function] = (),
        memory: Memory | None = None,
        prosody: ScriptedProsody | Prosody | None = None,
        **sections: Any,
    ):
        # By silence alone, unless a test says otherwise: it is about what follows from a turn's end.
        endpointing = {"strategy": "vad"} | sections.pop("endpointing", {})
        # 160 ms of voice interrupt: more than the 120 ms after which the scripted detector says that there is any.
        dialogue = {"barge_in_ms": 160} | sections.pop("dialogue", {"partial_every_ms": 0})
        sections = {"dialogue": dialogue, "endpointing": endpointing} | sections
        self.settings = Settings.model_validate(sections)
        self.models = models or ScriptedModels()
        self.voice = ScriptedDetector()
        self.events: list[events.Event] = []
        self.times: list[float] = []
        self._changed = asyncio.Event()
        self.session = Session(
            "call-1",
            self.settings,
            self.models,
            detector or self.voice,
            self._emit,
            Phrases(),
            memory,
            prosody=cast(Any, prosody),
            functions=functions,
        )
        self.ears = VirtualEars()
        self.mouth = VirtualMouth()

    def _emit(self, event: events.Event) -> None:
        self.events.append(event)
        self.times.append(asyncio.get_running_loop().time())
        self._changed.set()
        self._changed = asyncio.Event()

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def types(self, *without: str) -> list[str]:
        return [event.type for event in self.events if event.type not in without]

    async def until(self, kind: type[E], count: int = 1) -> E:
        """Wait for the ``count``-th event of ``kind``."""
        while len(self.all(kind)) < count:
            await self._changed.wait()
        return self.all(kind)[count - 1]

    async def until_state(self, state: events.State, count: int = 1) -> None:
        while len([e for e in self.all(events.StateChanged) if e.state == state]) < count:
            await self._changed.wait()

    def time_of(self, event: events.Event) -> float:
        return self.times[next(i for i, e in enumerate(self.events) if e is event)]

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[Stage, None]:
        """The call is up within; hung up and closed after."""
        async with self.mouth:
            running = asyncio.create_task(self.session.run(self.ears, self.mouth))
            try:
                yield self
            finally:
                self.ears.hang_up()
                await running
                await self.session.close("hangup")


@pytest.fixture
def no_task_left() -> Any:
    """Call it at the end of a scene: no task but the test's own is left."""

    def check() -> None:
        assert asyncio.all_tasks() == {asyncio.current_task()}

    return check
