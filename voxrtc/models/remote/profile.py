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
from typing import Any

import numpy as np

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import ModelsError
from voxrtc.languages import NAMES
from voxrtc.models.hearing import Hearing
from voxrtc.models.profiles import Progress
from voxrtc.models.reading import Reading
from voxrtc.models.remote.bound import Bound
from voxrtc.models.remote.client import Client
from voxrtc.models.remote.complaints import Passing, Refused, no_model
from voxrtc.models.remote.ears import ServerEars
from voxrtc.models.remote.messages import conversation, functions, wav
from voxrtc.models.remote.together import together
from voxrtc.models.speaking import Speaking
from voxrtc.models.urgency import LAST, Urgency
from voxrtc.models.wire import (
    Answer,
    Ending,
    Ends,
    Heard,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    Tool,
    ToolCall,
    Transcribe,
    unpack,
)
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
PATIENCE = 0.8
"""Which part of models.load_timeout_s a server that is being started is waited for."""
_TRIAL = Tool("nothing", "Does nothing.", {"type": "object", "properties": {}})


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
        await self._find(progress)
        progress(f"trying {self._remote.model}", 0.2)
        await self._try_model()
        progress("trying how the caller is heard", 0.5)
        await self._choose_ears()
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
        )

    async def _find(self, progress: Progress) -> None:
        """Wait for the server, which may be starting as we are; see that it has the models."""
        remote = self._remote
        patience_s = PATIENCE * self._settings.models.load_timeout_s
        until = time.monotonic() + patience_s
        while True:
            try:
                listed = await self._client.models()
                break
            except Refused as error:
                if error.status not in (404, 405):
                    raise
                logger.warning("%s does not list its models; it is asked for %s all the same", remote.url, remote.model)
                return
            except Passing as error:
                if time.monotonic() > until:
                    raise ModelsError(f"{error} (waited {patience_s:.0f} s)") from None
                progress(f"asking again: {error}", 0.0)
                await asyncio.sleep(ASK_EVERY_S)
        for key in ("model", "hearing_model"):
            model = getattr(remote, key)
            if model and model not in listed:
                raise ModelsError(no_model(remote, model, key, listed))

    async def _try_model(self) -> None:
        """One token, asked for as a turn will ask: warms the server, and finds out what it refuses."""
        heard = self._remote.hears == "audio"
        ask = Answer("", "", [], max_tokens=1, temperature=0.0, tools=[_TRIAL] if self._settings.dialogue.tools else [])
        try:
            await self._first_token(_request(ask, _hiss() if heard else "Hello."))
        except Refused as error:
            hint = '; if it does not hear, set remote.hears = "transcripts"' if heard and error.status < 500 else ""
            raise ModelsError(f"{error}{_quoted(error)}{hint}") from None

    async def _first_token(self, request: dict[str, Any]) -> None:
        async with contextlib.aclosing(self._client.chat(request)) as pieces:
            async for _ in pieces:
                return

    async def _choose_ears(self) -> None:
        """Who transcribes: the server, or whisper here where it cannot and ``remote.transcribes`` allows."""
        remote = self._remote
        if remote.transcribes != "whisper":
            language = self._settings.dialogue.language
            try:
                await self._ears.hear(_hiss(), language, Urgency())
            except Refused as error:
                if remote.transcribes == "server" or remote.hearing_model or error.status in (401, 403):
                    raise ModelsError(f'{error}{_quoted(error)}; or set remote.transcribes = "whisper"') from None
                logger.warning("%s%s: %s hears in its place", error, _quoted(error), self._settings.models.whisper)
            else:
                if remote.transcribes == "server" or self._ears.takes(language):
                    return
                logger.warning("%s does not know %s: %s hears", remote.url, language, self._settings.models.whisper)
        self._hearing = Hearing(self._settings.models)

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
            urgency = Urgency(LAST) if ask.partial else Urgency()
            yield await self._ears.hear(wav(unpack(ask.audio)), ask.language, urgency)
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
        async with self._bound.place(urgency), contextlib.aclosing(self._client.chat(_request(ask, turn))) as pieces:
            async for piece in pieces:
                yield piece


def _request(ask: Answer, turn: str | bytes) -> dict[str, Any]:
    """The chat completion that ``ask`` is. Without functions nothing is said of functions: some servers refuse that."""
    request: dict[str, Any] = {
        "messages": conversation(ask.system, ask.history, turn, ask.steps),
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
    }
    if ask.seed is not None:
        request["seed"] = ask.seed
    if ask.tools:
        request["tools"] = functions(ask.tools)
        request["tool_choice"] = "auto" if ask.may_call else "none"
    return request


def _hiss() -> bytes:
    """A second of nearly nothing, as WAV."""
    return wav(np.random.default_rng(0).standard_normal(HEARD_RATE, np.float32) * np.float32(0.01))


def _quoted(error: Refused) -> str:
    """The server's own words, which no caller's can be among: none has spoken yet."""
    return f' ("{error.said[:300]}")' if error.said else ""
