"""From settings to what speaks: the checkpoint's parts, placed and warm, and the voices made with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import checkpoint, t3, voices, watermark
from voxrtc.models.chatterbox.checkpoint import Files
from voxrtc.models.chatterbox.engine import Made
from voxrtc.models.chatterbox.parts import Manner, SoundModel, Voice
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner
from voxrtc.models.chatterbox.t3_memory import T3Plan
from voxrtc.models.chatterbox.tokenizer import MOST, Multilingual, Turbo
from voxrtc.models.chatterbox.voices import BUILT_IN, Maker
from voxrtc.models.gpu.lane import Lane
from voxrtc.models.profiles import Progress
from voxrtc.settings import Settings

SPEECH = 720
"""Speech tokens of a piece of text at most: 29 s."""
ROWS = 32
"""Clauses at once at the most: beyond, a step takes longer for all."""
BATCH = 16
"""Chunks that are made into sound at once at the most."""
SILENCE = (4_299,) * 3
"""Tokens of silence, which Turbo's sound model needs at the end."""
PLAIN = {False: Manner(), True: Manner(cfg_weight=0.0, min_p=0.0, repetition_penalty=1.2)}
"""How the multilingual one and Turbo speak by default (chatterbox-tts 0.1.7)."""


def make(settings: Settings, progress: Progress) -> Made:
    """Everything of the checkpoint ``tts.chatterbox``. Blocks. Raises ModelsError, StoreError."""
    device = device_of(settings)
    folder = checkpoint.fetch(settings.tts.chatterbox, progress)
    files = checkpoint.find(folder)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    callers = settings.server.max_calls
    tokenizer = Turbo(files.vocabulary) if files.turbo else Multilingual(files.vocabulary, files.cangjie)
    s3gen = checkpoint.weights(files.s3gen)
    known, maker = _voices(settings, files, s3gen, device, progress)
    plan = T3Plan(rows=min(ROWS, max(2, callers)), text=MOST, speech=SPEECH)
    lane = Lane(device)  # after the voices, which were made outside of it
    with lane():
        tokens = t3.make(
            checkpoint.weights(files.t3),
            plan,
            device,
            dtype,
            progress,
            attention=settings.models.attention,
            compiles=settings.models.compile == "on",
        )
        compiles = device.type == "cuda" and settings.models.compile == "on"
        sound = SoundRunner(s3gen, device, dtype, SoundPlan(batch=min(BATCH, max(2, callers))), compiles=compiles)
        sound.warm(progress)
        marked = _marked(settings, sound, device, progress)
    name = "Chatterbox Turbo" if files.turbo else "Chatterbox"
    return Made(
        title=f"{name} ({', '.join(f'{what}: {how}' for what, how in tokens.report().items())})",
        tokens=tokens,
        sound=marked,
        tokenizer=tokenizer,
        voices=known,
        maker=maker,
        manner=PLAIN[files.turbo],
        tail=SILENCE if files.turbo else (),
        most=SPEECH,
        within=lane,
    )


def device_of(settings: Settings) -> torch.device:
    """Raises ModelsError where it is not there."""
    wanted = settings.models.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelsError(
            'tts.engine = "chatterbox" needs a GPU, and torch finds none: set tts.engine = "hibari", or '
            'models.device = "cpu" to try it slowly'
        )
    return torch.device("cuda", torch.cuda.current_device()) if wanted == "cuda" else torch.device(wanted)


def _voices(
    settings: Settings, files: Files, s3gen: Mapping[str, Tensor], device: torch.device, progress: Progress
) -> tuple[dict[str, Voice], Maker | None]:
    """All voices that are configured, and what makes more of them where that is allowed."""
    folder = Path(settings.tts.voices_dir).expanduser()
    known: dict[str, Voice] = {}
    if files.voice is not None:
        known[BUILT_IN] = voices.built_in(files.voice, device)
    maker = None
    if settings.tts.allow_cloning or voices.clips_in(folder):
        progress("making the voices", 0.3)
        maker = Maker(checkpoint.weights(files.voice_encoder), s3gen, device, files.turbo)
        known |= voices.of_folder(folder, maker)
    if not known:
        raise ModelsError(f"Chatterbox has no voice: its checkpoint lacks conds.pt, and there is no clip in {folder}")
    return known, maker if settings.tts.allow_cloning else None


def _marked(settings: Settings, sound: SoundRunner, device: torch.device, progress: Progress) -> SoundModel:
    if not settings.tts.watermark:
        return sound
    return watermark.Marked(sound, watermark.load(settings.models.cache_path, device, progress))
