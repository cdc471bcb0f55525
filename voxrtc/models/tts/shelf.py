"""Models that are loaded when they are wanted, and dropped when others are: least recently used first."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from voxrtc.errors import ModelsError, StoreError, Unloadable
from voxrtc.models.gpu import memory

T = TypeVar("T")

REMEDY = "lower models.gpu_memory_gb or server.max_calls, or take the voice out of tts.languages"
"""Where there is no memory for one of these."""


class Shelf(Generic[T]):
    """At most ``room`` things by key. For one thread."""

    def __init__(self, room: int, make: Callable[[str], T]) -> None:
        """``make``: loads what belongs to a key; may raise ModelsError or StoreError, or what memory that is too small
        raises, and is then asked again the next time."""
        assert room > 0
        self._room = room
        self._make = make
        self._things: OrderedDict[str, T] = OrderedDict()

    @property
    def keys(self) -> list[str]:
        """What is loaded, the one used last at the end."""
        return list(self._things)

    def get(self, key: str) -> T:
        """What belongs to ``key``, loaded if it is not there. Room is made first, so that memory never holds more.
        Raises Unloadable where it cannot be loaded; where memory ran out, nothing of it is left there."""
        if key not in self._things:
            while len(self._things) >= self._room:
                self._things.popitem(last=False)
                gc.collect()  # modules refer to themselves
            try:
                self._things[key] = memory.whole(lambda: self._make(key), REMEDY)
            except (ModelsError, StoreError) as error:
                raise Unloadable(str(error)) from error
        self._things.move_to_end(key)
        return self._things[key]
