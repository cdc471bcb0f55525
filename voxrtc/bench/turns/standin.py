"""STAND-IN for the models of a scene, at their seam (models.verbs): a script hears and thinks, only the voice is real.

It hears what the scene says is in the sound it is given: a caller's words; where there are none, the reply's own words
if its echo is loud enough to be understood; in noise, what whisper makes of it where that is installed, and else the
worst, a word that nobody said. It answers what the scene tells it to, and takes as long as the real ones do.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

import numpy as np

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.turns.sounds import Said as SaidThere
from voxrtc.bench.turns.voice import Voice
from voxrtc.errors import ModelsError
from voxrtc.models.wire import Answer, Heard, Prepare, Ready, Said, Speak, Speech, ToolCall, pack, unpack

HEARING_S = 0.06
HEARING_SHARE = 0.03
"""Seconds that whisper-base takes for any clip, and for each second of it (two cores, int8)."""
FIRST_TOKEN_S = 0.2
TOKEN_S = 0.031
"""Qwen2.5 1.5B with the prompt in its cache, on two cores."""
VOICE_S = 0.02
"""hibari, to the first samples of a clause."""
TOKEN = re.compile(r"\s*\S{1,5}")
"""About what a token is in English."""

INVENTED = "you"
"""What whisper most often hears where there is nothing."""

READY = Ready("bench", "script", "script", "hibari (English)", {"hibari": ["en"]}, ["en"], 0.0)

Recogniser = Callable[[Samples], str]
"""The words in samples (n,) at 16 kHz."""


@dataclass(slots=True)
class Clause:
    """What was voiced: the words, their samples at 24 kHz, and the second when they were asked for."""

    text: str
    samples: Samples
    asked: float


@dataclass(slots=True)
class Microphone:
    """What the stand-in may know of the scene: the sound so far, the words the caller says in it, and the reply's
    words that come back as echo between two samples, if they can be understood."""

    sound: Callable[[], Samples]
    said: list[SaidThere]
    echoed: Callable[[int, int], str]


@dataclass(slots=True)
class StandIn:
    """The models of one scene. ``reply``: what to answer now. ``noise``: hears what is no speech, None to assume the
    worst."""

    microphone: Microphone
    reply: Callable[[], str]
    voice: Voice
    noise: Recogniser | None = None
    ready: Ready | None = READY
    spoken: list[Clause] = field(default_factory=list)
    """The clauses that were voiced, in order."""

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        words = self._words(audio)
        await asyncio.sleep(_hearing_s(audio))
        return Heard(words, "en", 0.9 if words else 0.0)

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        if ask.audio is not None:
            audio = unpack(ask.audio)
            words = self._words(audio)
            await asyncio.sleep(_hearing_s(audio))
            yield Heard(words, "en", 0.9 if words else 0.0)
            if not words:
                return
        await asyncio.sleep(FIRST_TOKEN_S)
        for token in TOKEN.findall(self.reply()):
            yield Said(token)
            await asyncio.sleep(TOKEN_S)

    def answering(self, without: str) -> bool:
        return False

    def release(self, guess: str) -> None:
        """Nothing here gives way."""

    async def prepare(self, ask: Prepare) -> None:
        await asyncio.sleep(FIRST_TOKEN_S)

    async def ends(self, text: str, language: str) -> float:
        return -1.0

    async def clone(self, name: str, samples: Samples, rate: int) -> list[str]:
        raise ModelsError("the stand-in has one voice")

    async def forget(self, name: str) -> bool:
        return False

    async def speak(self, ask: Speak) -> AsyncGenerator[Speech, None]:
        asked = asyncio.get_running_loop().time()
        parts = self.voice.speak(ask.text)
        await asyncio.sleep(VOICE_S)
        whole = np.concatenate([samples for samples, _, _ in parts]) if parts else np.zeros(0, np.float32)
        self.spoken.append(Clause(ask.text, whole, asked))
        for samples, start, end in parts:
            yield Speech(pack(samples), start, end)

    def _words(self, audio: Samples) -> str:
        start = self._place(audio)
        end = start + audio.size
        words = " ".join(filter(None, (said.between(start, end) for said in self.microphone.said)))
        if words:
            return words
        echoed = self.microphone.echoed(start, end)
        if echoed:
            return echoed
        return self.noise(audio) if self.noise is not None else INVENTED

    def _place(self, audio: Samples) -> int:
        """Where in the microphone's sound ``audio`` begins. There is always noise in it, so a few samples are as good
        as a name; what was changed on the way is taken for the newest."""
        sound = self.microphone.sound()
        width = audio.itemsize
        found = sound.tobytes().rfind(np.ascontiguousarray(audio[: HEARD_RATE // 100]).tobytes())
        return found // width if found >= 0 and found % width == 0 else sound.size - audio.size


def _hearing_s(audio: Samples) -> float:
    return HEARING_S + HEARING_SHARE * audio.size / HEARD_RATE
