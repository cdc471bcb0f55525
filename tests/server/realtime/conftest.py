"""A client of OpenAI's Realtime API against a real session, in virtual time: what it says, what it is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from voxrtc import events
from voxrtc.server.realtime.dialect import Realtime
from voxrtc.server.realtime.session import House
from voxrtc.settings import Settings

Json = dict[str, Any]


def house(**sections: Any) -> House:
    return House(Settings.model_validate(sections), lambda: ["hibari", "espeak"])


class Talk(Stage):
    """A Stage whose caller speaks the dialect."""

    def __init__(self, models: ScriptedModels | None = None, session: Json | None = None, **sections: Any) -> None:
        super().__init__(models, **sections)
        self.dialect = Realtime(House(self.settings, lambda: ["hibari", "espeak"]))
        self.told: list[Json] = []
        self.first = self.dialect.open(session or {})
        self._passed = 0

    def _emit(self, event: events.Event) -> None:
        self.told += map(json.loads, self.dialect.tell(event))
        super()._emit(event)

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a client event."""
        for asked in self.dialect.read(json.dumps({"type": kind} | fields)):
            if isinstance(asked, str):
                self.told.append(json.loads(asked))
            else:
                await self.session.obey(asked)
        self._changed.set()
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """What a Call does first."""
        await self.told_of("session.created")
        for command in self.first:
            await self.session.obey(command)

    async def write(self, text: str, **fields: Any) -> None:
        """A user's message, and the wish for a response."""
        await self.say("conversation.item.create", item=user(text))
        await self.say("response.create", **fields)

    async def told_of(self, kind: str) -> Json:
        """The next server event of ``kind``, after the one that was waited for before."""
        while True:
            for number in range(self._passed, len(self.told)):
                if self.told[number]["type"] == kind:
                    self._passed = number + 1
                    return self.told[number]
            await self._changed.wait()

    def kinds(self, *without: str) -> list[str]:
        return [event["type"] for event in self.told if event["type"] not in without]

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.told if event["type"] == kind]


def user(text: str) -> Json:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
