"""What happens in a call, as messages of RTVI 2.1 (github.com/pipecat-ai: RTVI's models and observer, client-js).

A segment of bot-output is a clause; its segment_id is made of the numbers of reply and clause, so it is the same on the
next connection. Who is taken up again is told its open segments once more, and nothing that would be shown twice.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from voxrtc.events import (
    CallEnded,
    CallStarted,
    Event,
    FalseInterruption,
    Interrupted,
    LanguageChanged,
    Notice,
    ReplyEnded,
    ReplyResumed,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    StateChanged,
    ToolCalled,
    ToolEnded,
    Transcript,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)

LABEL = "rtvi-ai"
USER = "user"
"""user_id of the one caller there is."""
SEGMENTS = 10_000
"""More than the clauses of a reply."""
PEER_LEFT = '{"type":"signalling","message":{"type":"peerLeft"}}'
"""Of the transport, not of RTVI: the bot has gone."""


def message(kind: str, data: Any = None, to: str | None = None) -> str:
    """One message of RTVI; ``to``: the id of that which it answers."""
    whole = {"label": LABEL, "type": kind, "id": to or secrets.token_hex(4)}
    if data is not None:
        whole["data"] = data
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Segment:
    """A clause: ``text`` from character ``start`` of the reply's on. ``done``: told as said to its end."""

    id: int
    start: int
    text: str
    done: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def output(self, status: str, heard: int | None) -> str:
        """The bot-output of it, ``heard`` characters of the reply being said; None where it is only read."""
        data: dict[str, Any] = {
            "text": self.text,
            "aggregated_by": "sentence",
            "segment_id": self.id,
            "will_be_spoken": heard is not None,
            "spoken_status": status,
        }
        if heard is not None:
            cut = max(0, heard - self.start)
            data["spoken_progress"] = {"accumulated_text": self.text[:cut], "remaining_text": self.text[cut:]}
        return message("bot-output", data)


@dataclass(slots=True)
class Saying:
    """The reply that is being given."""

    reply: int = 0
    spoken: bool = True
    open: bool = False
    """Between bot-llm-started and bot-llm-stopped."""
    voiced: bool = False
    """Between bot-tts-started and bot-tts-stopped."""
    cut: bool = False
    """It was told that the caller interrupted it."""
    heard: int = 0
    segments: list[Segment] = field(default_factory=list)

    def segment_id(self, clause: int | None) -> int | None:
        return None if clause is None else self.reply * SEGMENTS + clause

    def text(self, since: int, until: int) -> str:
        return "".join(segment.text for segment in self.segments)[since:until]


class Teller:
    """Follows the events of one connection."""

    def __init__(self) -> None:
        self._models = {"stt": "", "llm": "", "tts": ""}
        self._again = False  # what is told now was told on an earlier connection
        self._caller_speaks = False
        self._bot_speaks = False
        self._typed = -1
        self._saying = Saying()

    def tell(self, event: Event) -> list[str]:
        """``event`` as messages, none where RTVI has no word for it."""
        match event:
            case CallStarted() | CallEnded():
                return self._call(event)
            case SpeechStarted() | TurnEnded() | TurnDropped() | Transcript():
                return self._caller(event)
            case StateChanged() | Interrupted() | FalseInterruption():
                return self._floor(event)
            case ReplyStarted() | ReplyText() | ReplySpoken() | ReplyResumed() | ReplyEnded():
                return self._reply(event)
            case ToolCalled() | ToolEnded():
                return [message(kind, data) for kind, data in _function(event)]
            case TurnMetrics():
                return [message("metrics", self._metrics(event))]
            case LanguageChanged():
                return [message("server-message", event.to_json())]
            case Notice(code=code, message=text):
                return [error(text, code=code)]
        return []

    def _call(self, event: CallStarted | CallEnded) -> list[str]:
        news = message("server-message", event.to_json())
        if isinstance(event, CallStarted):
            self._models = {"stt": event.hears, "llm": event.thinks, "tts": event.speaks}
            self._again = event.resumed
            return [news]
        broken = [error(event.detail, fatal=True)] if event.reason == "error" else []
        return [*self._hush(), *broken, news, PEER_LEFT]

    # -- the caller -------------------------------------------------------------------------------------------

    def _caller(self, event: SpeechStarted | TurnEnded | TurnDropped | Transcript) -> list[str]:
        match event:
            case SpeechStarted():
                before, self._caller_speaks = self._caller_speaks, True
                return [] if before else [message("user-started-speaking")]
            case Transcript():
                return [] if self._again else self._transcript(event)
            case TurnEnded(turn=turn, start=start, end=end) if start == end:
                self._typed = turn  # a voice may go on meanwhile
                return []
        before, self._caller_speaks = self._caller_speaks, False
        return [message("user-stopped-speaking")] if before else []

    def _transcript(self, event: Transcript) -> list[str]:
        """What was typed is no transcription: the client shows it already."""
        told = []
        if event.turn != self._typed:
            when = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds")
            data = {"text": event.text, "final": event.final, "timestamp": when, "user_id": USER}
            told.append(message("user-transcription", data))
        if event.final:
            told.append(message("user-llm-text", {"text": event.text}))
        return told

    # -- the assistant ----------------------------------------------------------------------------------------

    def _floor(self, event: StateChanged | Interrupted | FalseInterruption) -> list[str]:
        match event:
            case StateChanged(state=state):
                self._again = False  # the state is told last
                if state != "speaking":
                    return self._hush()
                if self._bot_speaks or not self._saying.spoken:
                    return []
                self._bot_speaks = True
                return [message("bot-started-speaking")]
            case Interrupted(reply=reply):
                self._saying.cut = reply == self._saying.reply
                return [message("bot-interrupted")]
        self._saying.cut = False
        return [message("server-message", event.to_json())]

    def _hush(self) -> list[str]:
        before, self._bot_speaks = self._bot_speaks, False
        return [message("bot-stopped-speaking")] if before else []

    def _reply(self, event: ReplyStarted | ReplyText | ReplySpoken | ReplyResumed | ReplyEnded) -> list[str]:
        match event:
            case ReplyStarted(reply=reply, spoken=spoken):
                self._saying = Saying(reply, spoken, open=True)
                return [] if self._again else [message("bot-llm-started")]
            case _ if event.reply != self._saying.reply:
                return []
            case ReplyText():
                return self._text(event)
            case ReplySpoken(heard=heard, clause=clause):
                return self._progress(heard, clause)
            case ReplyResumed(heard=heard):
                return self._resumed(heard)
            case ReplyEnded():
                return self._ended(event)

    def _text(self, event: ReplyText) -> list[str]:
        saying = self._saying
        start = saying.segments[-1].end if saying.segments else 0
        segment = Segment(saying.reply * SEGMENTS + event.clause, start, event.text)
        saying.segments.append(segment)
        told = [] if self._again else [message("bot-llm-text", {"text": event.text})]
        if saying.spoken and not saying.voiced:
            saying.voiced = True
            told += [] if self._again else [message("bot-tts-started")]
        return [*told, segment.output("new", 0 if saying.spoken else None)]

    def _progress(self, heard: int, clause: int | None = None) -> list[str]:
        """The reply is heard up to character ``heard``; ``clause`` began there, or has ended."""
        saying = self._saying
        if not saying.spoken:
            return []
        told = []
        for segment in saying.segments:
            begun = segment.start < heard or segment.id == saying.segment_id(clause)
            if segment.done or not begun:
                continue
            segment.done = heard >= segment.end
            told.append(segment.output("completed" if segment.done else "in-progress", heard))
        if said := saying.text(saying.heard, heard):
            told += [] if self._again else [message("bot-tts-text", {"text": said})]
        saying.heard = max(saying.heard, heard)
        return told

    def _resumed(self, heard: int) -> list[str]:
        """It goes on after character ``heard``, also where it was told as ended."""
        saying = self._saying
        told = [] if saying.open else [message("bot-llm-started")]
        told += [] if saying.voiced else [message("bot-tts-started")]
        saying.open = saying.voiced = saying.spoken
        for segment in saying.segments:
            segment.done = False
        told += self._progress(heard)
        saying.heard = heard
        return told

    def _ended(self, event: ReplyEnded) -> list[str]:
        saying = self._saying
        whole = event.ended == "finished"
        heard = sum(len(segment.text) for segment in saying.segments) if whole else max(saying.heard, len(event.text))
        told = self._progress(heard)
        if event.ended == "interrupted" and not saying.cut and not self._again:
            told.append(message("bot-interrupted"))
        told += [message("bot-llm-stopped")] if saying.open and not self._again else []
        told += [message("bot-tts-stopped")] if saying.voiced and not self._again else []
        saying.open = saying.voiced = False
        return told

    def _metrics(self, event: TurnMetrics) -> dict[str, list[dict[str, Any]]]:
        """In seconds. ttfb: of the stages; processing: from the end of the caller's voice on."""
        first = {"stt": event.asr_ms, "llm": event.first_token_ms}
        since = {
            "endpointing": event.endpoint_ms,
            "tts": event.first_audio_ms,
            "voice-to-voice": event.voice_to_voice_ms,
        }
        return {
            name: [
                {"processor": processor, "model": self._models.get(processor, ""), "value": round(ms / 1000, 4)}
                for processor, ms in values.items()
            ]
            for name, values in (("ttfb", first), ("processing", since))
        }


def error(text: str, fatal: bool = False, code: str | None = None) -> str:
    """Something went wrong that answers no message. ``code``: of events.Notice, beside what RTVI has."""
    data = {"error": text, "message": text, "fatal": fatal}
    return message("error", data if code is None else data | {"code": code})


def _function(event: ToolCalled | ToolEnded) -> list[tuple[str, dict[str, Any]]]:
    """A function of the server's own is told of without its name where that would have the client call its own."""
    if isinstance(event, ToolEnded):
        cancelled = event.ended == "cancelled"
        return [
            (
                "llm-function-call-stopped",
                {"function_name": event.name, "tool_call_id": event.id, "cancelled": cancelled},
            )
        ]
    named = {} if event.local else {"function_name": event.name, "arguments": event.arguments}
    return [
        ("llm-function-call-started", {"function_name": event.name}),
        ("llm-function-call-in-progress", {"tool_call_id": event.id} | named),
    ]
