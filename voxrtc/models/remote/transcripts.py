"""What /audio/transcriptions answers, as Heard."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES, primary
from voxrtc.models.wire import Heard

UNKNOWN = -1.0
"""The confidence of a transcript that came without probabilities, which is what Voxtral's come without."""
NO_SPEECH, UNLIKELY = 0.6, -1.0
"""Above which probability of no speech, and below which mean log-probability, a segment is none (openai/whisper)."""
_CODES = {name.lower(): code for code, name in NAMES.items()}


class _Segment(msgspec.Struct):
    text: str = ""
    start: float = 0.0
    end: float = 0.0
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


class _Token(msgspec.Struct):
    logprob: float = 0.0


class _Transcription(msgspec.Struct):
    text: str
    language: str | None = None
    segments: list[_Segment] | None = None
    logprobs: list[_Token] | None = None


def heard(body: bytes, language: str, took_ms: float) -> Heard:
    """``body``: JSON or verbose JSON. ``language``: where the server tells none. Raises ModelsError."""
    try:
        found = msgspec.json.decode(body, type=_Transcription)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise ModelsError("the server of models answered with what is no transcript: see remote.url") from None
    spoken = [segment for segment in found.segments or () if not _silent(segment)]
    text = "".join(segment.text for segment in spoken) if found.segments else found.text
    if not any(sign.isalnum() for sign in text):
        return Heard("", _code(found.language) or language, 0.0, took_ms)
    return Heard(text.strip(), _code(found.language) or language, _confidence(found, spoken), took_ms)


def _confidence(found: _Transcription, segments: list[_Segment]) -> float:
    """Mean token probability: exp of the mean log-probability, of segments weighed by their length."""
    if found.logprobs:
        return _p(sum(token.logprob for token in found.logprobs) / len(found.logprobs))
    weighed: list[tuple[float, float]] = [
        (segment.avg_logprob, max(segment.end - segment.start, 0.01))
        for segment in segments
        if segment.avg_logprob is not None
    ]
    if not weighed:
        return UNKNOWN
    return _p(sum(p * weight for p, weight in weighed) / sum(weight for _, weight in weighed))


def _p(logarithm: float) -> float:
    return min(1.0, math.exp(min(0.0, logarithm)))


def _silent(segment: _Segment) -> bool:
    return (segment.no_speech_prob or 0.0) > NO_SPEECH and (segment.avg_logprob or 0.0) < UNLIKELY


def _code(language: Any) -> str:
    """ISO 639-1, of a code or of whisper's name for a language; empty for what we do not know."""
    name = primary(language or "")
    return name if name in NAMES else _CODES.get(name, "")
