"""Chatterbox as an engine of voices: clauses of all callers through one loop, on one GPU."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.errors import ModelsError
from voxrtc.languages import weight
from voxrtc.models.broken import end_host
from voxrtc.models.chatterbox import clips, spoken
from voxrtc.models.chatterbox.loop import Loop
from voxrtc.models.chatterbox.parts import Manner, SoundModel, TokenModel, Utterance, Voice
from voxrtc.models.chatterbox.request import Request, Statistics
from voxrtc.models.chatterbox.tokenizer import Piece, Tokenizer, pieces
from voxrtc.models.gpu.driver import Within
from voxrtc.models.profiles import Progress
from voxrtc.models.tts.delivery import delivery, silence
from voxrtc.models.tts.trim import Trimmer, pause
from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import Speak, Speech, pack
from voxrtc.settings import Delivery, Settings

if TYPE_CHECKING:
    from voxrtc.models.chatterbox.voices import Maker

logger = logging.getLogger(__name__)

PACKAGES = ("torch", "transformers", "safetensors", "soundfile", "soxr")
INSTALL = "pip install -c constraints.txt -e '.[gpu]'"

TOKENS_A_LETTER = 1.7
"""Speech tokens that a letter of the Latin script takes, at 15 letters a second."""
MOST_A_LETTER, MOST_BESIDE = 3.0, 50
"""Speech tokens that a piece of text may take: beyond, it is taken for a runaway and ended."""
CLONES = 65
"""Voices of callers' clips that are kept; of more, the oldest is forgotten. One more than models.clones keeps clips:
that tells of one to forget only once the newest is made."""
WARM_UP = "Hello there, how are you?"


@dataclass(frozen=True, slots=True)
class Made:
    """What is loaded. ``voices``: the first is the default. ``maker``: None where no clips may come from callers.
    ``tail``: tokens that each piece of text ends with. ``most``: speech tokens of a piece at most. ``within``: what the
    models' work is done in. ``moods``: whether exaggeration and cfg_weight are heeded; where not, all that can be heard
    of a mood is the pause after a clause."""

    title: str
    tokens: TokenModel
    sound: SoundModel
    tokenizer: Tokenizer
    voices: Mapping[str, Voice]
    maker: Maker | None
    manner: Manner
    tail: Sequence[int]
    most: int
    within: Within = contextlib.nullcontext
    moods: bool = True


Make = Callable[[Settings, Progress], Made]


class Chatterbox:
    """voxrtc.models.tts.engine.Engine. ``make``: for tests. ``on_broken``: called when the loop has died."""

    title = "Chatterbox"

    def __init__(
        self, settings: Settings, make: Make | None = None, on_broken: Callable[[ModelsError], None] = end_host
    ) -> None:
        self._settings = settings
        self._make = make or _make
        self._on_broken = on_broken
        self._made: Made | None = None
        self._loop: Loop | None = None
        self._clones: dict[str, Voice] = {}

    @property
    def voices(self) -> Mapping[str, Sequence[str]]:
        """The configured ones."""
        made = self._made
        return {} if made is None else dict.fromkeys(made.voices, made.tokenizer.languages)

    def load(self, progress: Progress) -> None:
        check_packages()
        made = self._make(self._settings, progress)
        self.title = made.title
        loop = Loop(
            made.tokens,
            made.sound,
            max_waiting=self._settings.models.max_waiting,
            tail=made.tail,
            on_broken=self._on_broken,
            within=made.within,
        )
        self._made = made
        with made.within():
            for piece in pieces(made.tokenizer, WARM_UP, "en"):
                self._run_through(loop, self._request(made, Speak(WARM_UP), WARM_UP, piece, Urgency()))
        loop.start()
        self._loop = loop

    async def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
        made, loop = self._loaded
        if not any(sign.isalnum() for sign in ask.text):
            return
        trimmer, end = Trimmer(), 0
        heard_until = time.monotonic() + ask.ahead_ms / 1000  # by who listens without a pause
        for piece in pieces(made.tokenizer, ask.text, ask.language):
            request = self._request(made, ask, ask.text[piece.start : piece.end], piece, urgency)
            request.ahead = max(0.0, heard_until - time.monotonic())
            async with contextlib.aclosing(spoken.say(loop, request)) as stream:
                async for sounded in stream:
                    samples = trimmer.feed(sounded.samples)
                    start, end = end, piece.start + sounded.end
                    if samples.size:
                        heard_until = max(heard_until, time.monotonic()) + samples.size / SPOKEN_RATE
                        yield Speech(pack(samples), start, end)
        silent = pause(ask.text) if made.moods else np.concatenate([pause(ask.text), silence(self._sounds(ask))])
        last = np.concatenate([trimmer.end(), silent])
        if last.size:
            yield Speech(pack(last), end, len(ask.text))

    async def clone(self, name: str, samples: Samples, rate: int) -> None:
        """From now on ``name`` is a voice, made of ``samples`` (n,) at ``rate`` Hz. Raises BadClip where the clip is of
        no use, ModelsError where that is not allowed (tts.allow_cloning), or the name is taken."""
        made, _ = self._loaded
        if made.maker is None:
            raise ModelsError("voices of clips are not allowed here; tts.allow_cloning would allow them")
        if name in made.voices or not name.strip():
            raise ModelsError(f"a voice of a clip cannot be named '{name}'")
        maker, clip = made.maker, clips.check(samples, rate, "the clip")
        voice = await asyncio.to_thread(maker.make, name, clip)
        self._clones.pop(name, None)  # the newest comes last
        self._clones[name] = voice
        while len(self._clones) > CLONES:
            del self._clones[next(iter(self._clones))]

    def forget(self, name: str) -> None:
        self._clones.pop(name, None)

    @property
    def clones(self) -> Mapping[str, Sequence[str]]:
        made = self._made
        return {} if made is None else dict.fromkeys(self._clones, made.tokenizer.languages)

    def statistics(self) -> Statistics:
        """Of the loop. Raises ModelsError before it is loaded."""
        return self._loaded[1].statistics()

    async def close(self) -> None:
        if self._loop is not None:
            await asyncio.to_thread(self._loop.close)
        self._loop = self._made = None
        self._clones.clear()

    def _request(self, made: Made, ask: Speak, text: str, piece: Piece, urgency: Urgency) -> Request:
        """``text``: the characters that ``piece`` is of."""
        name = ask.voice or next(iter(made.voices))
        voice = made.voices.get(name) or self._clones.get(name)
        if voice is None:
            raise ModelsError(f"Chatterbox has no voice '{name}'")
        size = weight(text)
        most = min(made.most, MOST_BESIDE + round(MOST_A_LETTER * size))
        manner = self._manner(made.manner, ask) if made.moods else made.manner
        utterance = Utterance(piece.ids, voice, replace(manner, seed=zlib.crc32(f"{name}\n{text}".encode())), most)
        return Request(utterance, piece.end - piece.start, round(TOKENS_A_LETTER * size), urgency)

    def _manner(self, plain: Manner, ask: Speak) -> Manner:
        """How a clause of that emotion is said."""
        sounds = self._sounds(ask)
        return replace(plain, exaggeration=sounds.exaggeration, cfg_weight=sounds.cfg_weight)

    def _sounds(self, ask: Speak) -> Delivery:
        return delivery(self._settings.emotion, ask.emotion, ask.intensity)

    def _run_through(self, loop: Loop, request: Request) -> None:
        """Say it in this thread, to nobody. Raises ModelsError where that fails."""
        ends: list[ModelsError | None] = []
        loop.submit(request, lambda sounded: None, ends.append)
        while loop.step():
            pass
        if ends and ends[0] is not None:
            raise ends[0]

    @property
    def _loaded(self) -> tuple[Made, Loop]:
        if self._made is None or self._loop is None:
            raise ModelsError("the models are not loaded yet")
        return self._made, self._loop


def missing_packages() -> list[str]:
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_packages() -> None:
    missing = missing_packages()
    if missing:
        raise ModelsError(f"Chatterbox needs packages that are not installed ({', '.join(missing)}); run: {INSTALL}")


def _make(settings: Settings, progress: Progress) -> Made:
    from voxrtc.models.chatterbox.build import make  # torch comes with it

    return make(settings, progress)
