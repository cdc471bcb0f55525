"""The translator between a call's own vocabulary and OpenAI's: one for each call, whatever carries it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from voxrtc.audio import Samples
from voxrtc.commands import AnyCommand, decode
from voxrtc.events import (
    CallEnded,
    CallStarted,
    Event,
    Notice,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    ToolCalled,
    ToolEnded,
    Transcript,
    TurnDropped,
    TurnEnded,
)
from voxrtc.lines import Message
from voxrtc.server.realtime.appended import Hear
from voxrtc.server.realtime.errors import INVALID, SERVER, Refused, body, complaint, refusal
from voxrtc.server.realtime.items import Items
from voxrtc.server.realtime.requests import Requests
from voxrtc.server.realtime.responses import Responses
from voxrtc.server.realtime.session import Config, House
from voxrtc.server.realtime.shapes import event
from voxrtc.server.realtime.tools import ToolCalls
from voxrtc.server.realtime.turns import Turns

CAUSES = {
    "busy": "response.create",
    "bad_config": "session.update",
    "empty_turn": "input_audio_buffer.commit",
    "not_manual": "input_audio_buffer.commit",
    "turn_cut": "input_audio_buffer.commit",
    "bad_text": "conversation.item.create",
}
"""Notices that come some time after the client's event that they are about."""
MOST = 65_536
"""Characters of a client's event; sound may be longer."""
UNTOLD = frozenset({"unknown_turn"})
"""The memory holds a few turns only; an item that is older can be deleted all the same."""


class Realtime:
    """voxrtc.lines.Dialect. ``hear``: takes sound that comes as messages; then also what is said goes as messages
    (``sound``), and the client plays it itself."""

    label = "oai-events"
    max_message = MOST

    def __init__(self, house: House, hear: Hear | None = None) -> None:
        self.complaints = 0
        """How many of the client's messages were refused."""
        self._config = Config(house)
        self._items = Items()
        self._calls = ToolCalls()
        self._turns = Turns(self._items, self._config)
        self._responses = Responses(self._items, self._config, buffered=hear is None)
        self._requests = Requests(self._config, self._items, self._turns, self._responses, self._calls, hear)
        self._latest: dict[str, str | None] = {}
        """Of each kind of client event that a notice may be about: the id of the last one."""
        self._tells: dict[type[Event], Callable[[Any], Iterable[str]]] = {
            CallStarted: self._call_started,
            CallEnded: self._call_ended,
            SpeechStarted: self._turns.started,
            TurnEnded: self._turns.ended,
            Transcript: self._turns.transcribed,
            TurnDropped: self._turn_dropped,
            ReplyStarted: self._responses.started,
            ReplyText: self._responses.clause,
            ReplySpoken: self._responses.spoken,
            ReplyEnded: self._responses.ended,
            ToolCalled: self._tool_called,
            ToolEnded: self._tool_ended,
            Notice: self._noticed,
        }

    def open(self, *sessions: object) -> list[AnyCommand]:
        """What the call is to be asked first, with the ``sessions`` that its client wants: of two that say the same
        thing the later one counts. Raises Refused."""
        opening = self._config.opening()
        return [opening, *(change for session in sessions for change in self._config.update(session))]

    def session(self) -> dict[str, Any]:
        """The session object, as it stands."""
        return self._config.to_json()

    def tell(self, told: Event) -> Iterable[str]:
        tell = self._tells.get(type(told))
        return tell(told) if tell is not None else ()

    def sound(self, samples: Samples) -> Iterable[str]:
        """``samples`` (n,) at 24 kHz that are to be heard now, as messages."""
        return self._responses.sound(samples)

    def read(self, message: Message) -> Iterable[AnyCommand | str]:
        client_event: str | None = None
        try:
            try:
                asked = decode(message)
            except ValueError as error:
                raise Refused(str(error), "invalid_json") from None
            name = asked.get("event_id")
            if name is not None and (not isinstance(name, str) or len(name) > 512):
                raise Refused("event_id is a string of 512 characters at most.", param="event_id")
            client_event = name
            kind = asked.get("type")
            if isinstance(kind, str) and kind in CAUSES.values():
                self._latest[kind] = client_event
            if len(message) > MOST and kind != "input_audio_buffer.append":
                raise Refused(f"An event has {MOST} characters at most, but for sound.", "event_too_long")
            return self._requests.read(asked)
        except Refused as refused:
            self.complaints += 1
            return (refusal(refused, client_event),)

    # -- the call ---------------------------------------------------------------------------------------------

    def _call_started(self, started: CallStarted) -> Iterable[str]:
        if started.resumed:
            return ()
        self._config.begun(started)
        return (event("session.created", session=self._config.to_json()),)

    def _call_ended(self, ended: CallEnded) -> Iterable[str]:
        if ended.reason == "hangup":
            return ()
        code = "session_expired" if ended.reason == "expired" else ended.reason
        error = body(ended.detail or "The call is over.", INVALID if ended.reason == "expired" else SERVER, code)
        return (event("error", error=error | {"event_id": None}),)

    def _turn_dropped(self, turn: TurnDropped) -> Iterable[str]:
        told = self._turns.dropped(turn)
        if self._responses.wanted is None or turn.turn != self._turns.newest:
            return told
        self._responses.wanted = None  # what was said before may yet be answered; that is then told as any other
        nothing = Refused("There were no words to respond to.", "response_no_input")
        return [*told, refusal(nothing, self._latest.get("response.create"))]

    def _tool_called(self, call: ToolCalled) -> Iterable[str]:
        if call.local:
            return ()  # a function of the server's own
        self._calls.called(call)
        return self._responses.called(call)

    def _tool_ended(self, call: ToolEnded) -> Iterable[str]:
        self._calls.ended(call)
        return ()

    def _noticed(self, notice: Notice) -> Iterable[str]:
        if notice.code in UNTOLD:
            return ()
        self.complaints += notice.code == "bad_message"
        if notice.code == "busy":
            self._responses.wanted = None
        cause = CAUSES.get(notice.code)
        return (complaint(notice, self._latest.get(cause) if cause is not None else None),)
