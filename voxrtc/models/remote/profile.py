"""The remote profile: an OpenAI-compatible server of models hears and thinks, the voices speak here.

The reply and the transcript of a turn are asked for at the same time where the model hears (``remote.hears``), so that
Heard may come after the first of Said; a transcript without words ends the reply. Nothing is prepared ahead: vLLM keeps
the prefix of a conversation by itself, and others would be paid for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from functools import partial

from voxrtc.languages import NAMES
from voxrtc.models.hearing import Hearing
from voxrtc.models.profiles import Progress
from voxrtc.models.reading import Reading
from voxrtc.models.remote import trial
from voxrtc.models.remote.bound import Bound
from voxrtc.models.remote.client import Client
from voxrtc.models.remote.ears import ServerEars
from voxrtc.models.remote.messages import request, wav
from voxrtc.models.remote.together import together
from voxrtc.models.speaking import Speaking
from voxrtc.models.urgency import FIRST, LAST, PATIENT, Urgency, until_done
from voxrtc.models.wire import (
    Answer,
    Clone,
    Cloned,
    Ending,
    Ends,
    Heard,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    ToolCall,
    Transcribe,
    unpack,
)
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)


class Remote:
    """voxrtc.models.profiles.Profile by a server elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._remote = settings.remote
        self._client = Client(settings.remote)
        self._bound = Bound(settings.remote.max_requests)
        configured = settings.dialogue.language
        self._ears = ServerEars(self._client, self._bound, "" if configured == "auto" else configured)
        self._hearing: Hearing | None = None
        """Set where whisper hears here."""
        self._reading = Reading(settings.models)
        self._speaking = Speaking(settings)

    # -- the start ------------------------------------------------------------------------------------------

    async def load(self, progress: Progress) -> Ready:
        """Find the server, see what it can do, load what runs here. Raises ModelsError, StoreError."""
        began = time.monotonic()
        await self._client.open()
        await trial.find(self._client, self._settings, progress)
        progress(f"trying {self._remote.model}", 0.2)
        await trial.model(self._client, self._settings)
        progress("trying how the caller is heard", 0.5)
        if reason := await trial.ears(self._ears, self._settings):
            logger.warning("%s: %s hears in its place", reason, self._settings.models.whisper)
            self._hearing = Hearing(self._settings.models)
        await asyncio.to_thread(self._load, progress)
        progress("ready", 1.0)
        remote = self._remote
        return Ready(
            profile="remote",
            hears=self._hearing.title if self._hearing else f"{remote.hearing_model or remote.model} (remote)",
            thinks=f"{remote.model} (remote)",
            speaks=self._speaking.title,
            voices=self._speaking.languages,
            hears_languages=self._hearing.languages
            if self._hearing
            else [code for code in NAMES if self._ears.takes(code)],
            load_s=time.monotonic() - began,
            cloning=self._speaking.cloning,
        )

    def _load(self, progress: Progress) -> None:
        if self._hearing is not None:
            self._hearing.load(progress)
        self._speaking.load(progress)
        self._reading.load(progress)

    async def close(self) -> None:
        """Close the connections, stop what runs here."""
        await self._client.close()
        for room in (self._hearing, self._speaking, self._reading):
            if room is not None:
                await room.close()

    # -- the verbs ------------------------------------------------------------------------------------------

    async def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]:
        if self._hearing is None:
            urgency = Urgency(LAST if ask.partial else PATIENT if ask.patient else FIRST)
            yield await self._ears.hear(wav(unpack(ask.audio)), ask.language, urgency)
            return
        hearing = self._hearing
        if ask.patient:
            yield await until_done(partial(hearing.listen, ask.audio, ask.language))
            return
        hear = self._hearing.glance if ask.partial else self._hearing.hear
        async with contextlib.aclosing(hear(ask.audio, ask.language)) as items:
            async for heard in items:
                yield heard

    async def answer(
        self, ask: Answer, urgency: Urgency | None = None
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        urgency = urgency or Urgency()
        if self._hearing is not None:
            self._hearing.hurry(urgency.level)
        if ask.audio is None:
            answering = self._say(ask, ask.text or "", urgency)
        elif self._remote.hears == "audio":
            answering = self._hear_and_say(ask, ask.audio, urgency)
        else:
            answering = self._hear_then_say(ask, ask.audio, urgency)
        async with contextlib.aclosing(answering) as items:
            async for item in items:
                yield item

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        """Does nothing."""
        return
        yield

    def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        return self._reading.ends(ask)

    def speak(self, ask: Speak, urgency: Urgency | None = None) -> AsyncGenerator[Speech, None]:
        return self._speaking.speak(ask, urgency)

    async def clone(self, ask: Clone) -> AsyncGenerator[Cloned, None]:
        yield Cloned(await self._speaking.clone(ask.name, unpack(ask.audio), ask.rate))

    def forget(self, name: str) -> None:
        self._speaking.forget(name)

    # -- how a turn is answered -----------------------------------------------------------------------------

    async def _hear_and_say(
        self, ask: Answer, audio: bytes, urgency: Urgency
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """The model hears the caller itself, while somebody else writes down what was said."""
        file = wav(unpack(audio))
        both = together(self._hear(ask, audio, file, urgency), self._say(ask, file, urgency))
        async with contextlib.aclosing(both) as items:
            async for item in items:
                yield item
                if isinstance(item, Heard) and not item.text.strip():
                    return

    async def _hear_then_say(
        self, ask: Answer, audio: bytes, urgency: Urgency
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """The model reads what was heard."""
        text = ""
        async with contextlib.aclosing(self._hear(ask, audio, wav(unpack(audio)), urgency)) as items:
            async for item in items:
                yield item
                if isinstance(item, Heard):
                    text = item.text
        if text.strip():
            async with contextlib.aclosing(self._say(ask, text, urgency)) as items:
                async for item in items:
                    yield item

    async def _hear(
        self, ask: Answer, audio: bytes, file: bytes, urgency: Urgency
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """One Heard. ``audio``: packed samples, ``file``: the same as WAV."""
        if self._hearing is None:
            yield await self._ears.hear(file, ask.language, urgency)
            return
        async with contextlib.aclosing(self._hearing.hear(audio, ask.language, urgency)) as items:
            async for heard in items:
                yield heard

    async def _say(
        self, ask: Answer, turn: str | bytes, urgency: Urgency
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """The reply. ``turn``: the caller's words, or a WAV file of them."""
        if not turn.strip():
            return
        async with self._bound.place(urgency), contextlib.aclosing(self._client.chat(request(ask, turn))) as pieces:
            async for piece in pieces:
                yield piece
