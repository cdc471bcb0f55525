"""What becomes of replies, as the events that tell it."""

from __future__ import annotations

from voxrtc.audio import HEARD_RATE
from voxrtc.dialogue.announce import Announcer, CallClock
from voxrtc.dialogue.reply import Reply
from voxrtc.dialogue.spoken import SpokenClause
from voxrtc.dialogue.turns import Turn
from voxrtc.errors import HostLost, ModelsError
from voxrtc.events import (
    Ended,
    Notice,
    ReplyEnded,
    ReplyResumed,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    State,
    StateChanged,
    Transcript,
    TurnMetrics,
)


class Narrator:
    """Tells of one session's replies."""

    def __init__(self, announcer: Announcer, clock: CallClock) -> None:
        self._say = announcer.say
        self._clock = clock
        self._state: State | None = None

    def anew(self) -> None:
        """Somebody else listens: tell the state again."""
        self._state = None

    def state(self, reply: Reply | None) -> None:
        """What the assistant is doing, which is giving ``reply``; if that changed."""
        state: State = "listening" if reply is None else "speaking" if reply.audible else "thinking"
        if state != self._state:
            self._state = state
            self._say(StateChanged, state=state)

    def transcribed(self, turn: Turn, text: str, confidence: float, language: str) -> None:
        self._say(Transcript, turn=turn.number, text=text, final=True, confidence=confidence, language=language)

    def started(self, reply: Reply) -> None:
        """``reply`` was released; and what is known of it."""
        reply.started = True
        turn = reply.turn.number if reply.turn is not None else 0
        self._say(ReplyStarted, reply=reply.number, turn=turn, speculated=reply.speculated, spoken=reply.spoken)
        for clause in reply.clauses:
            self.clause(reply, clause)

    def clause(self, reply: Reply, clause: SpokenClause) -> None:
        if reply.started and clause.text:
            mood = clause.mood
            self._say(
                ReplyText,
                reply=reply.number,
                clause=clause.index,
                text=clause.text,
                emotion=mood.emotion,
                intensity=mood.intensity,
                confidence=mood.confidence,
            )

    def failed(self, error: ModelsError) -> None:
        self._say(Notice, code="host_lost" if isinstance(error, HostLost) else "models_failed", message=str(error))

    def begun(self, reply: Reply) -> None:
        """Its first packet has left: where the time until then went."""
        turn, times = reply.turn, reply.times
        if turn is None or reply.failure is not None:
            return
        spoken = self._clock.time_of(turn.end)
        heard = times.heard if times.heard is not None else times.asked
        self._say(
            TurnMetrics,
            turn=turn.number,
            reply=reply.number,
            endpoint_ms=round((turn.decided - turn.end) * 1000 / HEARD_RATE, 1),
            asr_ms=_ms(times.asked, heard),
            first_token_ms=max(0.0, _ms(heard, times.first_text)),
            first_audio_ms=_ms(spoken, times.first_audio),
            voice_to_voice_ms=_ms(spoken, times.begun),
            speculated=reply.speculated,
        )

    def spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None:
        if clause.text:
            self._say(ReplySpoken, reply=reply.number, clause=clause.index, heard=heard)

    def resumed(self, reply: Reply) -> None:
        """Somebody else listens, in the middle of ``reply``."""
        if reply.started and reply.audible:
            self._say(ReplyResumed, reply=reply.number, heard=reply.heard_until)

    def ended(self, reply: Reply, ended: Ended, text: str) -> None:
        if reply.started:
            self._say(ReplyEnded, reply=reply.number, ended=ended, text=text, heard_ms=reply.heard_ms)


def _ms(since: float, until: float | None) -> float:
    return round((until - since) * 1000, 1) if until is not None else 0.0
