"""The clips that voices were made of, kept in memory on the dialogue's side: a host that is started again has none.

A clip is given to the new host when its voice is first to speak there, so a restart takes no longer for them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import msgspec
import numpy as np

from voxrtc.audio import Samples
from voxrtc.errors import ModelsError
from voxrtc.models.chatterbox import clips
from voxrtc.models.connection import Connection
from voxrtc.models.wire import Clone, Cloned, Ready, pack

MOST = 64
"""Clips that are kept; of more, the oldest is forgotten. One of 10 s at 24 kHz has 0.5 MB."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all of them, where they have more samples a second."""


@dataclass(slots=True)
class Kept:
    """One clip, ``pcm``: 16-bit samples, which is how the host got it. ``holder``: the connection to the host that has
    its voice, None where that is not known."""

    pcm: bytes
    rate: int
    languages: list[str]
    holder: Connection | None


class Clones:
    """All clips that were accepted. What is asked of the host about them goes one after another."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._changing = asyncio.Lock()

    def beside(self, ready: Ready | None) -> Ready | None:
        """``ready`` with these voices."""
        if ready is None or not self._kept:
            return ready
        own = {name: kept.languages for name, kept in self._kept.items()}
        return msgspec.structs.replace(ready, voices=ready.voices | own, clones=list(own))

    async def add(self, connection: Connection, name: str, samples: Samples, rate: int) -> list[str]:
        """Have the host make the voice ``name`` of ``samples`` (n,) at ``rate`` Hz; keep the clip once it has. Returns
        the voice's languages. Raises BadClip, ModelsError; one of that name that was kept is kept on then."""
        pcm = _pcm(clips.cut(samples, rate, clips.THE_CLIP))
        async with self._changing:
            try:
                languages = await _give(connection, name, pcm, rate)
            except BaseException:
                if name in self._kept:
                    self._kept[name].holder = None  # nobody knows whose voice the host has by now
                raise
            self._kept.pop(name, None)  # the newest comes last
            self._kept[name] = Kept(pcm, rate, languages, connection)
            while len(self._kept) > MOST or sum(len(kept.pcm) for kept in self._kept.values()) > MOST_BYTES:
                oldest, _ = self._kept.popitem(last=False)
                connection.forget(oldest)
        return languages

    async def give(self, connection: Connection, name: str) -> None:
        """See to it that the host at ``connection`` has the voice ``name``, if that is of a clip. Raises
        ModelsError."""
        if self._held(connection, name):
            return
        async with self._changing:
            if self._held(connection, name):
                return  # another clause of it was first
            kept = self._kept[name]
            kept.languages = await _give(connection, name, kept.pcm, kept.rate)
            kept.holder = connection

    async def remove(self, connection: Connection | None, name: str) -> bool:
        """Forget the voice ``name``, here and in the host, if there is one; whether there was a clip of it."""
        async with self._changing:
            kept = self._kept.pop(name, None)
            if kept is None:
                return False
            for one in {connection, kept.holder}:
                if one is not None:
                    one.forget(name)
        return True

    def _held(self, connection: Connection, name: str) -> bool:
        """Whether nothing need be given."""
        kept = self._kept.get(name)
        return kept is None or kept.holder is connection


async def _give(connection: Connection, name: str, pcm: bytes, rate: int) -> list[str]:
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32_768)
    stream = await connection.ask(Clone(name, pack(samples), rate))
    languages: list[str] = []
    try:
        while (item := await stream.next()) is not None:
            if not isinstance(item, Cloned):
                raise ModelsError(f"the host answered Clone with {type(item).__name__}")
            languages = item.languages
    finally:
        stream.close()
    return languages


def _pcm(samples: Samples) -> bytes:
    """Exact for what was 16 bits before, as most clips were."""
    return np.clip(np.round(samples * 32_768.0), -32_768, 32_767).astype("<i2").tobytes()
