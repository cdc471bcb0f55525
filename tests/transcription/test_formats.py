"""A transcript in each format, held against what reads the format."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.transcription.formats import MOST, RENDERERS, to_json, to_srt, to_text, to_verbose_json, to_vtt
from voxrtc.transcription.transcript import Segment, Transcript, gather

LONG = (
    "Ask not what your country can do for you, ask what you can do for your country, and then ask it again of all "
    "those who have not heard it, since they are many and some of them sit far behind."
)
SAID = gather(
    [
        Segment(0.3204, 2.0, "Hello <there> & --> you.", 0.9),
        Segment(61.5, 63.0006, "Grüße, 世界.", 0.5),
        Segment(3_599.9996, 3_605.0, "The end.", 0.75),
    ],
    "en",
    3_700.25,
)
NOTHING = Transcript("", "", 0.0, (), 4.0)


def test_text() -> None:
    assert to_text(SAID) == "Hello <there> & --> you. Grüße, 世界. The end.\n"
    assert to_text(NOTHING) == "\n"


def test_json() -> None:
    assert json.loads(to_json(SAID)) == {"text": SAID.text, "usage": {"type": "duration", "seconds": 3701}}
    assert "世界" in to_json(SAID), "signs are written as they are"


def test_verbose_json() -> None:
    document = json.loads(to_verbose_json(SAID))
    segments = document.pop("segments")
    assert document == {
        "task": "transcribe",
        "language": "en",
        "duration": 3700.25,
        "text": SAID.text,
        "confidence": round(SAID.confidence, 3),
        "usage": {"type": "duration", "seconds": 3701},
    }
    assert [s["id"] for s in segments] == [0, 1, 2]
    assert (segments[0]["start"], segments[0]["end"], segments[0]["text"]) == (0.32, 2.0, "Hello <there> & --> you.")
    assert (segments[0]["seek"], segments[0]["tokens"], segments[0]["no_speech_prob"]) == (32, [], 0.0)
    assert segments[1]["avg_logprob"] == pytest.approx(-0.693, abs=1e-3)
    assert json.loads(to_verbose_json(NOTHING))["segments"] == []


def test_srt() -> None:
    assert to_srt(SAID) == (
        "1\n00:00:00,320 --> 00:00:02,000\nHello <there> & → you.\n\n"
        "2\n00:01:01,500 --> 00:01:03,001\nGrüße, 世界.\n\n"
        "3\n01:00:00,000 --> 01:00:05,000\nThe end.\n"
    )
    assert to_srt(NOTHING) == ""


def test_vtt() -> None:
    assert to_vtt(SAID) == (
        "WEBVTT\n\n"
        "00:00:00.320 --> 00:00:02.000\nHello &lt;there&gt; &amp; --&gt; you.\n\n"
        "00:01:01.500 --> 00:01:03.001\nGrüße, 世界.\n\n"
        "01:00:00.000 --> 01:00:05.000\nThe end.\n"
    )
    assert to_vtt(NOTHING) == "WEBVTT\n"


def test_more_than_can_be_read_at_once_is_shown_in_parts_of_the_segment() -> None:
    cues = read(to_srt(gather([Segment(10.0, 22.0, LONG, 1.0)], "en", 30.0)), ",")
    assert len(cues) == 3
    assert " ".join(text for _, _, text in cues) == LONG
    assert cues[0][0] == 10_000
    assert cues[-1][1] == 22_000
    assert all(a[1] == b[0] for a, b in pairwise(cues))
    lengths = [len(text) for _, _, text in cues]
    assert max(lengths) <= MOST
    assert min(lengths) > 40, "none is left with a word or two"


def test_a_text_without_spaces_is_shown_in_parts_too() -> None:
    text = "世" * 200
    cues = read(to_vtt(gather([Segment(0.0, 20.0, text, 1.0)], "zh", 20.0)).removeprefix("WEBVTT\n\n"), ".")
    assert "".join(part for _, _, part in cues) == text
    assert all(len(part) <= MOST for _, _, part in cues)


WORDS = st.lists(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=120), min_size=1)
SEGMENTS = st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.02, 28.0), WORDS), max_size=5)


@given(SEGMENTS)
def test_subtitles_of_any_transcript_can_be_read_back(parts: list[tuple[float, float, list[str]]]) -> None:
    at, segments = 0.0, []
    for pause, seconds, words in parts:
        segments.append(Segment(at + pause, at + pause + seconds, " ".join(words), 0.5))
        at += pause + seconds
    transcript = gather(segments, "en", at)
    vtt = to_vtt(transcript)
    assert vtt.startswith("WEBVTT\n")
    assert vtt.count("-->") == len(re.findall(r"(?m)^[\d:.]+ --> [\d:.]+$", vtt)), "it is in no cue's text"
    shown = read(vtt.removeprefix("WEBVTT\n").lstrip("\n"), ".")
    texts = [text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for _, _, text in shown]
    assert squeezed("".join(texts)) == squeezed(transcript.text)
    for cues in (shown, read(to_srt(transcript), ",")):
        assert all(start < end for start, end, _ in cues)
        assert all(a[0] <= b[0] for a, b in pairwise(cues))
        assert all(text and "\n" not in text for _, _, text in cues)


def test_every_format_ends_its_last_line() -> None:
    assert list(RENDERERS) == ["text", "json", "verbose_json", "srt", "vtt"]
    assert all(render(SAID).endswith("\n") for render in RENDERERS.values())


def squeezed(text: str) -> str:
    return "".join(text.split())


def read(text: str, point: str) -> list[tuple[int, int, str]]:
    """The cues of SubRip or WebVTT, as a player reads them: blocks that an empty line ends."""
    time = rf"(\d\d+):([0-5]\d):([0-5]\d)\{point}(\d\d\d)"
    cues = []
    for number, block in enumerate(filter(None, text.split("\n\n")), 1):
        lines = block.strip("\n").split("\n")
        if point == ",":
            assert lines.pop(0) == str(number)
        found = re.fullmatch(f"{time} --> {time}", lines.pop(0))
        assert found is not None
        hours, minutes, seconds, ms, *end = map(int, found.groups())
        start_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
        end_ms = ((end[0] * 60 + end[1]) * 60 + end[2]) * 1000 + end[3]
        cues.append((start_ms, end_ms, "\n".join(lines)))
    return cues
