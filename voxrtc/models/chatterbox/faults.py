"""Failures of Chatterbox as sentences a user can act on."""

from __future__ import annotations

from voxrtc.errors import ModelsError


def sentence(error: Exception) -> str:
    """What to tell of a call that failed. The message of an unknown error is left out: it may hold what is said."""
    if isinstance(error, ModelsError):
        return str(error)
    # torch.OutOfMemoryError, which must be told apart here without importing torch.
    if type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower():
        return "the GPU is out of memory for the voice; lower models.gpu_memory_gb or server.max_calls"
    return f"Chatterbox failed ({type(error).__name__})"
