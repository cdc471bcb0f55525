"""A profile for tests that does what the words it is given say, in a real host process.

Start it with ``--profile-factory scripted:make`` and this folder on PYTHONPATH (the fixture ``scripted`` does both).
``answer`` obeys its text, ``speak`` its clause, and ``prepare`` knows ``hold``:

- ``count N``: N pieces "0 ", "1 " ... as fast as they are taken (speak: N blocks of 480 samples)
- ``slow NAME``: "begun", then a piece every 10 ms, for ever; NAME is remembered once it has been closed
- ``hold NAME``: "begun", then nothing, for ever; NAME is remembered once it has been closed
- ``until closed NAME``: waits until the stream NAME has been closed, then says so
- ``urgency``: how urgent the ask is, now and once it is released; ``way``: gives way
- ``refuse``, ``fail``, ``die``: ModelsError; an error of the model's own; kill -9 of the host
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import AsyncGenerator

import numpy as np

from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.profiles import Progress
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.wire import (
    Answer,
    Ending,
    Ends,
    Heard,
    Prepare,
    Ready,
    Said,
    Speak,
    Speech,
    ToolCall,
    Transcribe,
    pack,
    unpack,
)
from voxrtc.settings import Settings

WARM = Ready(
    profile="scripted",
    hears="ears",
    thinks="script",
    speaks="beeps",
    voices={"beep": ["en"]},
    hears_languages=["en"],
    load_s=0.0,
)


class Scripted:
    def __init__(self, settings: Settings) -> None:
        self._closed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def load(self, progress: Progress) -> Ready:
        await asyncio.to_thread(progress, "loading the script", 0.5)
        return WARM

    async def transcribe(self, ask: Transcribe) -> AsyncGenerator[Heard, None]:
        yield Heard(f"{unpack(ask.audio).size} samples, partial {ask.partial}", ask.language or "en", 1.0)

    async def answer(self, ask: Answer, urgency: Urgency) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        if ask.audio is not None:
            yield Heard("something", "en", 1.0)
        command, _, rest = (ask.text or "count 1").partition(" ")
        match command:
            case "count":
                for number in range(int(rest)):
                    yield Said(f"{number} ")
            case "slow" | "hold":
                try:
                    yield Said("begun")
                    while True:
                        await asyncio.sleep(0.01 if command == "slow" else 3600)
                        yield Said(".")
                finally:
                    self._closed[rest].set()
            case "until":
                await self._closed[rest.removeprefix("closed ")].wait()
                yield Said("closed")
            case "urgency":
                yield Said(str(urgency.level))
                released = asyncio.Event()
                urgency.on_release = released.set
                if urgency.level == SPECULATIVE:
                    await released.wait()
                yield Said(str(urgency.level))
            case "way":
                raise GaveWay("another caller waits")
            case "refuse":
                raise ModelsError("this is not to be answered")
            case "fail":
                raise RuntimeError(f"secret words: {rest}")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                yield Said(f"{ask.text}?")

    async def prepare(self, ask: Prepare) -> AsyncGenerator[Said, None]:
        command, _, name = ask.text.partition(" ")
        try:
            if command == "hold":
                await asyncio.sleep(3600)
        finally:
            self._closed[name].set()
        return
        yield Said("")

    async def ends(self, ask: Ends) -> AsyncGenerator[Ending, None]:
        if ask.text == "refuse":
            raise ModelsError("this is not to be read")
        yield Ending(len(ask.text) / 100 if ask.language == "en" else -1.0)

    async def speak(self, ask: Speak, urgency: Urgency) -> AsyncGenerator[Speech, None]:
        count = int(ask.text.removeprefix("count ")) if ask.text.startswith("count ") else 1
        for number in range(count):
            yield Speech(pack(np.full(480, number, np.float32)), 0, len(ask.text))

    async def close(self) -> None:
        pass


class Unloadable(Scripted):
    async def load(self, progress: Progress) -> Ready:
        raise ModelsError("there is no model here; fetch one")


class Buggy(Scripted):
    async def load(self, progress: Progress) -> Ready:
        raise ZeroDivisionError("oh")


class Endless(Scripted):
    """Never loaded, and its loading cannot be cancelled."""

    async def load(self, progress: Progress) -> Ready:
        await asyncio.to_thread(time.sleep, 3600)
        return WARM


class Fetching(Scripted):
    """Takes longer to fetch than a load may last."""

    async def load(self, progress: Progress) -> Ready:
        progress("fetching a-model", 0.1)
        await asyncio.sleep(5.5)
        progress("loading a-model", 0.5)
        return WARM


class Dying(Scripted):
    """Dies while it loads, with words about why."""

    async def load(self, progress: Progress) -> Ready:
        os.write(2, b"terminate called: no such instruction\n")
        os._exit(7)


make, unloadable, buggy, endless, fetching, dying = Scripted, Unloadable, Buggy, Endless, Fetching, Dying
