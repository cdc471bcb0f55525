"""Failures of the GPU as sentences a user can act on."""

from __future__ import annotations

import logging
import traceback

from voxrtc.errors import ModelsError

logger = logging.getLogger(__name__)


def sentence(error: Exception) -> str:
    """What to tell of a call that failed. The message of an unknown error is left out: it may hold what was said."""
    if isinstance(error, ModelsError):
        return str(error)
    # torch.OutOfMemoryError, which must be told apart here without importing torch.
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower():
        return (
            "the GPU is out of memory; lower models.gpu_memory_gb or models.context_tokens, "
            "or set models.quantize to int8 or int4"
        )
    return f"Voxtral failed ({type(error).__name__})"


def log(what: str, error: Exception) -> None:
    """Where it happened, without the message, for the same reason."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.warning("%s failed with %s\n%s", what, type(error).__name__, where)
