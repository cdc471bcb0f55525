"""``voxrtc call``: one real call that plays one clip, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.bench.clip import Clip
from voxrtc.bench.conversation import Patience, converse, measuring
from voxrtc.bench.report import profile_of
from voxrtc.bench.turn import Turn
from voxrtc.client.client import Client
from voxrtc.client.ear import write_wav
from voxrtc.client.failed import CallFailed
from voxrtc.errors import AudioError


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What came of one call. Times in ms; ``metrics`` are the server's own (events.TurnMetrics), where it told them.

    ``failed``: why there was no answer, a sentence. ``audio``: what was heard (n,) at 24 kHz, 16 bit.
    """

    url: str
    answered: bool
    failed: str | None
    transcript: str = ""
    reply: str = ""
    false_cutoff: bool = False
    offer_ms: float | None = None
    connect_ms: float | None = None
    voice_to_voice_ms: float | None = None
    speech_s: float = 0.0
    reply_s: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    audio: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))

    def to_json(self) -> dict[str, Any]:
        """Everything but the audio, as a plain object."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "audio"}

    def save(self, file: Path) -> None:
        """Write what was heard as a WAV file, 24 kHz mono. Raises AudioError."""
        try:
            write_wav(file, self.audio)
        except OSError as error:
            raise AudioError(f"{file}: cannot be written: {error.strerror or error}") from None


async def place(
    url: str,
    samples: Samples,
    *,
    name: str = "audio",
    patience: Patience | None = None,
    on_event: Callable[[dict[str, Any]], None] = lambda event: None,
) -> CallReport:
    """Call ``url``, play ``samples`` (n,) at 16 kHz, wait for the answer to end, hang up.

    ``on_event`` gets each event of the call as it arrives. A call that fails is a report too: ``answered`` is False
    and ``failed`` says why. Raises AudioError if there are no samples.
    """
    if not samples.size:
        raise AudioError(f"{name}: holds no audio")
    clip = Clip.of(name, samples)
    caller = measuring(url, record=True)
    try:
        await caller.connect()
        turns = await converse(caller, [clip], patience or Patience(), on_event=on_event)
        reason = caller.ended
    except CallFailed as error:
        return CallReport(url=url, answered=False, failed=str(error), offer_ms=caller.offer_ms)
    finally:
        await caller.close()
    if not turns:
        return CallReport(url=url, answered=False, failed=f"the call ended: {reason}", offer_ms=caller.offer_ms)
    return _report(url, caller, turns[0])


def _report(url: str, caller: Client, turn: Turn) -> CallReport:
    answered = turn.answered(caller.ear)
    audio = caller.ear.recording(turn.began)
    return CallReport(
        url=url,
        answered=answered,
        failed=None if answered else turn.failed or "no answer was heard",
        transcript=turn.transcript,
        reply=turn.reply,
        false_cutoff=turn.false_cutoff(caller.ear),
        offer_ms=caller.offer_ms,
        connect_ms=caller.connect_ms,
        voice_to_voice_ms=turn.voice_to_voice_ms(caller.ear),
        speech_s=turn.clip.speech_end - turn.clip.speech_start,
        reply_s=audio.size / SPOKEN_RATE,
        metrics={k: v for k, v in turn.metrics.items() if k.endswith("_ms") or k == "speculated"},
        profile=profile_of(caller.started),
        audio=audio,
    )
