"""The limits of a conversation: silence that is asked about once and then ends it, and the longest it may be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from voxrtc.audio import HEARD_RATE
from voxrtc.dialogue.announce import CallClock
from voxrtc.dialogue.assistant import Assistant
from voxrtc.dialogue.caller import Caller
from voxrtc.dialogue.phrases import GOODBYE, STILL_THERE
from voxrtc.dialogue.reply import Reply
from voxrtc.dialogue.tasks import Tasks
from voxrtc.settings import Dialogue

log = logging.getLogger(__name__)

GRACE_S = 15.0
"""How long a call at its longest may go on until nobody speaks."""
GOODBYE_S = 10.0
"""How long a goodbye may take."""


class Timekeeper:
    """Looks at one session's clock, block by block. ``end``: ends the session, told why in a sentence."""

    def __init__(
        self,
        dialogue: Dialogue,
        clock: CallClock,
        caller: Caller,
        assistant: Assistant,
        tasks: Tasks,
        end: Callable[[str], None],
    ) -> None:
        self.leaving = False
        """The goodbye is being said: nothing is listened to any more."""
        self.idle_prompt_s = dialogue.idle_prompt_s
        """Seconds of silence until it is asked whether somebody is there; 0: never."""
        self._dialogue = dialogue
        self._clock = clock
        self._caller = caller
        self._assistant = assistant
        self._tasks = tasks
        self._end = end
        self._silent_since = 0
        self._asked: Reply | None = None
        """The question whether somebody is there, since words were last exchanged."""

    def restart(self) -> None:
        """The silence begins now: the caller has (again) been put through."""
        self._silent_since = self._clock.now

    def look(self) -> None:
        """Another 20 ms have passed: do what is due."""
        if self.leaving:
            return
        now, reply = self._clock.now, self._assistant.giving.reply
        answering = (reply is not None and reply is not self._asked) or self._assistant.giving.held is not None
        if self._caller.turn is not None or answering:
            self._silent_since = now
        if answering and reply is not None and reply.started:
            self._asked = None
        if self._too_long(now):
            self._leave(f"A call may last {self._dialogue.max_call_s:g} seconds.")
        elif self._silent(now, self._dialogue.idle_hangup_s):
            self._leave(f"Nobody said anything for {self._dialogue.idle_hangup_s:g} seconds.")
        elif self._asked is None and self.idle_prompt_s and self._silent(now, self.idle_prompt_s):
            self._asked = self._assistant.remark(STILL_THERE)

    def _silent(self, now: int, seconds: float) -> bool:
        return now - self._silent_since > seconds * HEARD_RATE

    def _too_long(self, now: int) -> bool:
        longest = self._dialogue.max_call_s * HEARD_RATE
        if not longest or now < longest:
            return False
        return self._silent_since < now or now >= longest + GRACE_S * HEARD_RATE

    def _leave(self, why: str) -> None:
        self.leaving = True
        self._caller.forget()
        self._assistant.giving.cut_short()
        self._tasks.spawn(self._say_goodbye(why), "goodbye")

    async def _say_goodbye(self, why: str) -> None:
        goodbye = self._assistant.remark(GOODBYE)
        try:
            async with asyncio.timeout(GOODBYE_S):
                await goodbye.over.wait()
        except TimeoutError:
            log.info("a goodbye was not heard to its end within %g s", GOODBYE_S)
        self._end(why)
