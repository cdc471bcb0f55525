"""A source to its transcript, with models of one's own: for programs, and for the command line."""

from __future__ import annotations

import asyncio

from voxrtc import sources
from voxrtc.audio import Samples
from voxrtc.config import load as load_settings
from voxrtc.models.client import HostClient
from voxrtc.models.client import Progress as Loading
from voxrtc.models.verbs import Models
from voxrtc.settings import Settings
from voxrtc.sources import Guard
from voxrtc.transcription.transcript import Transcript
from voxrtc.transcription.transcription import IN_FLIGHT
from voxrtc.transcription.transcription import transcribe as transcribe_with

TRANSCRIBING = "transcribing"


async def transcribe(
    source: str | bytes,
    language: str | None = None,
    *,
    settings: Settings | None = None,
    guard: Guard | None = None,
    progress: Loading | None = None,
) -> Transcript:
    """What is said in ``source``: an http(s) URL, a data: URL, base64, a path if ``guard`` allows, or a file's bytes.

    ``language``: ISO 639-1, None to detect it. ``settings`` say which models (None: config.toml, environment); their
    host runs for as long as this does. ``progress`` is told what is being done and how far that is, 0..1. Raises
    AudioError for a source that cannot be read, ConfigError, and ModelsError where the models cannot be loaded or fail.
    """
    settings = settings or load_settings(None)
    return await hear(await read(source, guard), language, settings, progress)


async def transcribe_from_url(
    source: str,
    language: str | None = None,
    *,
    models: Models | None = None,
    settings: Settings | None = None,
    guard: Guard | None = None,
) -> str:
    """The words in a URL, a data: URL, base64 or a path. For programs, which may name their own files; without a
    ``guard`` of theirs only public addresses are read from.

    ``models``: a models.client.HostClient that was started, to be used again and again; without one, those of
    ``settings`` are loaded for this one call. Raises as transcribe()."""
    guard = guard or Guard(allow_paths=True)
    if models is None:
        return (await transcribe(source, language, settings=settings, guard=guard)).text
    return (await transcribe_with(models, await read(source, guard), language)).text


async def read(source: str | bytes, guard: Guard | None = None) -> Samples:
    """The audio of ``source``: float32 (n,) at 16 kHz, n > 0. Raises AudioError."""
    if isinstance(source, bytes):
        return await asyncio.to_thread(sources.decode, source, guard)
    return await sources.load(source, guard)


async def hear(samples: Samples, language: str | None, settings: Settings, progress: Loading | None) -> Transcript:
    """What is said in ``samples`` (n,) at 16 kHz, by models that are loaded for it. Raises ModelsError."""
    host = HostClient(settings)
    try:
        await host.start(progress)
        tell = None if progress is None else lambda fraction: progress(TRANSCRIBING, fraction)
        in_flight = min(IN_FLIGHT, settings.models.max_waiting)
        return await transcribe_with(host, samples, language, tell, in_flight)
    finally:
        await host.close()
