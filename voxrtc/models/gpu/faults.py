"""Failures of a model on the GPU as sentences a user can act on, and as lines of the log without anybody's words."""

from __future__ import annotations

import logging
import traceback

from voxrtc.errors import ModelsError

logger = logging.getLogger(__name__)


def sentence(error: Exception, title: str, remedy: str) -> str:
    """What to tell of a call of the model ``title`` that failed. ``remedy``: what helps where the GPU's memory is too
    small. The message of an unknown error is left out: it may hold what was said."""
    if isinstance(error, ModelsError):
        return str(error)
    # torch.OutOfMemoryError, which must be told apart here without importing torch.
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower():
        return f"the GPU is out of memory for {title}; {remedy}"
    return f"{title} failed ({type(error).__name__})"


def log(what: str, error: Exception) -> None:
    """Where it happened, without the message, for the same reason."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.warning("%s failed with %s\n%s", what, type(error).__name__, where)
