"""One turn as a caller lived it: what was sent, what came back, what follows from it. No clock and no network here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from voxrtc.bench.clip import Clip
from voxrtc.bench.wer import Errors, count_errors
from voxrtc.client.ear import Ear

STAGES = ("endpoint_ms", "asr_ms", "first_token_ms", "first_audio_ms")


TRAIL_S = 0.3
"""A clip whose sound goes on after its words (applause) ends later by level than for whoever understands it. A reply
announced at most this long before that end is one to the whole of it: the turn
is answered, but has no voice to voice after a false cut-off."""


@dataclass(slots=True)
class Reply:
    """One reply as the events tell it. ``started_at`` in ``loop.time()``."""

    started_at: float
    speculated: bool
    ended: str | None = None
    text: str = ""


@dataclass(slots=True)
class Turn:
    """One clip played to the server from ``began`` on (``loop.time()`` of its first sample), and what followed."""

    clip: Clip
    began: float
    replies: dict[int, Reply] = field(default_factory=dict)
    transcripts: dict[int, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    turns_ended: int = 0
    resumed: int = 0
    notices: list[str] = field(default_factory=list)
    failed: str | None = None
    late_ms: float = 0.0

    @property
    def speech_began(self) -> float:
        return self.began + self.clip.speech_start

    @property
    def speech_ended(self) -> float:
        """The instant that voice to voice is counted from."""
        return self.began + self.clip.speech_end

    def note(self, event: dict[str, Any], now: float) -> None:
        """Take one event of the data channel (voxrtc.events as JSON), arrived at ``now``."""
        kind = event.get("type")
        if kind == "turn_ended":
            self.turns_ended += 1
        elif kind == "speech_resumed":
            self.resumed += 1
        elif kind == "state_changed":
            self.state = event["state"]
        elif kind == "transcript" and event["final"]:
            self.transcripts[event["turn"]] = event["text"]
        elif kind == "reply_started":
            self.replies[event["reply"]] = Reply(now, event["speculated"])
        elif kind == "reply_ended" and event["reply"] in self.replies:
            reply = self.replies[event["reply"]]
            reply.ended, reply.text = event["ended"], event["text"]
        elif kind == "turn_metrics":
            self.metrics = event
        elif kind == "notice":
            self.notices.append(str(event.get("code")))

    # -- what follows from it -------------------------------------------------------------------------------

    @property
    def replying(self) -> bool:
        """A reply is under way, or being thought of."""
        return self.state in ("thinking", "speaking") or any(r.ended is None for r in self.replies.values())

    @property
    def transcript(self) -> str:
        """What the server understood; the pieces of a clip that it took for several turns, one after another."""
        return " ".join(self.transcripts[turn] for turn in sorted(self.transcripts)).strip()

    @property
    def reply(self) -> str:
        """What the server said to the end of it; the last reply where there were several."""
        return self.replies[max(self.replies)].text if self.replies else ""

    def false_cutoff(self, ear: Ear) -> bool:
        """Some reply was audible between the clip's beginning and the end of its speech."""
        return any(sound.onset < self.speech_ended and sound.end > self.began for sound in ear.sounds)

    def onset(self, ear: Ear) -> float | None:
        """When the answer became audible: the first sound to begin after the end of speech.

        After a false cut-off the rest of the wrong reply may still sound, with pauses of its own. Then only what
        follows a reply announced after the end of speech counts.
        """
        since = self.speech_ended
        if self.false_cutoff(ear):
            announced = [r.started_at for r in self.replies.values() if r.started_at >= since]
            if not announced:
                return None
            since = min(announced)
        return ear.onset_after(since)

    def responded(self, ear: Ear) -> bool:
        """A reply to the whole was heard: also one announced a little before the end, which has no voice to voice."""
        whole = self._announced_to_the_whole()
        early = whole is not None and any(sound.onset >= whole for sound in ear.sounds)
        return self.onset(ear) is not None or early

    def _announced_to_the_whole(self) -> float | None:
        times = [r.started_at for r in self.replies.values() if r.started_at >= self.speech_ended - TRAIL_S]
        return min(times, default=None)

    def voice_to_voice_ms(self, ear: Ear) -> float | None:
        """Onset of the answer less the end of speech."""
        onset = self.onset(ear)
        return None if onset is None else (onset - self.speech_ended) * 1e3

    def released_early(self, ear: Ear) -> bool:
        """The answer was let go before the end of speech, though it became audible after it: luck, not an answer."""
        onset = self.onset(ear)
        before = [r for r in self.replies.values() if onset is not None and r.started_at <= onset]
        return bool(before) and max(r.started_at for r in before) < self.speech_ended

    def answered(self, ear: Ear) -> bool:
        """An answer was heard, and the server does not call it failed (an apology is no answer)."""
        last = self.replies[max(self.replies)].ended if self.replies else None
        return self.failed is None and self.responded(ear) and last != "failed"

    def errors(self) -> Errors | None:
        """Word errors, where the clip's words are known."""
        return None if self.clip.words is None else count_errors(self.clip.words, self.transcript)

    def row(self, ear: Ear, words: bool) -> dict[str, Any]:
        """The turn as one object of the report; with what was said only if ``words``."""
        answered = self.answered(ear)
        errors = self.errors()
        row: dict[str, Any] = {
            "clip": self.clip.name,
            "answered": answered,
            "failed": None if answered else self.failed or "no answer was heard",
            "false_cutoff": self.false_cutoff(ear),
            "released_early": self.released_early(ear),
            "voice_to_voice_ms": _ms(self.voice_to_voice_ms(ear) if answered else None),
            "server_voice_to_voice_ms": _ms(self.metrics.get("voice_to_voice_ms")),
            **{stage: _ms(self.metrics.get(stage)) for stage in STAGES},
            "speculated": self.metrics.get("speculated"),
            "turns_ended": self.turns_ended,
            "replies": len(self.replies),
            "speculation_kept": sum(r.speculated for r in self.replies.values()),
            "pauses_resumed": self.resumed,
            "word_errors": errors.edits if errors else None,
            "words": errors.words if errors else None,
            "notices": self.notices,
            "caller_late_ms": _ms(self.late_ms),
        }
        if words:
            row |= {"reference": self.clip.words, "transcript": self.transcript, "reply": self.reply}
        return row


def _ms(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
