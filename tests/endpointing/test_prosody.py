"""Smart Turn on recorded speech: what sounds finished, and who may be judged at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.endpointing.sounds import clip, silence
from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.endpointing.prosody import SECONDS, WAITING, Prosody
from voxrtc.models import store
from voxrtc.settings import Settings

pytestmark = pytest.mark.models

PATIENCE_S = 20
NOTHING = np.zeros(100, np.float32)


def network() -> Path:
    folder = store.ensure("smart-turn-v3.2", Settings().models.cache_path, lambda what, fraction: None)
    return next(folder.glob("*.onnx"))


@pytest.fixture(scope="module")
def prosody() -> Iterator[Prosody]:
    one = Prosody(network())
    yield one
    one.close()


@pytest.mark.parametrize("name", ["austen-0870", "austen-0890", "austen-0920", "jfk"])
def test_a_sentence_that_is_over_sounds_so(prosody: Prosody, name: str) -> None:
    assert prosody.judge(clip(name)) > 0.8


@pytest.mark.parametrize("name", ["austen-0880", "austen-0930"])
def test_a_sentence_that_breaks_off_sounds_so(prosody: Prosody, name: str) -> None:
    """ "He was not an ill-disposed young man, unless to be ..." """
    assert prosody.judge(clip(name)) < 0.3


def test_how_loud_it_is_does_not_matter(prosody: Prosody) -> None:
    for name in ("austen-0870", "austen-0880"):
        assert prosody.judge(clip(name) * 0.05) == pytest.approx(prosody.judge(clip(name)), abs=0.05)


def test_only_the_last_seconds_count(prosody: Prosody) -> None:
    last = np.concatenate([clip("austen-0880"), clip("austen-0870")])[-SECONDS * HEARD_RATE :]
    assert last.size == SECONDS * HEARD_RATE
    assert prosody.judge(np.concatenate([clip("jfk"), last])) == prosody.judge(last)
    padded = np.concatenate([np.zeros(SECONDS * HEARD_RATE - 16_000, np.float32), last[-16_000:]])
    assert prosody.judge(last[-16_000:]) == prosody.judge(padded), "less is filled up with silence before it"


@pytest.mark.parametrize("size", [0, 1, 160, SECONDS * HEARD_RATE])
def test_whatever_it_is_given_it_gives_a_probability(prosody: Prosody, size: int) -> None:
    assert 0.0 <= prosody.judge(np.zeros(size, np.float32)) <= 1.0
    assert 0.0 <= prosody.judge(silence(size / 16, -30)) <= 1.0


async def test_the_loop_goes_on_while_it_is_judged(prosody: Prosody, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same result, from another thread, of which there is one."""
    on: list[int] = []
    judge = prosody.judge
    monkeypatch.setattr(prosody, "judge", lambda samples: on.append(threading.get_ident()) or judge(samples))
    samples = clip("austen-0870")
    async with asyncio.timeout(PATIENCE_S):
        found = await asyncio.gather(*(prosody.judged(samples) for _ in range(3)))
    assert found == [judge(samples)] * 3
    assert len(set(on)) == 1
    assert on[0] != threading.get_ident()


class Held:
    """Judgements that last until they are let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.judged = 0

    def __call__(self, samples: Samples) -> float:
        assert self.let_go.wait(PATIENCE_S)
        self.judged += 1
        return 0.5


@pytest.fixture
def held(prosody: Prosody, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    monkeypatch.setattr(prosody, "judge", held)
    yield held
    held.let_go.set()


async def waiting(prosody: Prosody, count: int) -> list[asyncio.Task[object]]:
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(prosody.judged(NOTHING)) for _ in range(count)]
    await asyncio.sleep(0)  # one round: each has been queued
    return tasks


async def test_one_too_many_is_told_so_at_once(prosody: Prosody, held: Held) -> None:
    tasks = await waiting(prosody, WAITING)
    assert await prosody.judged(NOTHING) is None
    held.let_go.set()
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*tasks) == [0.5] * WAITING
        assert await prosody.judged(NOTHING) == 0.5, "there is room again"


async def test_who_no_longer_waits_is_not_judged_and_leaves_room(prosody: Prosody, held: Held) -> None:
    tasks = await waiting(prosody, WAITING)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    held.let_go.set()
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*(prosody.judged(NOTHING) for _ in range(WAITING))) == [0.5] * WAITING
    assert held.judged <= WAITING + 1, "only the one that was under way was judged in vain"


async def test_a_judgement_that_fails_leaves_room(prosody: Prosody, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(samples: Samples) -> float:
        raise RuntimeError("the network broke")

    monkeypatch.setattr(prosody, "judge", fail)
    for _ in range(WAITING + 1):
        with pytest.raises(RuntimeError, match="the network broke"):
            await prosody.judged(NOTHING)


def test_closing_ends_the_thread() -> None:
    before = {thread for thread in threading.enumerate() if thread.name.startswith("prosody")}

    async def judge_and_close() -> None:
        one = Prosody(network())
        await one.judged(NOTHING)
        one.close()

    asyncio.run(judge_and_close())
    assert {thread for thread in threading.enumerate() if thread.name.startswith("prosody")} <= before
