"""When a GPU's memory is too small: told as what to do about it, with nothing of the attempt left behind."""

from __future__ import annotations

import contextlib
import gc
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from voxrtc.errors import ModelsError

T = TypeVar("T")


def is_out(error: BaseException) -> bool:
    """Whether memory ran out; told from the GPU's libraries by their words, without importing torch."""
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()


@contextlib.contextmanager
def sentence(remedy: str) -> Iterator[None]:
    """A GPU's lack of memory within is raised as a ModelsError that says what helps: ``remedy``, after a colon."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ModelsError) or not is_out(error):
            raise
        free(error)
        raise ModelsError(f"the GPU ran out of memory: {remedy}") from None


def whole(make: Callable[[], T], remedy: str) -> T:
    """What ``make`` loads. Where memory runs out meanwhile, what was half loaded is let go, and a ModelsError says
    what helps (``remedy``): nothing of it may be held by any frame but those that ``make`` began."""
    with sentence(remedy):
        return make()


def free(error: BaseException) -> None:
    """Let go of what the frames that ``error`` went through held, and give it back to the device."""
    if error.__traceback__ is not None:
        traceback.clear_frames(error.__traceback__)  # those that still run keep what they have
    gc.collect()  # modules refer to themselves
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
