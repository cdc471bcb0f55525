"""One answer of the assistant: thought, cut into clauses, voiced, and played, each while the one before goes on.

It may be begun before it is known to be wanted (*speculative*): it is then made up to the samples of its first
clause, and waits, unheard, to be released or dropped. It may also be made before it is known what the caller said
(models.verbs): it then waits, unheard and untold, for that.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Literal, Protocol

from voxrtc.audio import SPOKEN_RATE, AudioOut
from voxrtc.dialogue.clauses import read_aloud
from voxrtc.dialogue.memory import Exchange
from voxrtc.dialogue.phrases import Phrases
from voxrtc.dialogue.spoken import Growing, SpokenClause
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.thought import Manner, Thought, Timings
from voxrtc.dialogue.tools import Toolbox
from voxrtc.dialogue.turns import Turn
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.events import Ended
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Answer, Heard, Speak, Speech, Utterance

CLAUSES_AHEAD = 2
"""A clause is voiced once the one this many before it is being heard: early enough for a seamless voice, and little
is lost when the caller interrupts."""

NEARLY_ALL = 0.8
"""Of a question's clause; then what it asks is known."""


class Listener(Protocol):
    """Whom a reply tells what becomes of it, released or not. Called in order, from the loop."""

    def reply_heard(self, reply: Reply, heard: Heard) -> None: ...
    def reply_clause(self, reply: Reply, clause: SpokenClause) -> None: ...
    def reply_failed(self, reply: Reply, error: ModelsError) -> None: ...
    def reply_begun(self, reply: Reply) -> None: ...
    def reply_spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None: ...
    def reply_over(self, reply: Reply) -> None: ...


class Reply:
    """One answer to ``turn`` (None: a greeting). ``script``: what to ask the models, or the text itself.

    ``toolbox``: runs the functions that the script names. ``guess``: names it, while nobody waits for it.
    """

    def __init__(
        self,
        turn: Turn | None,
        script: Answer | str,
        manner: Manner,
        models: Models,
        listener: Listener,
        phrases: Phrases,
        toolbox: Toolbox | None = None,
        guess: str = "",
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
        self.script = script
        self.over = asyncio.Event()
        """Set once it was stopped, or heard to its end."""
        self._manner = manner
        self._models = models
        self._listener = listener
        self._phrases = phrases
        self._guess = guess
        self._thought = Thought(script, manner, models, toolbox, self)
        self._clauses: Growing[SpokenClause] = Growing()  # those of the thought, and an apology
        self._released = asyncio.Event()
        self._settled = asyncio.Event()  # what it answers is known, or will not be
        self._playable = asyncio.Event()
        if isinstance(script, str) or script.audio is None:
            self._settled.set()
            self._playable.set()
        self._language = ""  # where it follows the caller: the one that it follows from what was heard
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
        if self._guess:
            self._models.release(self._guess)

    def play(self, mouth: AudioOut, tasks: Tasks, back: bool = False) -> None:
        """Play it, from where it was heard last, into ``mouth``, once it is known that there is something to answer;
        tells ``reply_over`` when all of it was heard.
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

    def reopen(self) -> None:
        """It goes on although it seemed to be over: what was heard of it is not known yet."""
        self.state = "released"
        self.over.clear()
        if self.exchange is not None:
            self.exchange.assistant, self.exchange.interrupted, self.exchange.answered = "", False, False

    def stop(self, ended: Ended) -> None:
        """It is over: all work for it is cancelled. The samples in the mouth are not this one's to flush."""
        self.state = ended
        self.over.set()
        self.pause()
        if self._making is not None:
            self._making.cancel()

    @property
    def spoken(self) -> bool:
        """Whether it is to be heard; else it is text alone."""
        return self._manner.speaks

    @property
    def audible(self) -> bool:
        """Whether any of it has been heard."""
        return self.times.begun is not None

    @property
    def clauses(self) -> list[SpokenClause]:
        return self._clauses.items

    @property
    def all_heard(self) -> bool:
        """Whether all that was made of it was heard: not so, if what left was taken back (audio.Sent)."""
        return all(clause.all_heard for clause in self.clauses)

    @property
    def heard_until(self) -> int:
        """How far it was heard, in characters of its text."""
        return max((clause.start + clause.heard_chars() for clause in self.clauses if clause.heard), default=0)

    @property
    def heard_ms(self) -> float:
        """How much of its sound was heard, the pauses between clauses not counted."""
        return round(sum(clause.heard for clause in self.clauses) * 1000 / SPOKEN_RATE, 1)

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

    def remembered_text(self) -> str:
        """As ``heard_text``, but for fillers: the model shall not learn to say them."""
        return "".join(clause.heard_text() for clause in self.clauses if not clause.filler).strip()

    # -- making -----------------------------------------------------------------------------------------------

    async def _make(self) -> None:
        thinking = asyncio.create_task(self._thought.run(), name="reply's thought")
        thinking.add_done_callback(lambda _: self._settled.set())
        try:
            await self._voice()
        except GaveWay as error:
            if not self.audible:  # else a guess was released as it gave way, and what there is of it is being heard
                self._fail(error)
        except ModelsError as error:
            await self._settled.wait()  # what the voice fails to answer is to be known all the same
            self._fail(error)
        finally:
            thinking.cancel()
            await asyncio.gather(thinking, return_exceptions=True)  # what it died of came through the clauses
            self._clauses.close()

    # -- what becomes of its thought (Thinker) ----------------------------------------------------------------

    def thought_heard(self, heard: Heard) -> None:
        self.heard = heard
        self._language = self._manner.after(heard, self.turn.voice_ms if self.turn is not None else 0.0)
        self._settled.set()
        if heard.text.strip():
            self._playable.set()
        self._listener.reply_heard(self, heard)

    def thought_clause(self, clause: SpokenClause) -> None:
        self._clauses.append(clause)
        self._listener.reply_clause(self, clause)

    def thought_stepped(self, steps: list[Utterance]) -> None:
        if self.exchange is not None:
            self.exchange.steps += steps

    def guess_name(self) -> str:
        """For asks: which guess they are for, as long as nobody waits for it."""
        return "" if self._released.is_set() else self._guess

    async def until_released(self) -> None:
        await self._released.wait()

    def language(self) -> str:
        """For the words: the one it is in, as far as that is known."""
        language = self._manner.language
        return language if language != "auto" else self._language or self._manner.spoken

    # -- its voice --------------------------------------------------------------------------------------------

    async def _voice(self) -> None:
        async for clause in self._thought.clauses.follow():
            if clause.index > 0:
                await self._released.wait()
            if clause.index >= CLAUSES_AHEAD:
                await self._clauses.items[clause.index - CLAUSES_AHEAD].begun.wait()
            if not clause.mute and any(c.isalnum() for c in clause.text):
                await self._speak(clause)
            clause.speech.close()

    async def _speak(self, clause: SpokenClause) -> None:
        manner, mood = self._manner, clause.mood
        if manner.language == "auto":
            await self._settled.wait()
        ask = Speak(
            read_aloud(clause.text),
            manner.voice,
            self.language(),
            manner.tts.speed,
            mood.emotion,
            mood.intensity,
            self.guess_name(),
            self._ahead_ms(clause),
        )
        fixed = clause.filler or isinstance(self.script, str)
        if fixed and (voiced := self._phrases.known(ask)) is not None:
            self.times.first_audio = self.times.first_audio or _now()
            clause.say(voiced)
            return
        parts: list[Speech] = []
        async with aclosing(self._models.speak(ask)) as stream:
            async for speech in stream:
                if self.times.first_audio is None:
                    self.times.first_audio = _now()
                clause.add(speech)
                parts.append(speech)
        ready = self._models.ready
        if fixed and ready is not None and manner.voice not in ready.clones:  # that name may come to mean another voice
            self._phrases.keep(ask, parts)

    def _ahead_ms(self, clause: SpokenClause) -> int:
        """Of sound that is left to hear of the clauses before ``clause``."""
        left = sum(before.left for before in self._clauses.items[: clause.index])
        return 1000 * left // SPOKEN_RATE

    def _fail(self, error: ModelsError) -> None:
        """Say an apology after what could be made, if it is known what that answers."""
        self.failure = error
        if not self._playable.is_set():
            self._clauses.items.clear()  # nobody follows them yet
            self._playable.set()
        for clause in self._clauses.items:
            clause.speech.close()
        end = self._clauses.items[-1].end if self._clauses.items else 0
        apology = SpokenClause(len(self._clauses.items), end, "")
        apology.say(self._phrases.apology(self._manner.language))
        apology.speech.close()
        self._clauses.append(apology)
        self._listener.reply_failed(self, error)

    # -- playing ----------------------------------------------------------------------------------------------

    async def _play(self, mouth: AudioOut, stopped: asyncio.Event) -> None:
        await self._playable.wait()
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
