"""What packages log of themselves and nobody can act on."""

from __future__ import annotations

import logging

from voxrtc.settings import Models

DEPRECATED = "torch.utils._pytree"
"""Warns of what torchao does, at every import."""


def hush(models: Models) -> None:
    """To be called before torch or transformers is imported.

    transformers imports torchao along with its models, which warns of libraries for other GPUs that it cannot load.
    That is of no use where nothing is in fewer bits."""
    logging.getLogger(DEPRECATED).setLevel(logging.ERROR)
    if models.quantize == "none":
        logging.getLogger("torchao").setLevel(logging.ERROR)
