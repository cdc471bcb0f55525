"""What can happen in a call: the one vocabulary of every dialect, the metrics and the page.

Each event is a frozen dataclass; its wire name is its ``type`` (snake_case of the class). Positions
(``at``, ``start``, ``end``) are samples of the call's clock at 16 kHz; durations end in ``_ms``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Literal

State = Literal["listening", "thinking", "speaking"]
Ended = Literal["finished", "interrupted", "cancelled", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events: the call it belongs to, the sample position and the wall time (Unix seconds)."""

    call: str
    at: int
    time: float

    @property
    def type(self) -> str:
        return wire_name(type(self))

    def to_json(self) -> dict[str, Any]:
        """The event as a plain object, ``type`` first."""
        return {"type": self.type} | {f.name: getattr(self, f.name) for f in fields(self)}


def wire_name(kind: type[Event]) -> str:
    """``SpeechStarted`` -> ``speech_started``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


# -- the call ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(Event):
    """The call is up: what will hear, think and speak, and with which settings."""

    hears: str
    thinks: str
    speaks: str
    language: str
    voice: str
    interruptions: str
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(Event):
    """Nothing follows this. ``reason``: hangup, lost, expired, shutdown, or error with a sentence in ``detail``."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost(Event):
    """The caller's connection is gone; the call waits ``waits_s`` seconds for another one with its resume token.

    ``reason``: hangup (a goodbye came; a page that is loaded anew says one too) or lost, with a sentence in ``detail``.
    Nobody is told it on the data channel, which is gone: it is for metrics and other dialects.
    """

    reason: str
    detail: str
    waits_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMoved(Event):
    """The last word on a connection that still works: another one, made with the resume token, carries the call now.

    Whoever did not make that one itself must not come back by itself: two would take the call from each other for ever.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryExported(Event):
    """What is remembered, as the command ``export_memory`` asked: JSON text that an offer may bring to a new call."""

    memory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """What the assistant is doing now."""

    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageChanged(Event):
    """A call with the language "auto" is held in ``language`` from the caller's turn ``turn`` on."""

    turn: int
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Something the caller should know that does not end the call; ``code`` is stable, ``message`` a sentence."""

    code: str
    message: str


# -- the caller ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """The caller began to speak at sample ``start`` (which lies before ``at``, when it was decided)."""

    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPaused(Event):
    """The caller's voice stopped at sample ``end``; the turn may go on."""

    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechResumed(Event):
    """The caller went on after a pause, at sample ``start``."""

    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    """The caller's turn is over: it lasted from sample ``start`` to ``end``."""

    turn: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript(Event):
    """What the caller said. Partials (``final`` false) never shrink; the final may correct them. ``confidence``: mean
    token probability, 0..1; negative where a remote server of models does not tell it."""

    turn: int
    text: str
    final: bool
    confidence: float
    language: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDropped(Event):
    """What sounded like a turn held no words (noise, a cough); there will be no reply to it."""

    turn: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationDropped(Event):
    """A reply prepared in a pause, unheard, was in vain: the caller went on, ``spent_ms`` after it was begun."""

    spent_ms: float


# -- the assistant --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyStarted(Event):
    """A reply was released: it may be heard from now on. Speculative work before this is not announced. ``spoken``:
    false where it is text alone."""

    reply: int
    turn: int
    speculated: bool
    spoken: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyText(Event):
    """One clause of a reply, as it goes to the voice. ``emotion``: neutral, happy, sad, angry or excited, with an
    ``intensity`` of 0.5 to 2 and the ``confidence``, 0 to 1, that it is so (1 where the model marked the clause)."""

    reply: int
    clause: int
    text: str
    emotion: str = "neutral"
    intensity: float = 1.0
    confidence: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySpoken(Event):
    """The reply has been heard up to character ``heard`` of its text so far. Sent as each clause begins and ends."""

    reply: int
    clause: int
    heard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyResumed(Event):
    """On another connection the reply goes on after character ``heard`` of its text: what left for a broken line is
    said again. It may have been told as ended; then that did not hold, and it will end once more."""

    reply: int
    heard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyEnded(Event):
    """The reply is over; ``text`` is only what was heard of it, ``heard_ms`` of sound."""

    reply: int
    ended: Ended
    text: str
    heard_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Event):
    """The caller spoke over the reply; the sound stopped. ``decision_ms`` after the caller's voice began."""

    reply: int
    decision_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseInterruption(Event):
    """What stopped the reply was no interruption, and it goes on where it was heard last, after ``silent_ms``.

    ``reason``: backchannel ("mhm"), no words (a cough, a door), or echo (the assistant's own voice).
    """

    reply: int
    reason: str
    silent_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled(Event):
    """The model wants a function's result: ``arguments`` as it gave them. ``local``: the server runs it itself;
    else the caller is asked to, and answers with the command ``tool_result`` of this ``id``."""

    id: str
    name: str
    arguments: dict[str, Any]
    local: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded(Event):
    """The call ``id`` of the function ``name`` is over. ``ended``: finished, failed, timed out or cancelled."""

    id: str
    name: str
    ended: str
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnMetrics(Event):
    """Where the time of one answered turn went, all in ms from the end of the caller's voice (``endpoint_ms``,
    ``first_audio_ms`` and ``voice_to_voice_ms``) or of the stage itself (``asr_ms``, ``first_token_ms``).

    ``asr_ms``: audio in hand to transcript. ``first_token_ms``: transcript to first text, 0 where that came first.
    ``first_audio_ms``: end of voice to first samples in hand. ``voice_to_voice_ms``: end of voice to first packet sent.
    """

    turn: int
    reply: int
    endpoint_ms: float
    asr_ms: float
    first_token_ms: float
    first_audio_ms: float
    voice_to_voice_ms: float
    speculated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStats(Event):
    """The caller's link, every few seconds: counts since the call began, levels of now."""

    received: int
    """Packets that came, duplicates not counted."""
    lost: int
    """Packets that never came."""
    recovered: int
    """Lost or late packets that were restored from the in-band FEC of the next one."""
    concealed: int
    """Blocks of 20 ms with sound that was made up."""
    late: int
    """Packets that came when their place had gone by."""
    duplicates: int
    dropped: int
    """Blocks of 20 ms that the server was too busy to hear."""
    jitter_ms: float
    """Interarrival jitter (RFC 3550, 6.4.1)."""
    buffer_ms: float
    """How long a missing packet is waited for, from when it would have come undelayed."""
    drift_ppm: float | None
    """Millionths by which the caller's clock is faster than the server's; None while that is not known."""
    route: str
    """``direct``, ``relay`` or ``unknown``."""
    sent_lost_percent: float | None = None
    """Of the packets sent to the caller, as it reports of late (RTCP); None before it has."""
    rtt_ms: float | None = None
    """From here to the caller and back (RTCP); None while that is not known."""
