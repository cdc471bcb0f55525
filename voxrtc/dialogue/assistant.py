"""The assistant's side of a conversation: at most one guess at an answer, at most one reply, and the memory of them.

A *guess* is a speculative Reply to a turn that may yet go on. When the turn ends it becomes the reply; until then
nobody hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voxrtc.audio import Samples
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.asks import Asks
from voxrtc.dialogue.giving import Giving
from voxrtc.dialogue.memory import Exchange, Memory
from voxrtc.dialogue.narrator import Narrator
from voxrtc.dialogue.phrases import Phrases, words
from voxrtc.dialogue.reply import Reply
from voxrtc.dialogue.requested import Requested
from voxrtc.dialogue.spoken import SpokenClause
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.thought import Manner
from voxrtc.dialogue.tongue import Tongue
from voxrtc.dialogue.tools import Toolbox
from voxrtc.dialogue.turns import Turn
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.events import (
    LanguageChanged,
    Notice,
    SpeculationDropped,
    TurnDropped,
)
from voxrtc.languages import ALL
from voxrtc.models.verbs import Models
from voxrtc.models.wire import Answer, Heard
from voxrtc.settings import Settings

GO_ON = "(The caller says nothing, and waits for you to say something.)"
"""What the model answers when a reply is asked for to which nothing was said."""


class Assistant:
    """Thinks, speaks and remembers for one session."""

    def __init__(
        self,
        call: str,
        settings: Settings,
        models: Models,
        phrases: Phrases,
        clock: CallClock,
        announcer: Announcer,
        tasks: Tasks,
        memory: Memory,
        toolbox: Toolbox,
        overheard: Callable[[Turn, Heard], None],
    ) -> None:
        """``overheard``: told what a guess made of a turn that is not over."""
        self.memory = memory
        self.tongue = Tongue(memory.language or settings.dialogue.language, settings.tts.voice, models)
        self.guess: Reply | None = None
        self._call = call
        self._settings = settings
        self._models = models
        self._phrases = phrases
        self._clock = clock
        self._say = announcer.say
        self._narrator = Narrator(announcer, clock)
        self.giving = Giving(settings, clock, announcer, self._narrator, tasks)
        self._tasks = tasks
        self._toolbox = toolbox
        self.asks = Asks(call, settings, memory, self.tongue, toolbox)
        self.requested = Requested(self, models, tasks, announcer)
        self._overheard = overheard
        self._replies = 0
        self._guesses = 0

    # -- beginning a reply ------------------------------------------------------------------------------------

    @property
    def guesses(self) -> bool:
        """Whether to guess, now."""
        if self.requested.on:
            return False
        mode = self._settings.dialogue.speculation
        return mode == "always" or (mode == "idle" and not self._models.answering(self._call))

    def speculate(self, turn: Turn, audio: Samples) -> None:
        """Guess that ``turn`` is over, and begin to answer it."""
        self.drop_guess()
        self._guesses += 1
        self.guess = self._begin(turn, self.asks.answer(audio=audio), guess=f"{self._call}/{self._guesses}")

    def drop_guess(self) -> None:
        """It was wrong: the turn goes on, or something else came between."""
        guess, self.guess = self.guess, None
        if guess is not None:
            self._wasted(guess)

    def _wasted(self, guess: Reply) -> None:
        guess.stop("cancelled")
        spent_s = asyncio.get_running_loop().time() - guess.times.asked
        self._say(SpeculationDropped, spent_ms=round(spent_s * 1000, 1))

    def answer(self, turn: Turn, audio: Samples) -> None:
        """``turn`` is over: let the guess at it be heard, if there is one, or else answer ``audio``."""
        if self.requested.on:
            self.requested.take_down(turn, audio)
            return
        # A guess that failed is made again, unless the models are gone: then its apology is all that can be had now.
        if self.guess is not None and self.guess.failure is not None and self._models.ready is not None:
            self.drop_guess()
        guess, self.guess = self.guess, None
        if guess is None:
            guess = self._begin(turn, self.asks.answer(audio=audio))
            guess.speculated = False
        self._release(guess)

    def answer_text(self, turn: Turn, text: str) -> None:
        """Answer what was typed."""
        ask = self.asks.answer(text=text)
        self._answer_exchange(turn, ask, self.typed(turn, text))

    def typed(self, turn: Turn, text: str) -> Exchange:
        """The caller wrote ``text``: tell and remember it."""
        self._narrator.transcribed(turn, text, 1.0, self.tongue.held_in or "en")
        return self.memory.heard(text, turn.number)

    def forget(self, turn: int | None, reply: int | None) -> bool:
        """Take a turn, or a reply, out of the memory, or keep a turn out of it whose words are not known yet; False
        where nothing is known of it."""
        if self.memory.forget(turn, reply):
            return True
        if turn is None or self.requested.forget(turn):
            return turn is not None
        answered = self.giving.reply
        if answered is None or answered.exchange is not None or answered.turn is None or answered.turn.number != turn:
            return False
        answered.turn.forgotten = True
        return True

    # -- answers that were asked for (Answering) --------------------------------------------------------------

    def answer_sound(self, turn: Turn, audio: Samples, instructions: str | None) -> None:
        reply = self._begin(turn, self.asks.answer(audio=audio, instructions=instructions))
        reply.speculated = False
        self._release(reply)

    def answer_owed(self, instructions: str | None) -> None:
        owed = self.memory.unanswered()
        if owed is None:
            ask = self.asks.answer(text=GO_ON, instructions=instructions)
            self._answer_exchange(None, ask, self.memory.greeted())
            return
        ask = self.asks.answer(text=owed.user, again=owed, instructions=instructions)
        now = self._clock.now
        self._answer_exchange(Turn(owed.turn, now, now, decided=now), ask, owed)

    def wrote(self, turn: Turn, heard: Heard) -> None:
        words = heard.text.strip()
        verdict = self.giving.held.judge(turn.voice_ms, words) if self.giving.held is not None else "interrupts"
        if verdict != "interrupts" or not words:
            reason = "backchannel" if verdict == "backchannel" else "no words"
            self._say(TurnDropped, turn=turn.number, reason=reason)
            self.giving.go_on(reason)
            return
        self.giving.give_way()
        self._follow(heard, turn)
        self.memory.heard(words, turn.number)
        self._narrator.transcribed(turn, words, heard.confidence, heard.language)

    def greet(self, text: str) -> None:
        """Speak first."""
        self._answer_exchange(None, text, self.memory.greeted())

    def remark(self, phrase: dict[str, str]) -> Reply:
        """Say something unasked (dialogue.phrases), in the language of the call."""
        text, language = words(phrase, self.tongue.spoken)
        self._keep_voice()
        reply = self._begin(None, text, self.asks.manner(language))
        return self._answer_as(reply, self.memory.greeted())

    def _answer_exchange(self, turn: Turn | None, script: Answer | str, exchange: Exchange) -> None:
        self._answer_as(self._begin(turn, script), exchange)

    def _answer_as(self, reply: Reply, exchange: Exchange) -> Reply:
        self.drop_guess()
        reply.speculated = False
        reply.exchange = exchange
        self._release(reply)
        return reply

    def _begin(self, turn: Turn | None, script: Answer | str, manner: Manner | None = None, guess: str = "") -> Reply:
        self._keep_voice()
        manner = manner or self.asks.manner()
        reply = Reply(turn, script, manner, self._models, self, self._phrases, self._toolbox, guess)
        reply.start(self._tasks)
        return reply

    def _release(self, reply: Reply) -> None:
        self._replies += 1
        reply.release(self._replies)
        self.giving.take(reply)
        if reply.heard is not None:
            self.reply_heard(reply, reply.heard)
        elif reply.exchange is not None:
            self._narrator.started(reply)
        if reply.failure is not None:
            self.reply_failed(reply, reply.failure)
        self.giving.play(reply)

    def close(self) -> None:
        """The call is over."""
        if self.guess is not None:
            self.guess.stop("cancelled")
            self.guess = None
        self.giving.close()

    # -- what becomes of a reply (Listener) -------------------------------------------------------------------

    def reply_heard(self, reply: Reply, heard: Heard) -> None:
        if reply is self.guess and reply.turn is not None:
            self._overheard(reply.turn, heard)
        if reply is not self.giving.reply or reply.turn is None:
            return
        words, turn = heard.text.strip(), reply.turn
        verdict = self.giving.held.judge(turn.voice_ms, words) if self.giving.held is not None else "interrupts"
        if verdict != "interrupts" or not words:
            self._drop_turn(reply, turn, "backchannel" if verdict == "backchannel" else "no words")
            return
        self.giving.give_way()
        if turn.forgotten:
            reply.exchange = self.memory.greeted()
            self._narrator.started(reply)
            return
        held_in, spoken = self.tongue.held_in, self.tongue.spoken
        self._follow(heard, turn)
        exchange = self.memory.heard(words, turn.number)
        self._narrator.transcribed(turn, words, heard.confidence, heard.language)
        if held_in and self.tongue.spoken != spoken:
            self.giving.end(reply, "cancelled")  # it was asked for in the language of before
            self._answer_exchange(turn, self.asks.answer(text=words, again=exchange), exchange)
            return
        reply.exchange = exchange
        self._narrator.started(reply)

    def _follow(self, heard: Heard, turn: Turn) -> None:
        """Hold the call in the caller's language, if it is to be."""
        if self.tongue.follow(heard, turn.voice_ms):
            self._say(LanguageChanged, turn=turn.number, language=self.tongue.held_in)
            self.check_voice()

    def _keep_voice(self) -> None:
        """Go on with the default voice, and tell so, where the call's is gone."""
        if voice := self.tongue.missed():
            self._say(Notice, code="no_voice", message=f"The voice '{voice}' is gone: the default one goes on.")

    def check_voice(self) -> None:
        """Tell, once, where no voice speaks the language of the call."""
        if language := self.tongue.unvoiced():
            name = ALL[language].name
            self._say(Notice, code="no_voice", message=f"No voice here speaks {name}: the call goes on in English.")

    def _drop_turn(self, reply: Reply, turn: Turn, reason: str) -> None:
        self.giving.end(reply, "cancelled")
        self._say(TurnDropped, turn=turn.number, reason=reason)
        if self.giving.held is not None:
            self.giving.go_on(reason)
            return
        owed = self.memory.unanswered()
        if owed is not None:  # that noise had stopped the answer to what was said before it
            self._answer_exchange(turn, self.asks.answer(text=owed.user, again=owed), owed)

    def reply_clause(self, reply: Reply, clause: SpokenClause) -> None:
        if self.giving.current(reply):
            self._narrator.clause(reply, clause)

    def reply_failed(self, reply: Reply, error: ModelsError) -> None:
        if not self.giving.current(reply):
            return
        if isinstance(error, GaveWay):
            self._answer_again(reply)
            return
        if reply is self.giving.reply:
            self.giving.give_way()  # what the voice said that stopped another will not be known
        if not reply.started:
            self._narrator.started(reply)
        self._narrator.failed(error)

    def _answer_again(self, reply: Reply) -> None:
        """``reply``, once a guess, was released in the moment in which it gave way to another caller."""
        self._wasted(reply)
        self.giving.end(reply, "cancelled")
        if reply.exchange is not None:
            exchange = reply.exchange
            self._answer_exchange(reply.turn, self.asks.answer(text=exchange.user, again=exchange), exchange)
            return
        reply = self._begin(reply.turn, reply.script)
        reply.speculated = False
        self._release(reply)

    def reply_begun(self, reply: Reply) -> None:
        self.giving.settle()
        self._narrator.begun(reply)

    def reply_spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None:
        self._narrator.spoken(reply, clause, heard)

    def reply_over(self, reply: Reply) -> None:
        self.giving.over(reply)
