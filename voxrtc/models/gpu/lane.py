"""A stream of one's own on a GPU, so that one model's work does not queue behind another's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


class Lane:
    """Where the work of one model goes: before that of others on the device, and without gradients.

    By default all of a process's work is in one stream, whisper's too (CTranslate2): a step would then wait for the end
    of whatever was begun before it, however long that takes.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # weights were put there by the stream that was current till now
            self._stream = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """What is launched within goes there. Not around a ``yield`` of one's own."""
        with torch.inference_mode(), torch.cuda.stream(self._stream) if self._stream else contextlib.nullcontext():
            yield

    def finish(self) -> None:
        """Return when all that was launched there is done."""
        if self._stream is not None:
            self._stream.synchronize()
