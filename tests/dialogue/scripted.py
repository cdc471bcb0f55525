"""STAND-INS for tests of the dialogue. No models run here: Models is scripted at its seam, and so is the detector.

``ScriptedModels`` implements voxrtc.models.verbs.Models with canned words, latencies in (virtual) seconds, and a voice
that hums. ``ScriptedDetector`` makes turns of a script of sample positions instead of sound.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_RATE, Block, Samples
from voxrtc.endpointing.detector import Decision, Ended, Paused, Resumed, Started
from voxrtc.endpointing.waits import Pause, Wait
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES
from voxrtc.models.wire import Answer, Heard, Prepare, Ready, Said, Speak, Speech, ToolCall, pack, unpack
from voxrtc.settings import Endpointing

READY = Ready("scripted", "script", "script", "hum", {"hibari": ["en"], "espeak": list(NAMES)}, ["en", "de"], 0.0)
MS_PER_CHAR = 50
"""How long the scripted voice takes to say a character."""


@dataclass
class ScriptedModels:
    """Models with canned answers. STAND-IN: hears nothing, thinks nothing."""

    words: list[str] = field(default_factory=list)
    """What each turn that is asked about is heard as, in order; the last one is repeated."""
    replies: list[str] = field(default_factory=lambda: ["Yes, of course. I can do that for you, if you like."])
    """What each ask is answered with; a JSON object with name and arguments is a function's call."""
    by_turn: bool = False
    """Count the caller's lines in the history instead of the asks: a dropped guess then costs no line of the script."""
    partials: list[str] = field(default_factory=list)
    """What each look at an unfinished turn sees; nothing when used up."""
    files: list[str] = field(default_factory=lambda: ["What is said in the file."])
    """What the windows of files say, in order; the last one is repeated."""
    endings: dict[str, float] = field(default_factory=dict)
    """How probable it is that who said these words is done; negative, as not to be told, for all others."""
    heard_after: int = 0
    """How many pieces of the reply come before the words that it replies to; all, if there are fewer."""
    asr_s: float = 0.3
    token_s: float = 0.03
    first_token_s: float = 0.25
    voice_s: float = 0.05
    ends_s: float = 0.02
    fail: Callable[[str, int], ModelsError | None] = lambda verb, count: None
    """Asked before each item of a verb is given (verb, how many were given to that call): the error to raise."""
    ready: Ready | None = READY

    answers: list[Answer] = field(default_factory=list)
    """What was asked, in order."""
    prepared: list[Prepare] = field(default_factory=list)
    spoken: list[Speak] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    """Words, and their language, that were asked about whether they are a whole turn."""
    looked: int = 0
    windows: int = 0
    """Of files, that were heard."""
    others_answered: bool = False
    """Whether another caller is being answered."""
    released: list[str] = field(default_factory=list)
    """Guesses that somebody waits for."""
    cancelled: list[str] = field(default_factory=list)
    """Verbs that were closed before their end."""

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        await self._work("transcribe", self.asr_s)
        if patient:
            self._check("transcribe", self.windows)
            self.windows += 1
            return Heard(self.files[min(self.windows, len(self.files)) - 1], language or "en", 0.8)
        text = self.partials[self.looked] if self.looked < len(self.partials) else ""
        self.looked += 1
        self._check("transcribe", 0)
        return Heard(text, language or "en", 0.8)

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        number = sum(line.role == "user" for line in ask.history) if self.by_turn else len(self.answers)
        self.answers.append(ask)
        text = self.words[min(number, len(self.words) - 1)] if self.words else "hello there"
        pieces = self._pieces(self.replies[min(number, len(self.replies) - 1)])
        hears_at = -1 if ask.audio is None else min(self.heard_after, len(pieces))
        for given in range(len(pieces) + (hears_at >= 0)):
            if given == hears_at:
                await self._work("answer", self.asr_s)
                self._check("answer", given)
                yield Heard(text, ask.language or "en", 0.9)
                if not text:
                    return
                continue
            if not given or given - 1 == hears_at == 0:
                await self._work("answer", self.first_token_s)
            self._check("answer", given)
            yield pieces[given - (0 <= hears_at < given)]
            await self._work("answer", self.token_s)

    def _pieces(self, reply: str) -> Sequence[Said | ToolCall]:
        if not reply.startswith("{"):
            return [Said(token) for token in re.findall(r"\s*\S+", reply)]
        call = json.loads(reply)
        return [ToolCall(call["name"], json.dumps(call["arguments"]), f"id-{len(self.answers)}")]

    async def ends(self, text: str, language: str) -> float:
        self.read.append((text, language))
        await self._work("ends", self.ends_s)
        self._check("ends", 0)
        return self.endings.get(text, -1.0)

    def answering(self, without: str) -> bool:
        return self.others_answered

    def release(self, guess: str) -> None:
        self.released.append(guess)

    async def prepare(self, ask: Prepare) -> None:
        self.prepared.append(ask)
        await self._work("prepare", 0.1)

    async def speak(self, ask: Speak) -> AsyncGenerator[Speech, None]:
        self.spoken.append(ask)
        await self._work("speak", self.voice_s)
        self._check("speak", 0)
        yield Speech(pack(hum(len(ask.text))), 0, len(ask.text))

    def heard_samples(self, at: int = -1) -> Samples:
        """The sound of the turn that was asked to be answered."""
        audio = self.answers[at].audio
        assert audio is not None
        return unpack(audio)

    async def _work(self, verb: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(verb)
            raise

    def _check(self, verb: str, given: int) -> None:
        error = self.fail(verb, given)
        if error is not None:
            raise error


def hum(chars: int) -> Samples:
    """What the scripted voice says: a soft tone, MS_PER_CHAR for each character."""
    t = np.arange(chars * MS_PER_CHAR * SPOKEN_RATE // 1000) / SPOKEN_RATE
    return (0.1 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)


@dataclass
class ScriptedProsody:
    """STAND-IN for Prosody: has an opinion about each pause, in order; the last one is repeated."""

    judgements: Sequence[float | None] = (0.95,)
    takes_s: float = 0.03
    judged_of: list[Samples] = field(default_factory=list)
    """What it was given."""
    cancelled: int = 0

    async def judged(self, samples: Samples) -> float | None:
        self.judged_of.append(samples)
        number = len(self.judged_of) - 1
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.judgements[min(number, len(self.judgements) - 1)]


@dataclass
class ScriptedDetector:
    """STAND-IN for the Detector: voice is where ``voice`` says, in ms; the rules for pauses are the plainest."""

    voice: list[tuple[int, int]] = field(default_factory=list)
    pause_ms: int = 120
    end_silence_ms: int = 600
    wait: Wait | None = None
    """The strategy that says how long a pause may last; None for ``end_silence_ms``."""
    start_ms: int = 120
    speaking: bool = False
    eager: bool = False
    pause: Pause | None = None
    _start: int = 0
    _end: int = 0
    _paused: bool = False

    def say(self, start_ms: int, end_ms: int) -> None:
        self.voice.append((start_ms, end_ms))

    def feed(self, block: Block) -> list[Decision]:
        now = block.position + BLOCK
        stretch = next((v for v in self.voice if v[0] * 16 < now <= v[1] * 16), None)
        if stretch is not None:
            return self._voice(now, stretch[0] * 16)
        if not self.speaking:
            return []
        if not self._paused and now - self._end >= self.pause_ms * 16:
            self._paused = True
            self.pause = Pause(self._start, self._end, now)
            return [Paused(self._end)]
        if self._paused and self.pause is not None:
            self.pause.now = now
            if self.pause.lasted_ms >= (self.wait.wait_ms(self.pause) if self.wait else self.end_silence_ms):
                return self.finish()
        return []

    @property
    def voicing(self) -> bool:
        return self.speaking and not self._paused

    @property
    def voice_end(self) -> int:
        return self._end

    def _voice(self, now: int, since: int) -> list[Decision]:
        if not self.speaking:
            if now - since < self.start_ms * 16:
                return []
            self.speaking, self._paused, self._start, self._end = True, False, since, now
            return [Started(since)]
        self._end = now
        if self._paused:
            self._paused = False
            self.pause = None
            return [Resumed(since)]
        return []

    def tune(self, settings: Endpointing) -> None:
        self.end_silence_ms = settings.end_silence_ms

    def finish(self) -> list[Decision]:
        if not self.speaking:
            return []
        self.speaking = self._paused = False
        self.pause = None
        return [Ended(self._start, self._end)]


def at_ms(milliseconds: float) -> int:
    """Milliseconds as samples of the call."""
    return round(milliseconds * HEARD_RATE / 1000)
