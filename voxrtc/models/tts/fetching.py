"""The folders of the other voices' checkpoints: as they are named, or as the model hub has them."""

from __future__ import annotations

from pathlib import Path

from voxrtc.models import hub
from voxrtc.models.catalogue import Repository


def folder(name: str, patterns: tuple[str, ...], needs: tuple[str, ...]) -> Path:
    """The folder ``name``, if it is one, else that of the hub's repository. Blocks; raises StoreError."""
    return hub.local(name) or hub.fetch(Repository(name, patterns, needs), lambda what, fraction: None)
