"""The figures so far, on disk after every part: a bench that is cut off leaves what it had measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxrtc.errors import VoxrtcError

Keep = Callable[[dict[str, Any]], None]


def kept(file: Path | None) -> Keep:
    """What writes a document into ``file``, as a whole or not at all; it raises VoxrtcError. Nothing without a file."""

    def keep(document: dict[str, Any]) -> None:
        if file is None:
            return
        beside = file.with_name(f"{file.name}.part")
        try:
            beside.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            os.replace(beside, file)
        except OSError as error:
            raise VoxrtcError(f"{file}: cannot be written: {error.strerror or error}") from None

    return keep
