"""The first questions to a server, before any caller has spoken: is it there, and what can it do?

Here its own words are shown in errors: no caller's can be among them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import numpy as np

from voxrtc.audio import HEARD_RATE
from voxrtc.errors import ModelsError
from voxrtc.models.remote.client import Client
from voxrtc.models.remote.complaints import Passing, Refused, no_model
from voxrtc.models.remote.ears import ServerEars
from voxrtc.models.remote.messages import request, wav
from voxrtc.models.urgency import Urgency
from voxrtc.models.wire import Answer, Tool
from voxrtc.settings import Settings

logger = logging.getLogger(__name__)

ASK_EVERY_S = 1.0
PATIENCE = 0.8
"""Which part of models.load_timeout_s a server that is being started is waited for."""
_NOTHING = Tool("nothing", "Does nothing.", {"type": "object", "properties": {}})


async def find(client: Client, settings: Settings, progress: Callable[[str, float], None]) -> None:
    """Wait for the server, which may be starting as we are; see that it has the models. Raises ModelsError."""
    patience_s = PATIENCE * settings.models.load_timeout_s
    until = time.monotonic() + patience_s
    while True:
        try:
            return await listed(client, settings)
        except Passing as error:
            if time.monotonic() > until:
                raise ModelsError(f"{error} (waited {patience_s:.0f} s)") from None
            progress(f"asking again: {error}", 0.0)
            await asyncio.sleep(ASK_EVERY_S)


async def listed(client: Client, settings: Settings) -> None:
    """See that the server has the models, if it lists them. One try. Raises ModelsError."""
    remote = settings.remote
    try:
        models = await client.models()
    except Refused as error:
        if error.status not in (404, 405):
            raise
        logger.warning("%s does not list its models; it is asked for %s all the same", remote.url, remote.model)
        return
    for key in ("model", "hearing_model"):
        name = getattr(remote, key)
        if name and name not in models:
            raise ModelsError(no_model(remote, name, key, models))


async def model(client: Client, settings: Settings) -> None:
    """Ask for one token as a turn will ask: warms the server, and finds out what it refuses. Raises ModelsError.

    The time is limited by ``remote.timeout_s``, as every answer's is."""
    heard = settings.remote.hears == "audio"
    ask = Answer("", "", [], max_tokens=1, temperature=0.0, tools=[_NOTHING] if settings.dialogue.tools else [])
    try:
        async with contextlib.aclosing(client.chat(request(ask, _hiss() if heard else "Hello."))) as pieces:
            async for _ in pieces:
                return
    except Refused as error:
        hint = '; if it does not hear, set remote.hears = "transcripts"' if heard and error.status == 400 else ""
        raise ModelsError(f"{error}{_quoted(error)}{hint}") from None


async def ears(server: ServerEars, settings: Settings) -> str:
    """Why somebody else has to transcribe; empty where the server does. Raises ModelsError where that is no way out:
    ``remote.transcribes`` forbids it, or a ``remote.hearing_model`` was named for it."""
    remote, language = settings.remote, settings.dialogue.language
    if remote.transcribes == "whisper":
        return "remote.transcribes is whisper"
    try:
        await server.hear(_hiss(), language, Urgency())
    except Refused as error:
        if remote.transcribes == "server" or remote.hearing_model or error.status in (401, 403):
            raise ModelsError(f'{error}{_quoted(error)}; or set remote.transcribes = "whisper"') from None
        return f"{error}{_quoted(error)}"
    if remote.transcribes == "server" or server.takes(language):
        return ""
    return f"the server of models at {remote.url} does not take {language} as the language of a transcript"


def _hiss() -> bytes:
    """A second of nearly nothing, as WAV."""
    return wav(np.random.default_rng(0).standard_normal(HEARD_RATE, np.float32) * np.float32(0.01))


def _quoted(error: Refused) -> str:
    return f' ("{error.said[:300]}")' if error.said else ""
