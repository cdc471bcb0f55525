"""Which whisper hears: the large one on a GPU that CTranslate2 can use, else the base one."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxrtc.settings import Models  # needs pydantic, which a machine that only measures a GPU may lack

logger = logging.getLogger(__name__)

BASE = "whisper-base"
CUBLAS = "libcublas.so.12"
"""What CTranslate2 4 opens for its products of matrices (it is built for CUDA 12, and needs nothing else of it; torch's
wheels for CUDA 13 bring libcublas.so.13)."""
INSTALL = "pip install nvidia-cublas-cu12"


def whisper(models: Models) -> str:
    """The name of the whisper that hears with these settings on this machine."""
    return BASE if models.asr == "auto" and models.whisper != BASE and lacking() else models.whisper


@lru_cache(1)
def lacking() -> str:
    """Why CTranslate2 cannot use the GPU that is here; empty where it can, or where there is none."""
    import ctranslate2

    if not ctranslate2.get_cuda_device_count() or _opened():
        return ""
    return f"CTranslate2 needs cuBLAS 12 for the GPU, and {CUBLAS} is not there; run: {INSTALL}"


def _opened() -> bool:
    """Open it, for all that ask for it by its name afterwards: where pip puts it nobody else finds it."""
    for place in (CUBLAS, *_packaged()):
        try:
            ctypes.CDLL(str(place), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            logger.debug("%s", error)
        else:
            return True
    return False


def _packaged() -> Iterator[Path]:
    """Where the package nvidia-cublas-cu12 would have it."""
    try:
        found = importlib.util.find_spec("nvidia.cublas")
    except ModuleNotFoundError:
        return
    for folder in (found and found.submodule_search_locations) or ():
        yield Path(folder) / "lib" / CUBLAS
