"""What a caller asks of a call, in the order in which it came: commands, and what is told of other messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from voxrtc.commands import AnyCommand, Commit, Discard, PushToTalk
from voxrtc.lines import Leg

COMMANDS = 32
"""Commands that may wait to be obeyed; one more is dropped, and the caller is told."""


@dataclass(frozen=True, slots=True)
class _Command:
    command: AnyCommand
    caught_up: Awaitable[None] | None
    """Done once the sound before it was heard."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a dialect answers to a message."""

    leg: Leg
    message: str


class Asked:
    """Of one call. What comes before the call was announced to anybody waits here, answers included."""

    def __init__(self, obey: Callable[[AnyCommand], Awaitable[None]], notice: Callable[[str, str], None]) -> None:
        """``notice``: tells the caller a code and a sentence."""
        self._obey = obey
        self._notice = notice
        self._waiting: asyncio.Queue[_Command | _Answer | str] = asyncio.Queue(COMMANDS)
        """Text: why a message was not understood."""
        self._dropping = False
        self._early = True

    @property
    def waiting(self) -> int:
        """How much is not done yet."""
        return self._waiting.qsize()

    def command(self, command: AnyCommand, leg: Leg | None = None) -> None:
        """To be obeyed; what makes turns of sound waits for that which came on ``leg`` before it."""
        by_hand = leg is not None and isinstance(command, Commit | Discard | PushToTalk)
        self._put(_Command(command, leg.line.catch_up() if leg is not None and by_hand else None))

    def answer(self, leg: Leg, message: str) -> None:
        """To be sent, at once where the call has begun."""
        if self._early:
            self._put(_Answer(leg, message))
        else:
            leg.line.send(message)

    def misunderstood(self, why: str) -> None:
        """A message was no command."""
        self._put(why)

    async def serve(self) -> None:
        """Do one after the other, for as long as the caller can be told of it."""
        while True:
            if self._waiting.empty():
                self._early = False
            asked = await self._waiting.get()
            if isinstance(asked, str):
                self._notice("bad_message", f"A message was not understood: {asked.rstrip('.')}.")
            elif isinstance(asked, _Answer):
                asked.leg.line.send(asked.message)
            else:
                if asked.caught_up is not None:
                    await asked.caught_up
                await self._obey(asked.command)
            if self._dropping:  # one notice a flood: the caller does not read a flood of them either
                self._dropping = False
                self._notice("too_many_messages", "Messages come faster than they can be followed; some are dropped.")

    def _put(self, asked: _Command | _Answer | str) -> None:
        try:
            self._waiting.put_nowait(asked)
        except asyncio.QueueFull:
            self._dropping = True
