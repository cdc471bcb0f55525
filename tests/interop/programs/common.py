"""What the callers in Python do alike: offer, candidates, events, sound in time, and the report at the end.

The standard library only: GStreamer's caller runs in the system's Python, which has nothing of ours. FOLDER holds
clip.wav (48 kHz, mono, 16 bit); into it go report.json and heard.wav.
"""

from __future__ import annotations

import json
import platform
import threading
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

RATE = 48_000
BLOCK = RATE // 100
"""Samples that are handed over at a time: 10 ms."""


class Call:
    """One call over HTTP and a data channel; the media is the library's business. Its methods may block, and may be
    called from any thread."""

    def __init__(self, url: str, folder: Path, version: str) -> None:
        self._url, self._folder = url, folder
        self._session: str | None = None
        self._found: list[dict[str, Any]] = []
        self._telling = threading.Lock()
        self._changed = threading.Condition()
        self._offered_at = 0.0
        self._failure: BaseException | None = None
        self.events: list[dict[str, Any]] = []
        runs_on = f"Python {platform.python_version()}"
        self.report: dict[str, Any] = {"version": version, "runs_on": runs_on, "events": self.events, "trickled": []}

    def offer(self, sdp: str) -> str:
        """The answer's SDP."""
        self._offered_at = time.monotonic()
        answer = self._ask("POST", "/offer", {"sdp": sdp, "type": "offer"})
        took = (time.monotonic() - self._offered_at) * 1e3
        self.report |= {"offer": sdp, "answer": answer["sdp"], "answer_ms": took}
        self._session = answer["session"]
        self._tell()
        return str(answer["sdp"])

    def candidate(self, candidate: str, mid: str | None, index: int | None) -> None:
        """A candidate that was found; it goes up by PATCH, as soon as there is a session to name."""
        self._found.append({"candidate": candidate, "sdp_mid": mid, "sdp_mline_index": index})
        if self._session:
            self._tell()

    def _tell(self) -> None:
        with self._telling:
            candidates, self._found = self._found, []
            if candidates:
                self._ask("PATCH", f"/offer/{self._session}", {"candidates": candidates})
                self.report["trickled"] += [one["candidate"] for one in candidates if one["candidate"]]

    def opened(self) -> None:
        """The data channel is open."""
        self.report.setdefault("connected_ms", (time.monotonic() - self._offered_at) * 1e3)

    def message(self, text: str) -> None:
        with self._changed:
            self.events.append(json.loads(text))
            self._changed.notify_all()

    def failed(self, error: BaseException) -> None:
        """Whoever waits raises this."""
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def until(self, kind: str) -> None:
        """Wait for an event of this type."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure or any(event["type"] == kind for event in self.events))
        if self._failure:
            raise self._failure

    def hang_up(self) -> None:
        self._ask("DELETE", f"/offer/{self._session}")

    def write(self, heard: list[bytes]) -> None:
        """The report, and what was heard: pieces of 16-bit mono at RATE."""
        with wave.open(str(self._folder / "heard.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(b"".join(heard))
        (self._folder / "report.json").write_text(json.dumps(self.report))

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class Clip:
    """The clip once it was begun, silence before and after; 10 ms a piece."""

    def __init__(self, folder: Path) -> None:
        with wave.open(str(folder / "clip.wav")) as file:
            assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
            self._samples = file.readframes(file.getnframes())
        self._at = len(self._samples)

    def begin(self) -> None:
        self._at = 0

    def next(self) -> bytes:
        block = self._samples[self._at : self._at + 2 * BLOCK]
        self._at += 2 * BLOCK
        return block.ljust(2 * BLOCK, b"\0")
