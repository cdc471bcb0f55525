"""Chatterbox's files: found, fetched where they are not here, and read into state dicts.

The repositories ResembleAI/chatterbox (multilingual) and ResembleAI/chatterbox-turbo (English), as chatterbox-tts 0.1.7
reads them, and folders like them.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxrtc.errors import ModelsError, StoreError
from voxrtc.models import hub
from voxrtc.models.catalogue import chatterbox
from voxrtc.models.profiles import Progress

if TYPE_CHECKING:
    from torch import Tensor

T3_NAMES = ("t3_mtl23ls_v3.safetensors", "t3_mtl23ls_v2.safetensors")
"""Of the multilingual one; the hub's v2 is fetched, a folder's v3 is preferred."""
T3_TURBO = "t3_turbo_v1.safetensors"
VOCABULARY = "grapheme_mtl_merged_expanded_v1.json"
CANGJIE = "Cangjie5_TC.json"
VOICE = "conds.pt"


@dataclass(frozen=True, slots=True)
class Files:
    """Where the parts of a checkpoint are. ``vocabulary`` is a file, or the folder itself in Turbo; ``voice`` and
    ``cangjie`` (Chinese input codes) may be missing."""

    t3: Path
    s3gen: Path
    voice_encoder: Path
    vocabulary: Path
    voice: Path | None
    cangjie: Path | None
    turbo: bool


def fetch(name: str, progress: Progress) -> Path:
    """The folder of the checkpoint ``name``: itself, if that is a folder, else as the hub has it. Raises StoreError."""
    folder = hub.local(name)
    if folder is not None:
        return folder
    repository = chatterbox(name).repository
    assert repository is not None
    return hub.fetch(repository, progress)


def is_turbo(name: str) -> bool:
    """Whether the checkpoint ``name`` is Turbo: a folder by its files, a repository of the hub by its name."""
    try:
        folder = hub.local(name)
    except StoreError:  # no such folder, which is told where it is to be loaded
        folder = None
    return "turbo" in name.lower() if folder is None else (folder / T3_TURBO).is_file()


def find(folder: Path) -> Files:
    """The checkpoint in ``folder``. Raises ModelsError that says what is missing."""
    turbo = (folder / T3_TURBO).is_file()
    if turbo:
        t3, s3gen, voice_encoder = T3_TURBO, "s3gen_meanflow.safetensors", "ve.safetensors"
        vocabulary, needed = folder, (s3gen, voice_encoder, "vocab.json", "merges.txt")
    else:
        t3 = next((name for name in T3_NAMES if (folder / name).is_file()), T3_NAMES[-1])
        s3gen, voice_encoder = (_either(folder, stem) for stem in ("s3gen", "ve"))
        vocabulary, needed = folder / VOCABULARY, (t3, s3gen, voice_encoder, VOCABULARY)
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing:
        raise ModelsError(f"{folder} is no checkpoint of Chatterbox: it lacks {', '.join(missing)}")
    voice, cangjie = folder / VOICE, folder / CANGJIE
    return Files(
        folder / t3,
        folder / s3gen,
        folder / voice_encoder,
        vocabulary,
        voice if voice.is_file() else None,
        cangjie if cangjie.is_file() else None,
        turbo,
    )


def _either(folder: Path, stem: str) -> str:
    """The hub has both forms of some files; the one that can be mapped is preferred."""
    return f"{stem}.safetensors" if (folder / f"{stem}.safetensors").is_file() else f"{stem}.pt"


def weights(path: Path) -> Mapping[str, Tensor]:
    """The state dict in ``path``, on the CPU; nothing in it is run. Raises ModelsError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelsError(f"{path} cannot be read as weights: it is damaged, or no such file") from error
    if not isinstance(state, dict) or not all(isinstance(one, torch.Tensor) for one in state.values()):
        raise ModelsError(f"{path} holds no weights")
    return state
