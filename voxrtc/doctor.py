"""`voxrtc doctor`: what is installed, what will run, what is missing and how to get it."""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from voxrtc.config import load
from voxrtc.dialogue import functions
from voxrtc.endpointing import waits
from voxrtc.errors import ConfigError, ModelsError, StoreError
from voxrtc.languages import NAMES
from voxrtc.media import turn
from voxrtc.media.public import NotLearnt
from voxrtc.media.site import Site
from voxrtc.models import hub, quiet, roster, store
from voxrtc.models.asr import choice as hearers
from voxrtc.models.catalogue import Model
from voxrtc.models.chatterbox import engine as chatterbox
from voxrtc.models.remote import trial
from voxrtc.models.remote.bound import Bound
from voxrtc.models.remote.client import Client
from voxrtc.models.remote.ears import ServerEars
from voxrtc.models.tts import choice, inspection
from voxrtc.models.tts.others import TITLES
from voxrtc.settings import Settings

RUNTIMES = {
    "aiortc": "WebRTC",
    "opuslib-next-bundled": "the Opus codec",
    "webrtcvad-wheels": "voice edges",
    "onnxruntime": "voice activity, the ends of turns and the hibari voice",
    "ctranslate2": "whisper",
    "xllamacpp": "the language model",
    "hibari-tts": "the English voice",
}
"""Distribution to what voxrtc needs it for, in the embedded profile."""

VOXTRAL_RUNTIMES = ("torch", "transformers", "mistral-common")
"""Distributions of the extra gpu that the voxtral profile cannot do without."""

MEMORY_GB = {"qwen2.5-1.5b": 2.9, "smollm2-135m": 1.2}
"""RAM of the whole server with each language model, in GB (measured, docs/benchmarks.md)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. ``remedy``: what to do, where something can be done."""

    state: Literal["ok", "note", "bad"]
    what: str
    remedy: str = ""


def examine(config: Path | None = None) -> list[Finding]:
    """Everything that decides whether `voxrtc serve` will work here."""
    try:
        settings = load(config)
        waits.make(settings.endpointing)
        quiet.hush(settings.models)
    except ConfigError as error:
        return [Finding("bad", f"configuration: {error}", "Correct it; config.toml in the repository shows every key.")]
    voices, able = _voices(settings)
    return [
        Finding("ok", "configuration is valid"),
        *_machine(settings),
        *_functions(settings),
        *_packages(settings),
        *voices,
        *_languages(settings, able),
        *_models(settings),
        *_voxtral(settings),
        *asyncio.run(_remote(settings)),
        *_ports(settings),
        *asyncio.run(_network(settings)),
    ]


def _machine(settings: Settings) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    yield Finding("ok", f"Python {platform.python_version()}, {cores} cores, {memory.total / 1e9:.0f} GB of memory")
    wanted = MEMORY_GB[settings.models.llm] if settings.models.profile == "embedded" else 0.0
    if memory.available / 1e9 < wanted:
        yield Finding(
            "bad",
            f"{memory.available / 1e9:.1f} GB of memory are free; {settings.models.llm} wants about {wanted} GB",
            'Close something, or set models.llm = "smollm2-135m".',
        )
    if settings.models.profile != "voxtral" and importlib.util.find_spec("torch") is None:
        yield Finding("ok", "no GPU packages (only the voxtral profile needs them)")
    if sys.platform != "linux":
        yield Finding("note", f"{sys.platform} is not tested; Linux is")


def _functions(settings: Settings) -> Iterator[Finding]:
    """The functions of ``dialogue.tools``, imported as `voxrtc serve` does."""
    try:
        found = functions.load(settings.dialogue.tools)
    except ConfigError as error:
        yield Finding("bad", f"configuration: {error}", "Correct dialogue.tools; `voxrtc serve` refuses it.")
        return
    if found:
        yield Finding("ok", f"functions that the model may call: {', '.join(one.tool.name for one in found)}")


def _packages(settings: Settings) -> Iterator[Finding]:
    missing = []
    for name, purpose in RUNTIMES.items():
        try:
            yield Finding("ok", f"{name} {importlib.metadata.version(name)} ({purpose})")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("bad", f"not installed: {', '.join(missing)}", "Run: make install")


def _voices(settings: Settings) -> tuple[list[Finding], dict[str, Collection[str]]]:
    """Those that are configured; of those that can speak here, the languages."""
    chosen = choice.engine(settings)
    findings = list(_chatterbox(settings)) if chosen == "chatterbox" else [_espeak(settings)]
    able = dict(roster.able(settings))
    if any(finding.state == "bad" for finding in findings):
        del able[chosen]
    for found in inspection.inspect(settings):
        if found.wrong:
            del able[found.name]
            findings.append(Finding("bad", found.wrong, "See docs/languages.md, the other voices."))
            continue
        able[found.name] = found.languages
        findings.append(Finding("ok", f"{TITLES[found.name]} for {', '.join(found.languages)}"))
        for code, engine in settings.tts.languages.items():
            if engine == found.name and code not in found.languages:
                told = f"tts.languages has {code} = '{engine}', which has no files for it"
                findings.append(Finding("bad", told, "See docs/languages.md, the other voices."))
    if settings.tts.allow_cloning and chosen != "chatterbox":
        told = f"tts.allow_cloning is on, but {chosen} speaks: no voice is made of a clip"
        findings.append(Finding("note", told, 'Set tts.engine = "chatterbox" (docs/voices.md), or leave it out.'))
    return findings, able


def _chatterbox(settings: Settings) -> Iterator[Finding]:
    """What Chatterbox would speak with (docs/voices.md). Loads torch, but no model."""
    missing = chatterbox.missing_packages()
    if missing:
        install = ".venv/bin/pip install -c constraints.txt -e '.[gpu]'"
        yield Finding("bad", f"not installed: {', '.join(missing)}, which Chatterbox runs on", f"Run: {install}")
        return
    from voxrtc.models.chatterbox import inspection

    try:
        yield from (Finding("ok", what) for what in inspection.inspect(settings))
    except (ModelsError, StoreError) as error:
        yield Finding("bad", str(error), "See docs/voices.md.")


def _espeak(settings: Settings) -> Finding:
    others = [code for code in NAMES if code != "en"]
    if importlib.util.find_spec("espeakng_loader"):
        return Finding("ok", f"espeak-ng voice for {len(others)} more languages")
    install = ".venv/bin/pip install -c constraints.txt -e '.[espeak]'"
    if choice.engine(settings) == "espeak":
        remedy = f'Run: {install} (GPL), or set tts.engine = "hibari".'
        return Finding("bad", "espeak is to speak, but the espeak extra is not installed", remedy)
    remedy = f"For a plain voice in all of them (GPL): {install}"
    return Finding("note", "speaks English only: the espeak extra is not installed", remedy)


def _languages(settings: Settings, able: roster.Able) -> Iterator[Finding]:
    """Who hears, and who of ``able`` speaks, what is configured (docs/languages.md)."""
    nobody = "nobody: answered in English" if any("en" in codes for codes in able.values()) else "nobody"
    for codes, ears, voice in roster.lines(settings, able):
        if ears and voice:
            yield Finding("ok", f"{codes}: {ears} hears, {voice} speaks")
            continue
        lacks = "badly heard by whisper-base" if not ears else f"heard by {ears}"
        spoken = f"spoken by {voice or nobody}"
        yield Finding("note", f"{codes}: {lacks}, {spoken}", "See docs/languages.md.")


def _models(settings: Settings) -> Iterator[Finding]:
    cache = settings.models.cache_path
    try:
        needed = store.needed(settings)
    except StoreError as error:  # a folder that is not there
        yield Finding("bad", str(error), "Correct models.voxtral or tts.chatterbox.")
        return
    rows = [store.status(name, cache) for name in needed]
    absent = [row.model for row in rows if row.state in ("missing", "partial")]
    for row in rows:
        if row.model not in absent:
            yield Finding("ok", f"model {row.model.name} ({row.here / 1e6:,.0f} MB, {row.model.licence})")
    if absent:
        size = sum(model.bytes for model in absent)
        names = ", ".join(model.name for model in absent)
        yield Finding("note", f"not fetched yet: {names} ({size / 1e6:,.0f} MB)", "Run: .venv/bin/voxrtc models pull")
        yield from _disks(cache, absent)


def _disks(cache: Path, absent: Sequence[Model]) -> Iterator[Finding]:
    """Whether there is room for what is to be fetched: by us, and by the hub's client, which has a place of its own."""
    place = next(p for p in (cache, *cache.absolute().parents) if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        yield Finding("bad", f"{place} cannot be written to", "Name another place with MODEL_CACHE_DIR.")
    free = shutil.disk_usage(place).free
    if free < 2 * sum(model.bytes for model in absent if model.repository is None):
        remedy = "Free some, or name another place with MODEL_CACHE_DIR."
        yield Finding("bad", f"{free / 1e6:,.0f} MB of disk are free at {place}", remedy)
    wanted = sum(model.bytes for model in absent if model.repository is not None)
    if wanted:
        place, free = hub.room()
        if free < wanted:
            told = f"{free / 1e9:.1f} GB of disk are free at {place}, and {wanted / 1e9:.1f} GB are to be fetched to it"
            yield Finding("bad", told, "Free some, or set HF_HOME to another place.")


def _voxtral(settings: Settings) -> Iterator[Finding]:
    """What Voxtral would run on (docs/gpu.md). Loads torch, but no model."""
    models = settings.models
    if models.profile != "voxtral":
        return
    missing = [name for name in VOXTRAL_RUNTIMES if importlib.util.find_spec(name.replace("-", "_")) is None]
    if missing:
        install = ".venv/bin/pip install -c constraints.txt -e '.[gpu]'"
        yield Finding("bad", f"not installed: {', '.join(missing)}, which Voxtral runs on", f"Run: {install}")
        return
    yield Finding("ok", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VOXTRAL_RUNTIMES))
    from voxrtc.models.voxtral import inspection

    try:
        yield from (Finding("ok", what) for what in inspection.inspect(settings))
    except (ModelsError, StoreError) as error:
        yield Finding("bad", str(error), "See docs/gpu.md.")
    if models.device == "cuda" and (reason := hearers.lacking()):
        yield Finding("note", f"{hearers.whisper(models)} hears on the CPU: {reason}", "See docs/gpu.md.")
    if models.device == "cpu":
        remedy = "It answers slower than anybody speaks: for tests only."
        yield Finding("note", 'models.device = "cpu": Voxtral runs without a GPU', remedy)


async def _remote(settings: Settings) -> list[Finding]:
    """What the server of the remote profile says (docs/remote.md)."""
    if settings.models.profile != "remote":
        return []
    remote, client = settings.remote, Client(settings.remote)
    await client.open()
    try:
        await trial.listed(client, settings)
        await trial.model(client, settings)
        reason = await trial.ears(ServerEars(client, Bound(remote.max_requests), ""), settings)
    except ModelsError as error:
        return [Finding("bad", str(error), "See docs/remote.md.")]
    finally:
        await client.close()
    answers = Finding("ok", f"{remote.model} answers at {remote.url}")
    if not reason:
        return [answers, Finding("ok", "it transcribes, too")]
    return [answers, Finding("note", reason, f"{settings.models.whisper} hears in its place, in the host.")]


def _ports(settings: Settings) -> Iterator[Finding]:
    server, ops = settings.server, settings.ops
    if server.port and server.port == ops.port:
        yield Finding("bad", f"server.port and ops.port are both {ops.port}", "Set one of them to another.")
        return
    for section, host, port in (("server", server.host, server.port), ("ops", ops.host, ops.port)):
        if port:
            yield _port(section, host, port)


async def _network(settings: Settings) -> list[Finding]:
    """How the sound of a call gets here (docs/network.md)."""
    media = settings.media
    site = Site(settings)
    addresses = site.addresses.now()
    ports = f"UDP ports {media.port_range[0]} to {media.port_range[1]}" if media.port_range else "any UDP port"
    if not addresses:
        return [Finding("bad", "no network address for media", "Connect a network, or change media.ip_version.")]
    findings = [Finding("ok", f"media is reached at {', '.join(addresses)} ({ports})")]
    try:
        public = await site.public.ask()
    except NotLearnt as error:
        findings.append(Finding("note", "the public address is not known", f"{str(error)[0].upper()}{str(error)[1:]}."))
    else:
        known = site.known_as(addresses, public)
        if known:
            findings.append(Finding("ok", f"callers elsewhere are told of {public} for {', '.join(known)}"))
        elif public and public not in addresses:
            remedy = "No address of this machine is of its IP version, so nobody is told of it. See media.ip_version."
            findings.append(Finding("note", f"the public address {public} is of no use", remedy))
    for url, problem in await turn.tried(settings.turn):
        if problem:
            remedy = "Callers behind strict firewalls will not get through. See docs/network.md, TURN."
            findings.append(Finding("note", f"{url} gives no place: {problem}", remedy))
        else:
            findings.append(Finding("ok", f"{url} gives callers a place"))
    return findings


def _port(section: str, host: str, port: int) -> Finding:
    error = _cannot_bind(host, port)
    if error is None:
        return Finding("ok", f"{host}:{port} is free for {section}")
    if error.errno == errno.EADDRINUSE:
        remedy = f"If that is not voxrtc itself, set {section}.port to another."
        return Finding("note", f"{host}:{port} is taken by a running program", remedy)
    key = "port" if error.errno == errno.EACCES else "host"
    return Finding("bad", f"cannot listen on {host}:{port}: {error.strerror or error}", f"Change {section}.{key}.")


def _cannot_bind(host: str, port: int) -> OSError | None:
    """Why nobody can listen there now, None where it is possible."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        return error
    return None
