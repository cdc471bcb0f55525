"""One answer of the assistant: thought, cut into clauses, voiced, and played, each while the one before goes on.

It may be begun before it is known to be wanted (*speculative*): it is then made up to the samples of its first
clause, and waits, unheard, to be released or dropped.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol

from voxrtc.audio import AudioOut, Samples
from voxrtc.config import Tts
from voxrtc.dialogue.clauses import ClauseCutter, read_aloud
from voxrtc.dialogue.memory import Exchange
from voxrtc.dialogue.spoken import Growing, SpokenClause
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.turns import Turn
from voxrtc.errors import ModelsError
from voxrtc.events import Ended
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Answer, Heard, Said, Speak, Speech, pack

CLAUSES_AHEAD = 2
"""A clause is voiced once the one this many before it is being heard: early enough for a seamless voice, and little
is lost when the caller interrupts."""

NEARLY_ALL = 0.8
"""Of a question's clause; then what it asks is known."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak. ``language`` may be "auto": then in the language that was heard.

    ``patience_s``: seconds without a sign of the models after which the reply is given up.
    """

    voice: str
    language: str
    tts: Tts
    patience_s: float


@dataclass(slots=True)
class Timings:
    """``loop.time()`` of what happened first."""

    asked: float = 0.0
    heard: float | None = None
    first_text: float | None = None
    first_audio: float | None = None
    begun: float | None = None


class Listener(Protocol):
    """Whom a reply tells what becomes of it, released or not. Called in order, from the loop."""

    def reply_heard(self, reply: Reply, heard: Heard) -> None: ...
    def reply_clause(self, reply: Reply, clause: SpokenClause) -> None: ...
    def reply_failed(self, reply: Reply, error: ModelsError) -> None: ...
    def reply_begun(self, reply: Reply) -> None: ...
    def reply_spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None: ...
    def reply_over(self, reply: Reply) -> None: ...


class Reply:
    """One answer to ``turn`` (None: a greeting). ``script``: what to ask the models, or the text itself."""

    def __init__(
        self,
        turn: Turn | None,
        script: Answer | str,
        manner: Manner,
        models: Models,
        listener: Listener,
        apology: Samples,
    ) -> None:
        self.turn = turn
        self.number = 0
        """Its number in the call, from its release on."""
        self.state: Literal["speculative", "released"] | Ended = "speculative"
        self.speculated = True
        self.started = False
        """Whether its ReplyStarted was announced."""
        self.heard: Heard | None = None
        self.failure: ModelsError | None = None
        self.exchange: Exchange | None = None
        self.times = Timings()
        self._script = script
        self._manner = manner
        self._models = models
        self._listener = listener
        self._apology = apology
        self._cut: Growing[SpokenClause] = Growing()  # to be voiced
        self._clauses: Growing[SpokenClause] = Growing()  # to be played
        self._released = asyncio.Event()
        self._making: asyncio.Task[None] | None = None
        self._playing: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()  # of the player's; a cancelled task may yet run for a step

    # -- what its session does with it ------------------------------------------------------------------------

    def start(self, tasks: Tasks) -> None:
        """Begin to make it."""
        self.times.asked = asyncio.get_running_loop().time()
        self._making = tasks.spawn(self._make(), "reply")

    def release(self, number: int) -> None:
        """It may be heard."""
        self.number = number
        self.state = "released"
        self._released.set()

    def play(self, mouth: AudioOut, tasks: Tasks, back: bool = False) -> None:
        """Play it, from where it was heard last, into ``mouth``; tells ``reply_over`` when all of it was heard.
        ``back``: begin a moment before that, so that no word is lost to having been cut off."""
        for clause in self._clauses.items:
            clause.rewind(back)
        self._stopped = asyncio.Event()
        self._playing = tasks.spawn(self._play(mouth, self._stopped), "reply's player")

    def pause(self) -> None:
        """Stop playing, keep what was made: the mouth is gone (or is about to be flushed)."""
        if self._playing is not None:
            self._playing.cancel()
            self._stopped.set()

    def stop(self, ended: Ended) -> None:
        """It is over: all work for it is cancelled. The samples in the mouth are not this one's to flush."""
        self.state = ended
        self.pause()
        if self._making is not None:
            self._making.cancel()

    @property
    def audible(self) -> bool:
        """Whether any of it has been heard."""
        return self.times.begun is not None

    @property
    def clauses(self) -> list[SpokenClause]:
        return self._clauses.items

    @property
    def just_asked(self) -> bool:
        """Whether a question has just been heard: nearly all of its clause, and next to nothing of what follows."""
        heard = [clause for clause in self.clauses if clause.text and clause.heard]
        if not heard:
            return False
        share = heard[-1].heard_chars() / len(heard[-1].text)
        if heard[-1].asks:
            return share >= NEARLY_ALL
        return len(heard) > 1 and heard[-2].asks and share <= 1 - NEARLY_ALL

    def heard_text(self) -> str:
        """The words that were heard: exact to the clause, and inside a clause to the word as near as can be told."""
        return "".join(clause.heard_text() for clause in self.clauses).strip()

    # -- making -----------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        thinking = asyncio.create_task(self._think(), name="reply's thought")
        try:
            await self._voice()
        except ModelsError as error:
            self._fail(error)
        finally:
            thinking.cancel()
            await asyncio.gather(thinking, return_exceptions=True)  # what it died of came through the clauses
            self._clauses.close()

    async def _think(self) -> None:
        try:
            if isinstance(self._script, str):
                self._written(self._script)
            else:
                await self._ask(self._script)
        except BaseException as error:
            self._cut.close(error)
            raise
        self._cut.close()

    def _written(self, text: str) -> None:
        cutter = self._cutter()
        self._add(cutter.feed(text) + cutter.finish())

    async def _ask(self, ask: Answer) -> None:
        cutter = self._cutter()
        try:
            await self._take(ask, cutter)
        except TimeoutError:
            raise ModelsError(f"the models gave no sign for {self._manner.patience_s:g} s") from None
        self._add(cutter.finish())
        understood = self.heard is None or self.heard.text.strip()
        if understood and not self._cut.items:
            raise ModelsError("the language model had no answer")

    async def _take(self, ask: Answer, cutter: ClauseCutter) -> None:
        """Take what the models give, as long as they give something. Raises TimeoutError."""
        async with aclosing(self._models.answer(ask)) as stream, asyncio.timeout(self._manner.patience_s) as patience:
            async for item in stream:
                patience.reschedule(_now() + self._manner.patience_s)
                if isinstance(item, Heard):
                    self._hear(item)
                elif isinstance(item, Said):
                    if self.times.first_text is None:
                        self.times.first_text = _now()
                    self._add(cutter.feed(item.text))

    def _cutter(self) -> ClauseCutter:
        tts = self._manner.tts
        return ClauseCutter(tts.first_clause_chars, tts.max_clause_chars, tts.breath_chars)

    def _hear(self, heard: Heard) -> None:
        self.heard = heard
        self.times.heard = _now()
        self._listener.reply_heard(self, heard)

    def _add(self, texts: list[str]) -> None:
        for text in texts:
            before = self._clauses.items[-1].end if self._clauses.items else 0
            clause = SpokenClause(len(self._clauses.items), before, text)
            self._clauses.append(clause)
            self._cut.append(clause)
            self._listener.reply_clause(self, clause)

    async def _voice(self) -> None:
        async for clause in self._cut.follow():
            if clause.index > 0:
                await self._released.wait()
            if clause.index >= CLAUSES_AHEAD:
                await self._clauses.items[clause.index - CLAUSES_AHEAD].begun.wait()
            if any(c.isalnum() for c in clause.text):
                await self._speak(clause)
            clause.speech.close()

    async def _speak(self, clause: SpokenClause) -> None:
        language = self._manner.language
        if language == "auto":
            language = self.heard.language if self.heard is not None else "en"
        ask = Speak(read_aloud(clause.text), self._manner.voice, language, self._manner.tts.speed)
        async with aclosing(self._models.speak(ask)) as stream:
            async for speech in stream:
                if self.times.first_audio is None:
                    self.times.first_audio = _now()
                clause.add(speech)

    def _fail(self, error: ModelsError) -> None:
        """Say an apology after what could be made."""
        self.failure = error
        for clause in self._clauses.items:
            clause.speech.close()
        end = self._clauses.items[-1].end if self._clauses.items else 0
        apology = SpokenClause(len(self._clauses.items), end, "")
        apology.add(Speech(pack(self._apology), 0, 0))
        apology.speech.close()
        self._clauses.append(apology)
        self._listener.reply_failed(self, error)

    # -- playing ----------------------------------------------------------------------------------------------

    async def _play(self, mouth: AudioOut, stopped: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pour(mouth, stopped), name="reply's pouring")
            watch = group.create_task(self._watch(mouth), name="reply's watch")
        if watch.result():
            self._listener.reply_over(self)

    async def _pour(self, mouth: AudioOut, stopped: asyncio.Event) -> None:
        async for clause in self._clauses.follow():
            async for samples in clause.unheard():
                if stopped.is_set():
                    return
                await mouth.play(samples, clause.mark)
            clause.poured.set()

    async def _watch(self, mouth: AudioOut) -> bool:
        """Tell how far it is heard; returns whether that was to its end (not so, if the mouth was flushed)."""
        async for clause in self._clauses.follow():
            if not await self._begins(clause):
                continue
            self._begun(clause)
            await clause.poured.wait()
            await self._passed(clause, mouth)
            if not clause.all_heard:
                return False
            self._listener.reply_spoken(self, clause, clause.end)
        return True

    async def _begins(self, clause: SpokenClause) -> bool:
        """Wait for the clause's first packet in this mouth; False where it has none to give (any more)."""
        async with aclosing(clause.unheard()) as rest:
            async for _ in rest:
                await clause.mark.begun.wait()
                return True
        clause.begun.set()
        return False

    def _begun(self, clause: SpokenClause) -> None:
        resumed = clause.begun.is_set()
        clause.begun.set()
        if self.times.begun is None:
            self.times.begun = clause.mark.begun_at or _now()
            self._listener.reply_begun(self)
        if not resumed:
            self._listener.reply_spoken(self, clause, clause.start)

    async def _passed(self, clause: SpokenClause, mouth: AudioOut) -> None:
        """Wait until the clause has been heard: the mouth ran dry, or the next one is being heard."""
        ways = [
            asyncio.create_task(mouth.drained(), name="reply drained"),
            asyncio.create_task(self._next_begun(clause), name="next clause"),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _next_begun(self, clause: SpokenClause) -> None:
        async with aclosing(self._clauses.follow(clause.index + 1)) as later:
            async for following in later:
                if following.speech.items or not following.speech.closed:
                    await following.mark.begun.wait()
                    return
        await asyncio.Event().wait()  # there is none: only the drained mouth tells


def _now() -> float:
    return asyncio.get_running_loop().time()
