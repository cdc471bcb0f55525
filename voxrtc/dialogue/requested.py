"""Replies that are given only when they are asked for: until then, what the caller says is written down."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from voxrtc.audio import Samples
from voxrtc.dialogue.announce import Announcer
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.tongue import Tongue
from voxrtc.dialogue.turns import Turn
from voxrtc.errors import ModelsError
from voxrtc.events import Notice, TurnDropped
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard

MOST = 8
"""Turns that may wait to be written down."""


class Answering(Protocol):
    """Who answers (dialogue.assistant)."""

    tongue: Tongue

    def wrote(self, turn: Turn, heard: Heard) -> None:
        """``turn`` was written down, and nobody asks for an answer yet."""

    def answer_sound(self, turn: Turn, audio: Samples, instructions: str | None) -> None:
        """Answer what was said."""

    def answer_owed(self, instructions: str | None) -> None:
        """Answer what was written down, or say something unasked."""


class Requested:
    """For one session; ``on`` while replies have to be asked for."""

    def __init__(self, answering: Answering, models: Models, tasks: Tasks, announcer: Announcer) -> None:
        self.on = False
        self._answering = answering
        self._models = models
        self._tasks = tasks
        self._say = announcer.say
        self._waiting: deque[tuple[Turn, Samples]] = deque()
        """Turns that are not written down yet."""
        self._writing: asyncio.Task[None] | None = None
        self._wanted: list[str | None] = []
        """The instructions of the reply that was asked for and has to wait; one at most."""

    def take_down(self, turn: Turn, audio: Samples) -> None:
        """``turn`` is over."""
        if len(self._waiting) == MOST:
            self._say(TurnDropped, turn=turn.number, reason="too many turns wait")
            return
        self._waiting.append((turn, audio))
        self._write_on()

    def respond(self, instructions: str | None) -> None:
        """A reply is asked for. The newest turn need not be written down first: who answers it hears it anyway."""
        self._wanted = [instructions]
        if len(self._waiting) <= 1:
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None
            self._answer()

    def forget(self, number: int) -> bool:
        """Do not write the turn of that number down; False where it does not wait for that."""
        for place, (turn, _) in enumerate(self._waiting):
            if turn.number == number:
                del self._waiting[place]
                return True
        return False

    def _write_on(self) -> None:
        if self._writing is None:
            self._writing = self._tasks.spawn(self._write(), "writing turns down")

    @property
    def _first(self) -> Turn | None:
        return self._waiting[0][0] if self._waiting else None

    async def _write(self) -> None:
        while self._waiting and not (self._wanted and len(self._waiting) == 1):
            turn, audio = self._waiting[0]
            try:
                heard = await self._models.transcribe(audio, self._answering.tongue.heard_as(audio.size))
            except ModelsError as error:
                if self._first is not turn:
                    continue  # it was forgotten meanwhile
                self._say(Notice, code="models_failed", message=str(error))
                self._say(TurnDropped, turn=turn.number, reason="not heard")
            else:
                if self._first is not turn:
                    continue
                self._answering.wrote(turn, heard)
            self._waiting.popleft()
        self._writing = None
        self._answer()

    def _answer(self) -> None:
        if not self._wanted:
            return
        instructions = self._wanted.pop()
        if self._waiting:
            turn, audio = self._waiting.popleft()
            self._answering.answer_sound(turn, audio, instructions)
        else:
            self._answering.answer_owed(instructions)
