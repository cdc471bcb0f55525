"""The assistant's side of a conversation: at most one guess at an answer, at most one reply, and the memory of them.

A *guess* is a speculative Reply to a turn that may yet go on. When the turn ends it becomes the reply; until then
nobody hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voxrtc.audio import HEARD_RATE, AudioOut, Samples
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.asks import Asks
from voxrtc.dialogue.last import LastReply
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
from voxrtc.dialogue.yielding import Held
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.events import (
    Ended,
    FalseInterruption,
    Interrupted,
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
        self.reply: Reply | None = None
        self.held: Held | None = None
        """The reply that a voice made stop, until it is known what that voice said."""
        self._call = call
        self._settings = settings
        self._models = models
        self._phrases = phrases
        self._clock = clock
        self._say = announcer.say
        self._narrator = Narrator(announcer, clock)
        self._tasks = tasks
        self._toolbox = toolbox
        self.asks = Asks(call, settings, memory, self.tongue, toolbox)
        self.requested = Requested(self, models, tasks, announcer)
        self._overheard = overheard
        self._mouth: AudioOut | None = None
        self._replies = 0
        self._guesses = 0
        self._ducked = False
        self._last = LastReply(settings.media.lost_after_s)

    # -- the mouth --------------------------------------------------------------------------------------------

    def attach(self, mouth: AudioOut) -> None:
        """Speak into ``mouth`` from now on; a reply that was being spoken goes on where it was heard last."""
        self._mouth = mouth
        self._ducked = False
        self._narrator.anew()
        self._reopen()
        self.settle()
        if self.reply is not None:
            self._narrator.resumed(self.reply)
            self.reply.play(mouth, self._tasks)

    def _reopen(self) -> None:
        missed = self._last.missed()
        self._last.forget()
        if missed is not None and self.reply is None and self.held is None:
            missed.reopen()
            self.reply = missed

    def detach(self) -> None:
        """The mouth is gone."""
        self._mouth = None
        self._last.wait()
        if self.reply is not None:
            self.reply.pause()

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
        verdict = self.held.judge(turn.voice_ms, words) if self.held is not None else "interrupts"
        if verdict != "interrupts" or not words:
            reason = "backchannel" if verdict == "backchannel" else "no words"
            self._say(TurnDropped, turn=turn.number, reason=reason)
            self.go_on(reason)
            return
        self.give_way()
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
        self._last.forget()
        self._replies += 1
        reply.release(self._replies)
        self.reply = reply
        self.settle()
        if reply.heard is not None:
            self.reply_heard(reply, reply.heard)
        elif reply.exchange is not None:
            self._narrator.started(reply)
        if reply.failure is not None:
            self.reply_failed(reply, reply.failure)
        if self._mouth is not None and self.reply is reply:
            reply.play(self._mouth, self._tasks)

    # -- the end of a reply -----------------------------------------------------------------------------------

    def interrupt(self, goes_on: bool = False) -> Turn | None:
        """Stop the reply, in this very iteration of the loop; the memory keeps what was heard of it.

        ``goes_on``: the caller says more. Where the words of the turn that was to be answered are not yet known,
        that turn is returned: its sound belongs to what follows.
        """
        self.give_way()
        reply = self.reply
        if reply is not None and reply.audible:
            self._hold(reply, 0.0)
            self.give_way()
            return None
        return self._withdraw(reply, goes_on)

    def hold(self, decision_ms: float) -> Turn | None:
        """A voice has taken the floor from the reply: silence it, in this very iteration of the loop. What was being
        heard may go on (``go_on``) or is over (``give_way``); what was not yet heard is over at once, as by
        ``interrupt``."""
        reply = self.reply
        if reply is not None and reply.audible:
            self._hold(reply, decision_ms)
            return None
        return self._withdraw(reply, goes_on=True)

    @property
    def speaking(self) -> bool:
        """Whether a reply is being heard."""
        return self.reply is not None and self.reply.audible

    def duck(self, on: bool) -> None:
        """Speak softer for as long as somebody else might be beginning to speak."""
        on = on and self.speaking
        if on != self._ducked and self._mouth is not None:
            self._ducked = on
            self._mouth.duck(on)

    def give_way(self) -> None:
        """The voice that stopped the held reply really interrupted it."""
        held, self.held = self.held, None
        if held is not None:
            self._end(held.reply, "interrupted")

    def go_on(self, reason: str) -> None:
        """It did not: the held reply goes on, where it was heard last."""
        held, self.held = self.held, None
        if held is None:
            return
        self.reply = reply = held.reply
        reply.reopen()
        silent_ms = (self._clock.now - held.since) * 1000 / HEARD_RATE
        self._say(FalseInterruption, reply=reply.number, reason=reason, silent_ms=round(silent_ms, 1))
        if self._mouth is not None:
            reply.play(self._mouth, self._tasks, back=True)
        self.settle()

    def _hold(self, reply: Reply, decision_ms: float) -> None:
        self._flush()
        reply.pause()
        self.duck(False)
        self.reply = None
        self.held = Held(reply, self._clock.now, reply.just_asked, self._settings.dialogue.backchannel_ms)
        self._remember(reply, "interrupted")  # for guesses at what the caller says now
        self._say(Interrupted, reply=reply.number, decision_ms=round(decision_ms, 1))
        self.settle()

    def _withdraw(self, reply: Reply | None, goes_on: bool) -> Turn | None:
        """Give up a reply that nobody has heard yet."""
        if reply is None:
            return None
        self._flush()
        self._end(reply, "cancelled")
        if reply.turn is None or reply.exchange is not None:
            return None
        self._say(TurnDropped, turn=reply.turn.number, reason="continued" if goes_on else "stopped")
        return reply.turn if goes_on else None

    @property
    def needed_from(self) -> int | None:
        """The sample from which on sound may still be needed, for a turn whose words are not known yet."""
        reply = self.reply
        return reply.turn.start if reply is not None and reply.turn is not None and reply.exchange is None else None

    def close(self) -> None:
        """The call is over."""
        if self.guess is not None:
            self.guess.stop("cancelled")
            self.guess = None
        self.cut_short()
        self._last.forget()

    def cut_short(self) -> None:
        """Stop the reply, which nobody has interrupted: the server itself ends the conversation."""
        self.give_way()
        if self.reply is not None:
            self._flush()
            self._end(self.reply, "interrupted" if self.reply.audible else "cancelled")

    def _flush(self) -> None:
        if self._mouth is not None:
            self._mouth.flush()

    def _end(self, reply: Reply, ended: Ended) -> None:
        reply.stop(ended)
        if reply is self.reply:
            self.reply = None
        text = self._remember(reply, ended)
        self._narrator.ended(reply, ended, text)
        self.settle()

    def _remember(self, reply: Reply, ended: Ended) -> str:
        """Put what was heard of ``reply`` into the memory; returns it."""
        text = reply.heard_text()
        if reply.exchange is not None:
            reply.exchange.assistant = reply.remembered_text()
            reply.exchange.reply = reply.number
            reply.exchange.interrupted = ended != "finished" and bool(text)
            reply.exchange.answered = ended != "cancelled"
        return text

    def _current(self, reply: Reply) -> bool:
        """Whether ``reply`` is being given, or was and may go on."""
        return reply is self.reply or (self.held is not None and reply is self.held.reply)

    def settle(self) -> None:
        """Announce what the assistant is doing, if that changed."""
        self._narrator.state(self.reply)

    # -- what becomes of a reply (Listener) -------------------------------------------------------------------

    def reply_heard(self, reply: Reply, heard: Heard) -> None:
        if reply is self.guess and reply.turn is not None:
            self._overheard(reply.turn, heard)
        if reply is not self.reply or reply.turn is None:
            return
        words, turn = heard.text.strip(), reply.turn
        verdict = self.held.judge(turn.voice_ms, words) if self.held is not None else "interrupts"
        if verdict != "interrupts" or not words:
            self._drop_turn(reply, turn, "backchannel" if verdict == "backchannel" else "no words")
            return
        self.give_way()
        held_in, spoken = self.tongue.held_in, self.tongue.spoken
        self._follow(heard, turn)
        exchange = self.memory.heard(words, turn.number)
        self._narrator.transcribed(turn, words, heard.confidence, heard.language)
        if held_in and self.tongue.spoken != spoken:
            self._end(reply, "cancelled")  # it was asked for in the language of before
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
        self._end(reply, "cancelled")
        self._say(TurnDropped, turn=turn.number, reason=reason)
        if self.held is not None:
            self.go_on(reason)
            return
        owed = self.memory.unanswered()
        if owed is not None:  # that noise had stopped the answer to what was said before it
            self._answer_exchange(turn, self.asks.answer(text=owed.user, again=owed), owed)

    def reply_clause(self, reply: Reply, clause: SpokenClause) -> None:
        if self._current(reply):
            self._narrator.clause(reply, clause)

    def reply_failed(self, reply: Reply, error: ModelsError) -> None:
        if not self._current(reply):
            return
        if isinstance(error, GaveWay):
            self._answer_again(reply)
            return
        if reply is self.reply:
            self.give_way()  # what the voice said that stopped another will not be known
        if not reply.started:
            self._narrator.started(reply)
        self._narrator.failed(error)

    def _answer_again(self, reply: Reply) -> None:
        """``reply``, once a guess, was released in the moment in which it gave way to another caller."""
        self._wasted(reply)
        self._end(reply, "cancelled")
        if reply.exchange is not None:
            exchange = reply.exchange
            self._answer_exchange(reply.turn, self.asks.answer(text=exchange.user, again=exchange), exchange)
            return
        reply = self._begin(reply.turn, reply.script)
        reply.speculated = False
        self._release(reply)

    def reply_begun(self, reply: Reply) -> None:
        self.settle()
        self._narrator.begun(reply)

    def reply_spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None:
        self._narrator.spoken(reply, clause, heard)

    def reply_over(self, reply: Reply) -> None:
        if reply is self.reply:
            self._end(reply, "finished" if reply.failure is None else "failed")
            self._last.keep(reply)
