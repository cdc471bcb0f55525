"""A file on its way: NAME.part beside where it will be, hashed while it is written, renamed once it is right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from voxrtc.errors import StoreError
from voxrtc.models.catalogue import File

CHUNK = 1024 * 1024
"""Bytes read, hashed and written at a time."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def sha256(path: Path, moved: Callable[[int], None] = lambda count: None) -> str:
    """The sha256 (hex) of ``path``; ``moved`` is called with the bytes of each chunk as it is hashed."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            moved(len(chunk))
    return digest.hexdigest()


class Partial:
    """``file`` in ``folder``, as far as it has come. Whichever place its bytes come from, they are the same bytes:
    what one place began, another may go on with."""

    def __init__(self, folder: Path, file: File) -> None:
        self.file = file
        self.path = folder / file.name
        self._part = folder / f"{file.name}.part"
        self._digest: hashlib._Hash | None = None
        """Of the bytes in the part file; None where those have not been read by this process."""

    @property
    def done(self) -> bool:
        return self.path.exists()

    @property
    def size(self) -> int:
        """Bytes that are here."""
        if self.done:
            return self.file.bytes
        return self._part.stat().st_size if self._part.exists() else 0

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes only."""
        if self.size > size:
            os.truncate(self._part, size)
            self._digest = None

    def append(self, source: Readable, moved: Callable[[int], None]) -> None:
        """Write what ``source`` gives behind what is here. Raises StoreError where that is more than the file holds."""
        digest, room = self._resumed(), self.file.bytes - self.size
        with self._part.open("ab") as out:
            while chunk := source.read(CHUNK):
                room -= len(chunk)
                if room < 0:
                    break
                out.write(chunk)
                digest.update(chunk)
                moved(len(chunk))
            out.flush()
            os.fsync(out.fileno())  # a length that survives a power cut ahead of its bytes would be resumed from
        if room < 0:
            self._part.unlink()
            raise StoreError(f"{self.file.name} is longer there than the pinned {self.file.bytes} bytes; deleted it")

    def finish(self) -> None:
        """Put the complete file in its place. Raises StoreError, and deletes it, where its hash is wrong."""
        found = self._resumed().hexdigest()
        if found != self.file.sha256:
            self._part.unlink()
            raise StoreError(
                f"{self.file.name} came with sha256 {found[:12]}…, not the pinned {self.file.sha256[:12]}…; deleted it"
            )
        os.replace(self._part, self.path)

    def _resumed(self) -> hashlib._Hash:
        if self._digest is None:
            self._digest = hashlib.sha256()
            if self._part.exists():
                with self._part.open("rb") as here:
                    while chunk := here.read(CHUNK):
                        self._digest.update(chunk)
        return self._digest
