"""What ``voxrtc bench tts`` is asked for, and whether that can be measured here. Imports nothing of the GPU's."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import dataclass, replace
from typing import Literal

from voxrtc.errors import VoxrtcError

CHATTERBOX = "chatterbox"
INSTALL = "pip install -c constraints.txt -e '.[gpu]'"
REPEATS = {"cuda": 20, "cpu": 3}
SECONDS = {"cuda": 12.0, "cpu": 2.0}
VOICE_SECONDS = 10.0
SHAPES = {"cuda": "full", "cpu": "tiny"}
VOICE_REPEAT = 12
"""Replies that one caller is told by a voice that needs no GPU."""


@dataclass(frozen=True, slots=True)
class Options:
    """``voice``: chatterbox, or one of the setting tts.voice. ``callers``: who are spoken to at once. ``device`` and
    ``shape`` are Chatterbox's: full, tiny, or "" for what the device can bear. ``repeat``: of each step, or replies;
    ``seconds``: in which replies to many callers begin; 0 for what suits the device. ``words``: have whisper hear what
    the other voices say. ``stock``: measure the package's own as well."""

    voice: str = CHATTERBOX
    callers: int = 1
    device: Literal["cuda", "cpu"] = "cuda"
    shape: str = ""
    language: str = "en"
    repeat: int = 0
    seconds: float = 0.0
    seed: int = 0
    stock: bool = True
    words: bool = True

    @classmethod
    def given(cls, line: argparse.Namespace) -> Options:
        """What the command line gives (arguments.add_tts)."""
        return cls(
            voice=line.voice,
            callers=line.callers,
            device=line.device,
            shape=line.shape,
            language=line.language,
            repeat=line.repeat,
            seconds=line.seconds,
            seed=line.seed,
            stock=not line.no_stock,
            words=not line.no_words,
        )

    @property
    def on_gpu(self) -> bool:
        return self.voice == CHATTERBOX and self.device == "cuda"

    def settled(self) -> Options:
        """With the values of its voice and device in place of empty ones."""
        device: Literal["cuda", "cpu"] = "cuda" if self.on_gpu else "cpu"
        ours = self.voice == CHATTERBOX
        repeat, seconds = (REPEATS[device], SECONDS[device]) if ours else (VOICE_REPEAT, VOICE_SECONDS)
        return replace(
            self,
            device=device,
            shape=self.shape or SHAPES[device],
            repeat=self.repeat or repeat,
            seconds=self.seconds or seconds,
        )


def check(options: Options) -> None:
    """Raise VoxrtcError where this cannot be measured here."""
    if options.voice != CHATTERBOX:
        return
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise VoxrtcError(f"bench tts --voice chatterbox needs {package}, which is not installed; run: {INSTALL}")
    if options.shape not in ("", "full", "tiny"):
        raise VoxrtcError(f"'{options.shape}' is neither full nor tiny, the shapes of Chatterbox that are measured")
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise VoxrtcError("torch finds no CUDA device here; --device cpu tries the bench with a tiny shape")
