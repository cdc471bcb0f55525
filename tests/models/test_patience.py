"""Files have time: in the host they come after what callers wait for, and looks go on beside them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import numpy as np
import pytest

from voxrtc.bench.virtual import in_virtual_time
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.embedded import Embedded
from voxrtc.models.remote.bound import Bound
from voxrtc.models.urgency import (
    AGAIN_S,
    FIRST,
    LAST,
    PATIENT,
    SPECULATIVE,
    WAITED_S,
    Traffic,
    Urgency,
    until_done,
)
from voxrtc.models.wire import Heard, Transcribe, pack
from voxrtc.models.worker import Job, Worker
from voxrtc.settings import Settings

PATIENCE_S = 20
FILE, TURN, LOOK = 0.1, 0.2, 0.3
"""The levels of the sounds, by which the stand-in knows them."""


class Ears:
    """STAND-IN for whisper: two native steps; of a file the first one waits to be let go."""

    compute = "none"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def hear(self, samples: np.ndarray, language: str | None, cancelled: Callable[[], bool]) -> Heard:
        name = {1: "file", 2: "turn", 3: "look"}[round(float(samples[0]) * 10)]
        if name == "file":
            self.begun.release()
            assert self.go.wait(PATIENCE_S)
        if not cancelled():
            self.heard.append(name)
            return Heard(name, "en", 1.0)
        self.heard.append(f"{name} stopped")
        return Heard("", "en", 0.0)


@pytest.fixture
async def profile() -> AsyncIterator[Embedded]:
    made = Embedded(Settings())
    made.hearing._whisper = Ears()  # type: ignore[assignment]
    yield made
    made.hearing._whisper.go.set()  # type: ignore[union-attr]
    await made.hearing.close()
    await made.thinking.close()
    await made.speaking.close()
    await made.reading.close()


def ask(level: float) -> Transcribe:
    return Transcribe(pack(np.full(1_600, level, np.float32)), "en", level == LOOK, level == FILE)


async def words(profile: Embedded, level: float) -> str:
    async with asyncio.timeout(PATIENCE_S):
        return "".join([heard.text async for heard in profile.transcribe(ask(level))])


async def test_a_turn_does_not_wait_for_a_file_which_is_begun_anew(profile: Embedded) -> None:
    ears: Ears = profile.hearing._whisper  # type: ignore[assignment]
    file = asyncio.create_task(words(profile, FILE))
    await asyncio.to_thread(ears.begun.acquire)
    assert await words(profile, TURN) == "turn"  # while the file is in its first step
    assert not file.done()
    ears.go.set()
    assert await file == "file"
    assert ears.heard == ["turn", "file stopped", "file"]


async def test_looks_take_turns_with_files(profile: Embedded) -> None:
    """One look waits for one piece of a file at the most, and does not cost that piece its work."""
    ears: Ears = profile.hearing._whisper  # type: ignore[assignment]
    files = [asyncio.create_task(words(profile, FILE)) for _ in range(4)]
    await asyncio.to_thread(ears.begun.acquire)
    look = asyncio.create_task(words(profile, LOOK))
    await asyncio.sleep(0)
    ears.go.set()
    assert await look == "look"
    assert await asyncio.gather(*files) == ["file"] * 4
    assert ears.heard[:2] == ["file", "look"]
    assert "file stopped" not in ears.heard


async def test_a_file_that_is_cancelled_leaves_its_place(profile: Embedded) -> None:
    ears: Ears = profile.hearing._whisper  # type: ignore[assignment]
    first, second = (asyncio.create_task(words(profile, FILE)) for _ in range(2))
    await asyncio.to_thread(ears.begun.acquire)
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    ears.go.set()
    assert await second == "file"


async def test_what_has_time_waits_for_guesses_too() -> None:
    traffic, began = Traffic(lambda level: None), asyncio.Event()

    async def work(level: int) -> AsyncGenerator[int, None]:
        began.set()
        yield level

    with traffic.joined(Urgency(SPECULATIVE)):
        task = asyncio.create_task(until_done(work, traffic))
        await asyncio.sleep(0)
        assert not began.is_set()
    assert await task == PATIENT


@in_virtual_time
async def test_what_has_waited_long_enough_waits_no_more() -> None:
    traffic, loop = Traffic(lambda level: None), asyncio.get_running_loop()
    levels: list[int] = []

    async def work(level: int) -> AsyncGenerator[int, None]:
        levels.append(level)
        if level != FIRST:
            raise GaveWay("for another")
        yield level

    with traffic.joined(Urgency()):  # a caller who never stops waiting for something
        assert await until_done(work, traffic) == FIRST
    assert (levels, loop.time()) == ([FIRST], pytest.approx(WAITED_S, abs=0.01))
    levels.clear()
    assert await until_done(work) == FIRST
    assert levels.count(PATIENT) == pytest.approx(WAITED_S / AGAIN_S, abs=2)


async def test_what_gives_way_is_begun_again_and_what_fails_is_not() -> None:
    tries = 0

    async def work(level: int) -> AsyncGenerator[int, None]:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise GaveWay("for another")
        yield tries

    assert await until_done(work) == 3

    async def broken(level: int) -> AsyncGenerator[int, None]:
        raise ModelsError("broken")
        yield 0

    with pytest.raises(ModelsError, match="broken"):
        await until_done(broken)


async def test_what_is_refused_for_something_newer_has_given_way() -> None:
    worker, begun, gate = Worker("test", 1), threading.Event(), threading.Event()

    def holding(job: Job[int]) -> None:
        begun.set()
        gate.wait(PATIENCE_S)

    async def run(work: Callable[[Job[int]], None], level: int) -> list[int]:
        return [item async for item in worker.stream(work, level)]

    running = asyncio.create_task(run(holding, FIRST))
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    waiting = asyncio.create_task(run(holding, LAST))
    await asyncio.sleep(0)
    newer = asyncio.create_task(run(lambda job: job.emit(1), FIRST))
    with pytest.raises(GaveWay, match="1 requests waiting"):
        await waiting
    gate.set()
    assert await newer == [1]
    await running
    await asyncio.to_thread(worker.close)


async def test_files_have_an_eighth_of_the_server_of_models_and_take_none_from_looks() -> None:
    bound, order = Bound(8), []

    async def file(name: str, hold: asyncio.Event) -> None:
        async with bound.place(Urgency(PATIENT)):
            order.append(name)
            await hold.wait()

    hold = asyncio.Event()
    tasks = [asyncio.create_task(file(name, hold)) for name in "ab"]
    await asyncio.sleep(0)
    assert order == ["a"]
    async with bound.place(Urgency(LAST)), bound.place(Urgency(LAST)):
        pass
    hold.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "b"]
