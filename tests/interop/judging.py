"""What one call showed: the measures of its row in the matrix, from the client's own report and recording."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.wer import count_errors
from voxrtc.models.asr.whisper import Whisper

FRAMES_MS = (2.5, 5, 10, 20, 40, 60)


@dataclass(frozen=True, slots=True)
class Row:
    """One client's line in the matrix; times in ms."""

    client: str
    version: str
    runs_on: str
    date: str
    answer_ms: int
    connected_ms: int
    wer_in: float
    """Words that voxrtc misheard of what the client said, by the share of words said."""
    wer_out: float
    """Words that whisper misheard in what the client recorded of the reply."""
    reply_s: float
    frame_ms: float
    dtx: bool
    events: int
    command: str
    dtls: str
    """Ours: ``client`` or ``server``."""
    bundle: str
    fingerprints: str
    payloads: str
    opus: str
    extensions: int
    candidates: str


def rate(said: str, heard: str) -> float:
    """Word error rate, 0 to 1 and more."""
    return count_errors(said, heard).rate or 0.0


def events(report: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in report["events"] if event["type"] == kind]


def transcript(report: dict[str, Any]) -> str:
    """What voxrtc heard."""
    return " ".join(event["text"] for event in events(report, "transcript") if event["final"])


def reply(report: dict[str, Any]) -> tuple[str, float]:
    """What voxrtc said, and the seconds it took by its own account."""
    (ended,) = events(report, "reply_ended")
    assert ended["ended"] == "finished"
    first = events(report, "reply_spoken")[0]
    return ended["text"], ended["time"] - first["time"]


def sending(report: dict[str, Any]) -> tuple[float, bool]:
    """Milliseconds in a packet of the client's, and whether it falls silent in pauses (DTX): by what the server got."""
    (began,) = events(report, "call_started")
    counts = [(began["time"], 0), *((e["time"], e["received"]) for e in events(report, "media_stats"))]
    rates = [(n - m) / (at - before) for (before, m), (at, n) in itertools.pairwise(counts)]
    frame = min(FRAMES_MS, key=lambda ms: abs(1000 / ms - max(rates)))
    return frame, min(rates) < max(rates) / 2


def offered(report: dict[str, Any]) -> dict[str, Any]:
    """The fields of Row that tell of the session descriptions."""
    lines = report["offer"].splitlines()
    audio = next(line for line in lines if line.startswith("m=audio")).split()
    names = [found[1] for line in lines if (found := re.match(r"a=rtpmap:\d+ ([^/]+)/", line))]
    opus = next(found[1] for line in lines if (found := re.match(r"a=rtpmap:(\d+) opus/", line, re.IGNORECASE)))
    formats = [line.partition(" ")[2] for line in lines if line.startswith(f"a=fmtp:{opus} ")]
    head = list(itertools.takewhile(lambda line: not line.startswith("m="), lines))
    prints = [line.split()[0].partition(":")[2].lower() for line in lines if line.startswith("a=fingerprint:")]
    place = "in the session part" if any(line.startswith("a=fingerprint:") for line in head) else "in each line"
    inside = [line.removeprefix("a=") for line in lines if line.startswith("a=candidate:")]
    group = next((line.partition("BUNDLE ")[2] for line in lines if line.startswith("a=group:BUNDLE")), "")
    return {
        "bundle": group or "none",
        "fingerprints": f"{', '.join(dict.fromkeys(prints))} {place}",
        "payloads": ", ".join(dict.fromkeys(names)) + ("" if len(audio) > 4 else " alone"),
        "opus": formats[0] if formats else "nothing said",
        "extensions": len({line.partition(" ")[2] for line in lines if line.startswith("a=extmap:")}),
        "candidates": _candidates(inside, report["trickled"]),
        "dtls": "client" if "a=setup:active" in report["answer"] else "server",
    }


def _candidates(inside: list[str], trickled: list[str]) -> str:
    every = [line.split() for line in (*inside, *trickled)]
    kinds = {
        "mDNS": any(".local" in words[4] for words in every),
        "IPv6": any(":" in words[4] for words in every),
        "TCP": any(words[2].lower() == "tcp" for words in every),
    }
    told = f"{len(inside)} in the offer, {len(trickled)} by PATCH"
    return ", ".join([told, *(kind for kind, there in kinds.items() if there)])


def transcribe(whisper: Whisper, samples: Samples) -> str:
    """The words in ``samples`` (n,) at 16 kHz, which lie between two seconds of silence for it."""
    return whisper.hear(samples, "en").text if samples.size > HEARD_RATE // 10 else ""
