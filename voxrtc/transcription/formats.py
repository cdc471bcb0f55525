"""A transcript as text, JSON, SubRip or WebVTT. Pure functions.

The names and shapes of the first three are those of OpenAI's ``POST /v1/audio/transcriptions``. WebVTT: W3C, WebVTT:
The Web Video Text Tracks Format, 3.1 and 4. SubRip has no standard; this is what its players read.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from voxrtc.transcription.transcript import Segment, Transcript

MOST = 84
"""Characters shown at once in subtitles: two lines of 42, as broadcasters have it."""

TOKEN = re.compile(r"\S+\s*")


def to_text(transcript: Transcript) -> str:
    return transcript.text + "\n"


def to_json(transcript: Transcript) -> str:
    return _dump({"text": transcript.text, "usage": usage(transcript.duration_s)})


def to_verbose_json(transcript: Transcript) -> str:
    return _dump(verbose(transcript))


def to_srt(transcript: Transcript) -> str:
    """Nothing at all where nothing is said."""
    cues = (
        f"{number}\n{_time(start, ',')} --> {_time(end, ',')}\n{text.replace('-->', '→')}\n"
        for number, (start, end, text) in enumerate(_cues(transcript), 1)
    )
    return "\n".join(cues)


def to_vtt(transcript: Transcript) -> str:
    cues = (
        f"\n{_time(start, '.')} --> {_time(end, '.')}\n{_escaped(text)}\n" for start, end, text in _cues(transcript)
    )
    return "WEBVTT\n" + "".join(cues)


RENDERERS: dict[str, Callable[[Transcript], str]] = {
    "text": to_text,
    "json": to_json,
    "verbose_json": to_verbose_json,
    "srt": to_srt,
    "vtt": to_vtt,
}


def verbose(transcript: Transcript) -> dict[str, Any]:
    """OpenAI's TranscriptionVerbose, and ``confidence`` of the whole and of each segment.

    ``avg_logprob`` is the logarithm of the confidence; ``compression_ratio`` is whisper's measure of repetition (bytes
    of the text by those of its zlib form); ``seek`` is where the window begins, in whisper's frames of 10 ms. What is
    not known has a constant: ``tokens`` is empty, since none cross the wire, ``temperature`` is 0, as the likeliest
    words are taken, and ``no_speech_prob`` is 0, as windows without speech make no segment.
    """
    return {
        "task": "transcribe",
        "language": transcript.language,
        "duration": round(transcript.duration_s, 3),
        "text": transcript.text,
        "confidence": round(transcript.confidence, 3),
        "segments": [_verbose(number, segment) for number, segment in enumerate(transcript.segments)],
        "usage": usage(transcript.duration_s),
    }


def usage(seconds: float) -> dict[str, Any]:
    """What OpenAI's answers tell of the cost: the recording's seconds, rounded up."""
    return {"type": "duration", "seconds": math.ceil(seconds)}


def _verbose(number: int, segment: Segment) -> dict[str, Any]:
    data = segment.text.encode()
    return {
        "id": number,
        "seek": round(100 * segment.start_s),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "confidence": round(segment.confidence, 3),
        "avg_logprob": round(math.log(max(segment.confidence, 1e-6)), 3),
        "compression_ratio": round(len(data) / len(zlib.compress(data)), 3),
        "no_speech_prob": 0.0,
    }


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


# -- subtitles --------------------------------------------------------------------------------------------------


def _cues(transcript: Transcript) -> Iterator[tuple[int, int, str]]:
    """Start and end in milliseconds and text of what is shown at once.

    A segment with more than MOST characters is shown in parts, each for its share of the characters: when they are
    said within the segment is not known better than that.
    """
    for segment in transcript.segments:
        parts = _parts(segment.text)
        letters = sum(map(len, parts))
        seconds = segment.end_s - segment.start_s
        shown = 0
        for part in parts:
            start = round(1e3 * (segment.start_s + seconds * shown / letters))
            shown += len(part)
            end = round(1e3 * (segment.start_s + seconds * shown / letters))
            yield start, max(end, start + 1), part


def _parts(text: str) -> list[str]:
    """``text`` in as few parts of at most MOST characters as there need be, of about the same length."""
    words = [word[at : at + MOST] for word in TOKEN.findall(text) for at in range(0, len(word), MOST)]
    aim = len(text) / math.ceil(len(text) / MOST) if text else 0.0
    parts = [""]
    for word in words:
        longer = parts[-1] + word
        if parts[-1] and (len(longer.rstrip()) > MOST or len(parts[-1]) + len(word) / 2 > aim):
            parts.append(word)
        else:
            parts[-1] = longer
    return [part.strip() for part in parts if part.strip()]


def _time(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def _escaped(text: str) -> str:
    """As the text of a WebVTT cue, where & and < begin something else and --> is not allowed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
