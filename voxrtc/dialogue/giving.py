"""The reply that is being given: one at most, and what stops it, holds it or lets it go on.

What is said, and whether it is to be said at all, is decided elsewhere (dialogue.assistant); here it meets the mouth.
"""

from __future__ import annotations

from voxrtc.audio import HEARD_RATE, AudioOut
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.last import LastReply
from voxrtc.dialogue.narrator import Narrator
from voxrtc.dialogue.reply import Reply
from voxrtc.dialogue.tasks import Tasks
from voxrtc.dialogue.turns import Turn
from voxrtc.dialogue.yielding import Held
from voxrtc.events import Ended, FalseInterruption, Interrupted, TurnDropped
from voxrtc.settings import Settings


class Giving:
    """For one session."""

    def __init__(
        self, settings: Settings, clock: CallClock, announcer: Announcer, narrator: Narrator, tasks: Tasks
    ) -> None:
        self.reply: Reply | None = None
        """Being thought of or spoken."""
        self.held: Held | None = None
        """The reply that a voice made stop, until it is known what that voice said."""
        self._backchannel_ms = settings.dialogue.backchannel_ms
        self._clock = clock
        self._say = announcer.say
        self._narrator = narrator
        self._tasks = tasks
        self._mouth: AudioOut | None = None
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

    # -- one reply -------------------------------------------------------------------------------------------

    def take(self, reply: Reply) -> None:
        """``reply`` is the one to be given from now on."""
        self._last.forget()
        self.reply = reply
        self.settle()

    def play(self, reply: Reply) -> None:
        """Let ``reply`` be heard, if it still is the one and there is a mouth."""
        if self._mouth is not None and self.reply is reply:
            reply.play(self._mouth, self._tasks)

    def over(self, reply: Reply) -> None:
        """All of ``reply`` was heard."""
        if reply is self.reply:
            self.end(reply, "finished" if reply.failure is None else "failed")
            self._last.keep(reply)

    def current(self, reply: Reply) -> bool:
        """Whether ``reply`` is being given, or was and may go on."""
        return reply is self.reply or (self.held is not None and reply is self.held.reply)

    # -- its end ----------------------------------------------------------------------------------------------

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
            self.end(held.reply, "interrupted")

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
        self.held = Held(reply, self._clock.now, reply.just_asked, self._backchannel_ms)
        self._remember(reply, "interrupted")  # for guesses at what the caller says now
        self._say(Interrupted, reply=reply.number, decision_ms=round(decision_ms, 1))
        self.settle()

    def _withdraw(self, reply: Reply | None, goes_on: bool) -> Turn | None:
        """Give up a reply that nobody has heard yet."""
        if reply is None:
            return None
        self._flush()
        self.end(reply, "cancelled")
        if reply.turn is None or reply.exchange is not None:
            return None
        self._say(TurnDropped, turn=reply.turn.number, reason="continued" if goes_on else "stopped")
        return reply.turn if goes_on else None

    @property
    def needed_from(self) -> int | None:
        """The sample from which on sound may still be needed, for a turn whose words are not known yet."""
        reply = self.reply
        return reply.turn.start if reply is not None and reply.turn is not None and reply.exchange is None else None

    def cut_short(self) -> None:
        """Stop the reply, which nobody has interrupted: the server itself ends the conversation."""
        self.give_way()
        if self.reply is not None:
            self._flush()
            self.end(self.reply, "interrupted" if self.reply.audible else "cancelled")

    def close(self) -> None:
        """The call is over."""
        self.cut_short()
        self._last.forget()

    def _flush(self) -> None:
        if self._mouth is not None:
            self._mouth.flush()

    def end(self, reply: Reply, ended: Ended) -> None:
        """``reply`` is over; the memory keeps what was heard of it."""
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

    def settle(self) -> None:
        """Announce what the assistant is doing, if that changed."""
        self._narrator.state(self.reply)
