"""What Voxtral would run on here, without loading it: for `voxrtc doctor`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from voxrtc.errors import ModelsError
from voxrtc.models import hub
from voxrtc.models.asr import choice
from voxrtc.models.catalogue import voxtral
from voxrtc.models.chatterbox import sizing as sizing_of_voice
from voxrtc.models.chatterbox.checkpoint import is_turbo
from voxrtc.models.gpu import attention
from voxrtc.models.tts import choice as voices
from voxrtc.models.tts import others
from voxrtc.models.voxtral import quantize, sizing
from voxrtc.models.voxtral.build import Options
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.settings import Settings

WHISPER_BYTES = {"whisper-large-v3-turbo": 1_600_000_000}
"""Of GPU memory that the whisper beside Voxtral takes, in float16."""


def inspect(settings: Settings) -> Iterator[str]:
    """Lines on the device, its memory, and what is chosen. Raises ModelsError or StoreError where it cannot work."""
    models = settings.models
    options = Options.of(settings)
    if options.quantize != "none" and importlib.util.find_spec("torchao") is None:
        raise ModelsError(f'models.quantize = "{options.quantize}" needs torchao, which is not installed')
    quantize.placer(options.quantize, options.device)
    folder = checkpoint(models.voxtral)
    config = sizing.config_known(models.voxtral) if folder is None else sizing.config_in(folder)
    if folder is not None:
        Tokens(folder)
        yield f"Voxtral's checkpoint: {folder}"
    free = None
    if options.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(options.device)
        name = torch.cuda.get_device_name(options.device)
        yield f"{name}: {free / 1e9:.1f} GB of {total / 1e9:.1f} GB of memory are free"
        voice = voice_bytes(settings)
        if voice:
            yield f"the voice takes about {voice / 1e9:.1f} GB of it"
        options = replace(options, voice=voice)
        free -= WHISPER_BYTES.get(choice.whisper(models), 0) + voice + options.reserved
    if config is not None:
        sized = sizing.size(config, options.dtype, options.quantize)
        planned = sizing.plan(sized, options, free)
        tokens = planned.pages * planned.page_size
        yield f"Voxtral's weights take {sized.bytes / 1e9:.1f} GB; conversations have room for {tokens:,} tokens"
    chosen = attention.choose(options.attention, options.device, options.page_size, options.dtype)
    bits = str(options.dtype).removeprefix("torch.") if options.quantize == "none" else options.quantize
    yield f"Voxtral on {options.device.type}: weights in {bits}, attention by {chosen.name}"


def voice_bytes(settings: Settings) -> int:
    """Of GPU memory that the voices take at the start."""
    total = others.DIA_WEIGHTS if "dia" in others.configured(settings.tts) else 0
    if voices.engine(settings) != "chatterbox":
        return total
    rows = sizing_of_voice.rows(settings.server.max_calls, settings.tts.clauses_at_once)
    return total + sizing_of_voice.taken(is_turbo(settings.tts.chatterbox), rows)


def checkpoint(name: str) -> Path | None:
    """The folder of the checkpoint ``name``; None where it is to be fetched. Raises ModelsError where it is not whole,
    StoreError where there is no such folder."""
    repository = voxtral(name).repository
    assert repository is not None
    folder = hub.local(name)
    if folder is None:
        return hub.find(repository)
    if lacking := hub.lacking(repository, folder):
        raise ModelsError(f"models.voxtral = {name!r} is no whole checkpoint: {', '.join(lacking)} is not there")
    return folder
