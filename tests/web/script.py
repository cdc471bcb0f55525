"""Events as the server words them, short to write."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]


def state(name: str) -> Event:
    return {"type": "state_changed", "state": name}


def transcript(turn: int, text: str, final: bool = True) -> Event:
    return {"type": "transcript", "turn": turn, "text": text, "final": final, "confidence": 0.9, "language": "en"}


def started(reply: int, turn: int | None = None) -> Event:
    return {"type": "reply_started", "reply": reply, "turn": reply if turn is None else turn, "speculated": True}


def clause(reply: int, number: int, text: str, emotion: str = "neutral", intensity: float = 1.0) -> Event:
    mood = {"emotion": emotion, "intensity": intensity, "confidence": 0.75}
    return {"type": "reply_text", "reply": reply, "clause": number, "text": text} | mood


def spoken(reply: int, number: int, heard: int) -> Event:
    return {"type": "reply_spoken", "reply": reply, "clause": number, "heard": heard}


def ended(reply: int, how: str, text: str) -> Event:
    return {"type": "reply_ended", "reply": reply, "ended": how, "text": text}


def interrupted(reply: int) -> Event:
    return {"type": "interrupted", "reply": reply, "decision_ms": 160.0}


def false_interruption(reply: int) -> Event:
    return {"type": "false_interruption", "reply": reply, "reason": "backchannel", "silent_ms": 420.0}


def tool_called(id: str, name: str, *, local: bool = True, **arguments: Any) -> Event:
    return {"type": "tool_called", "id": id, "name": name, "arguments": arguments, "local": local}


def tool_ended(id: str, name: str, how: str = "finished", took_ms: float = 412.0) -> Event:
    return {"type": "tool_ended", "id": id, "name": name, "ended": how, "took_ms": took_ms}


def whole(reply: int, *clauses: str) -> list[Event]:
    """A reply from beginning to end."""
    pieces = [clause(reply, n, text) for n, text in enumerate(clauses)]
    return [started(reply), *pieces, ended(reply, "finished", " ".join(clauses))]


def metrics(turn: int = 1, *, speculated: bool = True, **ms: float) -> Event:
    usual = {"endpoint_ms": 600.0, "asr_ms": 180.0, "first_token_ms": 140.0, "first_audio_ms": 520.0}
    times = usual | {"voice_to_voice_ms": 610.0} | ms
    return {"type": "turn_metrics", "turn": turn, "reply": turn, "speculated": speculated} | times


def stats(received: int, lost: int, route: str = "direct") -> Event:
    counts = {"received": received, "lost": lost, "recovered": lost // 3, "concealed": lost - lost // 3, "late": 1}
    levels = {"jitter_ms": 3.2, "buffer_ms": 24.0, "drift_ppm": -12.4, "sent_lost_percent": 0.8, "rtt_ms": 38.2}
    return {"type": "media_stats", "duplicates": 0, "dropped": 0, "route": route} | counts | levels
