"""One conversation: the caller's sound comes in, turns are made of it, the assistant answers them.

The session conducts: it holds the two sides together, outlives the peers they talk over, and ends it all.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from voxrtc.audio import AudioIn, AudioOut
from voxrtc.commands import (
    MAX_INSTRUCTIONS,
    AnyCommand,
    Commit,
    Configure,
    Discard,
    ExportMemory,
    Forget,
    Interrupt,
    PushToTalk,
    Respond,
    Text,
    ToolResult,
)
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.assistant import Assistant
from voxrtc.dialogue.caller import Caller
from voxrtc.dialogue.configuring import Configuring
from voxrtc.dialogue.functions import Function
from voxrtc.dialogue.memory import Memory
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.timekeeper import Timekeeper
from voxrtc.dialogue.tools import Toolbox
from voxrtc.dialogue.turns import Turn
from voxrtc.endpointing.detector import TurnDetector
from voxrtc.endpointing.prosody import Prosody
from voxrtc.errors import ModelsError
from voxrtc.events import CallEnded, CallStarted, Event, MemoryExported, Notice
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Heard
from voxrtc.settings import Settings

log = logging.getLogger(__name__)

LONGEST_TEXT = 4_000
"""Characters of one typed turn."""

WARM_AFTER_S = 0.25
"""For how long the functions have to stay as they are before the model reads of them."""


class Session:
    """A conversation that outlives its peers: ``run`` it with each peer's ears and mouth in turn.

    ``phrases``: what is said when the models fail. ``memory``: of an earlier conversation, to go on with.
    ``prosody``: for the strategies of endpointing that listen to it. ``functions``: that the model may call.
    """

    def __init__(
        self,
        call: str,
        settings: Settings,
        models: Models,
        detector: TurnDetector,
        emit: Callable[[Event], None],
        phrases: Phrases,
        memory: Memory | None = None,
        prosody: Prosody | None = None,
        functions: Sequence[Function] = (),
    ) -> None:
        self._settings = settings
        self._models = models
        self._clock = CallClock()
        announcer = Announcer(call, self._clock, emit)
        self._say = announcer.say
        self._tasks = Tasks(self._fault)
        memory = memory or Memory(settings.dialogue.memory_turns)
        self._toolbox = Toolbox(functions, settings, announcer)
        self._assistant = Assistant(
            call, settings, models, phrases, self._clock, announcer, self._tasks, memory, self._toolbox, self._overheard
        )
        memory.language = self._assistant.tongue.language
        self._caller = Caller(settings, models, detector, prosody, self._assistant, self._clock, announcer, self._tasks)
        self._configuring = Configuring(
            settings, models, self._assistant, self._caller, self._toolbox, announcer, self._warm
        )
        self._timekeeper = Timekeeper(
            settings.dialogue,
            self._clock,
            self._caller,
            self._assistant,
            self._tasks,
            lambda why: self._end("expired", why),
        )
        self._listening: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self._ran = False

    # -- its life ---------------------------------------------------------------------------------------------

    async def run(self, ears: AudioIn, mouth: AudioOut) -> None:
        """Hold the conversation until ``ears`` end or the session does (then ``closed``). After ears ended it may be
        run again with another pair: memory and clock go on, and so does a reply that was not heard to its end.
        Returns at once where it is closed already; raises RuntimeError while it runs with another pair."""
        if self.closed:
            return
        if self._listening is not None:
            raise RuntimeError("this session runs with another pair of ears and mouth")
        self._clock.join()
        self._announce_call()
        self._caller.face(mouth)
        self._assistant.giving.attach(mouth)
        if not self._ran and self._settings.dialogue.greeting:
            self._assistant.greet(self._settings.dialogue.greeting)
        if not self._ran:
            self._warm()
        self._ran = True
        self._assistant.check_voice()
        self._timekeeper.restart()
        self._listening = self._tasks.spawn(self._listen(ears), "listening")
        try:
            await asyncio.wait({self._listening})
        finally:
            self._listening.cancel()
            self._listening = None
            self._assistant.giving.detach()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def close(self, reason: str, detail: str = "") -> None:
        """End the conversation: cancels and awaits all there is of it, then emits CallEnded. Idempotent."""
        self._end(reason, detail)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    @property
    def closed(self) -> bool:
        """True once it ends or has ended; it cannot be run any more."""
        return self._closing is not None

    @property
    def _deaf(self) -> bool:
        """Whether nothing is taken any more."""
        return self.closed or self._timekeeper.leaving

    @property
    def position(self) -> int:
        """Samples of the caller heard so far: now, on the call's clock."""
        return self._clock.now

    @property
    def memory(self) -> Memory:
        """What is remembered of the conversation."""
        return self._assistant.memory

    def _end(self, reason: str, detail: str = "") -> None:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(reason, detail), name="closing a session")

    async def _close(self, reason: str, detail: str) -> None:
        self._assistant.close()
        await self._tasks.close()
        self._say(CallEnded, reason=reason, detail=detail)

    def _fault(self, task: str) -> None:
        self._end("error", f"An error in the server ended the call (in its task '{task}'); please call again.")

    def _announce_call(self) -> None:
        ready = self._models.ready
        tongue = self._assistant.tongue
        default = next(iter(ready.voices), "") if ready else ""  # what "auto" came to
        self._say(
            CallStarted,
            hears=ready.hears if ready else "",
            thinks=ready.thinks if ready else "",
            speaks=ready.speaks if ready else "",
            language=tongue.language,
            voice=default if tongue.voice == "auto" else tongue.voice,
            interruptions=self._caller.floor.mode,
            resumed=self._ran,
        )

    # -- what may be asked of it ------------------------------------------------------------------------------

    async def obey(self, command: AnyCommand) -> None:
        """Do as the caller asks (all but hanging up, which is not for a session to do)."""
        match command:
            case Text(text=text, respond=respond, role=role):
                await self.submit_text(text, respond, role)
            case Respond(instructions=instructions):
                self.respond(instructions)
            case Interrupt():
                self.interrupt()
            case Commit():
                self.commit()
            case Discard():
                self.discard()
            case Forget(turn=turn, reply=reply):
                self.forget(turn, reply)
            case PushToTalk(pressed=pressed):
                self.push_to_talk(pressed)
            case Configure():
                self.configure(command)
            case ToolResult(id=call, result=result, error=error):
                self.tool_result(call, result, error)
            case ExportMemory():
                self.export_memory()

    async def submit_text(self, text: str, respond: bool = True, role: str = "user") -> None:
        """Take ``text`` as a turn. It stops the reply that is being given, unless it is not to be answered (yet).
        ``role``: assistant or system, where it is nothing that the caller said; that is only remembered."""
        text = text.strip()
        if self._deaf:
            return
        if not text or len(text) > LONGEST_TEXT:
            self._say(Notice, code="bad_text", message=f"A text has 1 to {LONGEST_TEXT} characters.")
        elif role == "assistant":
            self.memory.greeted().assistant = text
        elif role == "system":
            self._take_note(text)
        elif respond:
            self._caller.type(text)
        else:
            self._caller.note(text)

    def _take_note(self, text: str) -> None:
        notes = self._assistant.asks.notes
        if sum(map(len, notes)) + len(text) > MAX_INSTRUCTIONS:
            self._say(Notice, code="bad_text", message=f"Instructions have {MAX_INSTRUCTIONS} characters at most.")
        else:
            notes.append(text)

    def respond(self, instructions: str | None = None) -> None:
        """Answer what is owed to the caller, or say something unasked. While a reply is given nothing comes of it
        but a Notice."""
        if self._deaf:
            return
        if self._assistant.giving.reply is not None:
            self._say(Notice, code="busy", message="A reply is being given already.")
        else:
            self._assistant.requested.respond(instructions)

    def commit(self) -> None:
        """With interruptions "manual": what was heard since the last one is a turn."""
        if not self._deaf and not self._caller.commit():
            manual = self._caller.floor.mode == "manual"
            message = "Less than 0.1 s was heard." if manual else "Turns are not made by hand; interruptions says so."
            self._say(Notice, code="empty_turn" if manual else "not_manual", message=message)

    def discard(self) -> None:
        """Forget what was heard and is in no turn."""
        if not self._deaf:
            self._caller.discard()

    def forget(self, turn: int | None = None, reply: int | None = None) -> None:
        """Take what was said in a turn, or in a reply, out of the memory, also before its words are known."""
        if not self._assistant.forget(turn, reply):
            self._say(Notice, code="unknown_turn", message="Nothing is remembered of that turn or reply.")

    def interrupt(self) -> None:
        """Stop the reply now."""
        self._assistant.giving.interrupt()

    def export_memory(self) -> None:
        """Tell what is remembered, by MemoryExported."""
        self._say(MemoryExported, memory=self.memory.to_json())

    def configure(self, asked: Configure) -> None:
        """Change settings of this call, from the next turn on. What cannot be is answered by a Notice."""
        if self._deaf:
            return
        if asked.idle_prompt_s is not None:
            self._take_idle_prompt(asked.idle_prompt_s)
        self._configuring.apply(asked)

    def _take_idle_prompt(self, seconds: float) -> None:
        longest = self._settings.dialogue.idle_hangup_s or math.inf
        if 0.0 <= seconds < longest:
            self._timekeeper.idle_prompt_s = seconds
        else:
            self._say(Notice, code="bad_config", message=f"idle_prompt_s is 0 to less than {longest:g}.")

    def _warm(self) -> None:
        """Have the model read of the functions before somebody waits for it; of those only that there are now."""
        if self._warming is not None:
            self._warming.cancel()
        if self._toolbox.tools:
            self._warming = self._tasks.spawn(self._prepare(), "reading of the functions")

    async def _prepare(self) -> None:
        await asyncio.sleep(WARM_AFTER_S)
        try:
            await self._models.prepare(self._assistant.asks.prepare("Hello."))
        except ModelsError as error:
            log.debug("the functions could not be read of ahead: %s", error)  # then they are when they are needed

    def tool_result(self, call: str, result: Any = None, error: str | None = None) -> None:
        """What a function of the caller's gave for the ToolCalled with the id ``call``."""
        if not self.closed and not self._toolbox.answer(call, result, error):
            self._say(Notice, code="unknown_tool_call", message="Nobody waits for that tool's result (any more).")

    def push_to_talk(self, pressed: bool) -> None:
        """The button went down (a turn begins, a reply stops) or up (the turn is over)."""
        if self._deaf or pressed == self._caller.floor.pressed:
            return
        if self._caller.floor.mode != "push-to-talk":
            self._say(Notice, code="not_push_to_talk", message="Switch push-to-talk on before its button is used.")
        elif pressed:
            self._caller.press()
        else:
            self._caller.release()

    # -- listening --------------------------------------------------------------------------------------------

    async def _listen(self, ears: AudioIn) -> None:
        async for block in ears:
            block = self._clock.tick(block)
            if not self._timekeeper.leaving:
                self._caller.hear(block)
            self._timekeeper.look()
        self._caller.left()

    def _overheard(self, turn: Turn, heard: Heard) -> None:
        self._caller.overheard(turn, heard)
