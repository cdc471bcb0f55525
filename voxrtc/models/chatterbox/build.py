"""From settings to what speaks: the checkpoint's parts, placed and warm, and the voices made with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import checkpoint, sizing, voices, watermark
from voxrtc.models.chatterbox.checkpoint import Files
from voxrtc.models.chatterbox.engine import Made
from voxrtc.models.chatterbox.parts import Manner, SoundModel, Voice
from voxrtc.models.chatterbox.runners import Plan
from voxrtc.models.chatterbox.runners import make as make_runners
from voxrtc.models.chatterbox.sound import SoundRunner
from voxrtc.models.chatterbox.tokenizer import Multilingual, Tokenizer, Turbo
from voxrtc.models.chatterbox.voices import BUILT_IN, Maker
from voxrtc.models.gpu import memory
from voxrtc.models.profiles import Progress
from voxrtc.settings import Settings

SILENCE = (4_299,) * 3
"""Tokens of silence, which Turbo's sound model needs at the end."""
PLAIN = {False: Manner(), True: Manner(cfg_weight=0.0, min_p=0.0, repetition_penalty=1.2)}
"""How the multilingual one and Turbo speak by default (chatterbox-tts 0.1.7)."""


def make(settings: Settings, progress: Progress) -> Made:
    """Everything of the checkpoint ``tts.chatterbox``. Blocks. Raises ModelsError, StoreError."""
    device = device_of(settings)
    folder = checkpoint.fetch(settings.tts.chatterbox, progress)
    files = checkpoint.find(folder)
    plan = Plan.of(settings.server.max_calls, settings.tts.clauses_at_once)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        sizing.check(files.turbo, plan.tokens.rows, settings.server.max_calls, free)
    return memory.whole(lambda: _made(settings, files, plan, device, progress), f"Chatterbox: {sizing.REMEDY}")


def _made(settings: Settings, files: Files, plan: Plan, device: torch.device, progress: Progress) -> Made:
    tokenizer = Turbo(files.vocabulary) if files.turbo else Multilingual(files.vocabulary, files.cangjie)
    t3_state, s3gen = checkpoint.weights(files.t3), checkpoint.weights(files.s3gen)
    check_text(tokenizer, t3_state, files.t3)
    known, maker = _voices(settings, files, s3gen, device, progress)
    runners = make_runners(
        t3_state,
        s3gen,
        plan,
        device,
        progress,
        attention=settings.models.attention,
        compiles=settings.models.compile == "on",
    )
    tokens = runners.tokens
    with runners.lane():
        marked = _marked(settings, runners.sound, device, progress)
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
        most=tokens.longest_speech,
        within=runners.lane,
        moods=not files.turbo,
    )


def check_text(tokenizer: Tokenizer, state: Mapping[str, Tensor], file: Path) -> None:
    """Raise ModelsError where ``tokenizer`` could give an id that the T3 of ``state`` has no embedding of: on a GPU
    that would be a read beyond its memory, and the end of the process."""
    embedding = state.get("text_emb.weight")
    if embedding is not None and tokenizer.ids > embedding.shape[0]:
        raise ModelsError(
            f"the tokenizer gives ids up to {tokenizer.ids - 1}, and {file} has embeddings of {embedding.shape[0]}: "
            "they are of different checkpoints; fetch tts.chatterbox anew, or put the files of one into its folder"
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
    folder = voices.folder_of(settings.tts)
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
