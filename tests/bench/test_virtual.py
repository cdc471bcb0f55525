"""Virtual time, and the ears and mouth in it."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_BLOCK, Mark
from voxrtc.bench.virtual import Stuck, VirtualEars, VirtualMouth, in_virtual_time, run


def test_an_hour_takes_no_time() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(main()) == pytest.approx(3600)
    assert time.monotonic() - began < 60


def test_things_happen_in_the_order_they_are_due() -> None:
    seen = []

    async def note(delay: float) -> None:
        await asyncio.sleep(delay)
        seen.append(delay)

    async def main() -> None:
        await asyncio.gather(*(note(delay) for delay in (0.3, 0.1, 0.2)))

    run(main())
    assert seen == [0.1, 0.2, 0.3]


def test_what_would_hang_raises() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run(main())


@in_virtual_time
async def test_threads_compute_on_the_spot() -> None:
    assert await asyncio.to_thread(sum, [1, 2]) == 3
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 / 0)


@in_virtual_time
async def test_ears_give_each_block_when_it_was_spoken() -> None:
    loop = asyncio.get_running_loop()
    ears = VirtualEars()
    ears.say(np.ones(BLOCK + 10, np.float32), at=BLOCK)
    ears.hang_up(at=4 * BLOCK)
    given = [(loop.time(), block) async for block in ears]
    assert [at for at, _ in given] == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert [block.position for _, block in given] == [0, BLOCK, 2 * BLOCK, 3 * BLOCK]
    assert [float(block.samples.sum()) for _, block in given] == [0, BLOCK, 10, 0]


@in_virtual_time
async def test_nothing_can_be_said_in_the_past() -> None:
    ears = VirtualEars(noise_dbfs=-40)
    async for block in ears:
        assert 0.005 < np.std(block.samples) < 0.02
        break
    ears.position = HEARD_RATE
    with pytest.raises(ValueError, match="given already"):
        ears.say(np.ones(10, np.float32), at=0)


@in_virtual_time
async def test_a_mouth_speaks_in_real_time_and_counts() -> None:
    loop = asyncio.get_running_loop()
    first, second = Mark(), Mark()
    async with VirtualMouth() as mouth:
        await mouth.play(np.full(SPOKEN_BLOCK + 100, 0.1, np.float32), first)
        await mouth.play(np.full(SPOKEN_BLOCK, 0.2, np.float32), second)
        await second.begun.wait()
        assert (first.heard, second.heard) == (SPOKEN_BLOCK + 100, SPOKEN_BLOCK - 100)
        await mouth.drained()
        assert second.heard == second.queued == SPOKEN_BLOCK
    assert first.begun_at is not None
    assert second.begun_at == pytest.approx(first.begun_at + 0.02)
    assert loop.time() == pytest.approx(first.begun_at + 0.04)
    assert len(mouth.packets) == 3


@in_virtual_time
async def test_flush_drops_what_has_not_left() -> None:
    mark = Mark()
    async with VirtualMouth() as mouth:
        await mouth.play(np.zeros(10 * SPOKEN_BLOCK, np.float32), mark)
        await mark.begun.wait()
        mouth.flush()
        await mouth.drained()
        await asyncio.sleep(1)
    assert mark.heard == SPOKEN_BLOCK
    assert len(mouth.packets) == 1


@in_virtual_time
async def test_play_waits_while_too_much_is_queued() -> None:
    loop = asyncio.get_running_loop()
    async with VirtualMouth(ahead_s=1.0) as mouth:
        for _ in range(3):
            await mouth.play(np.zeros(50 * SPOKEN_BLOCK, np.float32), Mark())
        assert loop.time() == pytest.approx(1.0, abs=0.05)
