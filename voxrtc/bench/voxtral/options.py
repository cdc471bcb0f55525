"""What ``voxrtc bench voxtral`` is asked for, and whether that can be measured here. Imports nothing of the GPU's."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from voxrtc.errors import VoxrtcError

INSTALL = "pip install -c constraints.txt -e '.[gpu]'"
REPEATS = {"cuda": 50, "cpu": 5}
MIX_S = {"cuda": 10.0, "cpu": 2.0}
SHAPES = {"cuda": "full", "cpu": "tiny"}


@dataclass(frozen=True, slots=True)
class Options:
    """``shape``: full, tiny, a folder with a configuration, or "" for what the device can bear. ``callers``: numbers of
    them that decode at once. ``context``: tokens that each has, in the mean. ``repeat``: of each step, and ``mix_s``:
    seconds in which the mix's turns begin; 0 for what suits the device. ``audio``: a WAV file that is heard."""

    device: Literal["cuda", "cpu"] = "cuda"
    shape: str = ""
    quantize: Literal["none", "int8", "int4"] = "none"
    attention: Literal["auto", "flash", "triton", "sdpa"] = "auto"
    compile: bool = True
    callers: Sequence[int] = (1, 8, 32)
    context: int = 1_000
    repeat: int = 0
    seed: int = 0
    audio: Path | None = None
    stock: bool = True
    mix_s: float = 0.0

    @classmethod
    def given(cls, line: argparse.Namespace) -> Options:
        """What the command line gives (arguments.add_voxtral)."""
        return cls(
            device=line.device,
            shape=line.shape,
            quantize=line.quantize,
            attention=line.attention,
            compile=line.compile == "on",
            callers=line.rows,
            context=line.context,
            repeat=line.repeat,
            seed=line.seed,
            audio=line.audio,
            stock=not line.no_stock,
            mix_s=line.mix_seconds,
        )

    def settled(self) -> Options:
        """With the values of its device in place of empty ones."""
        return replace(
            self,
            shape=self.shape or SHAPES[self.device],
            repeat=self.repeat or REPEATS[self.device],
            mix_s=self.mix_s or MIX_S[self.device],
        )


def check(options: Options) -> None:
    """Raise VoxrtcError where this cannot be measured here."""
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise VoxrtcError(f"bench voxtral needs {package}, which is not installed; run: {INSTALL}")
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        raise VoxrtcError("torch finds no CUDA device here; --device cpu tries the bench with a tiny shape")
