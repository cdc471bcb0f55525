"""The sound of a turn."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.dialogue.scripted import at_ms
from voxrtc.audio import BLOCK, Block
from voxrtc.dialogue.floor import Floor
from voxrtc.dialogue.turns import KEPT, POST_ROLL, PRE_ROLL, Turn, TurnAudio


def block(number: int) -> Block:
    return Block(number * BLOCK, np.arange(number * BLOCK, (number + 1) * BLOCK, dtype=np.float32))


@given(st.integers(0, 60 * BLOCK), st.integers(0, 60 * BLOCK), st.sets(st.integers(0, 49), min_size=1))
def test_cut_gives_each_sample_its_place(start: int, end: int, there: set[int]) -> None:
    audio = TurnAudio(60.0)
    for number in sorted(there):
        audio.add(block(number), needed_from=0)
    got = audio.cut(start, end)
    low = max(start, min(there) * BLOCK)
    high = max(low, min(end, (max(there) + 1) * BLOCK))
    wanted = [float(at) if at // BLOCK in there else 0.0 for at in range(low, high)]
    np.testing.assert_array_equal(got, wanted)


def test_nothing_heard_nothing_cut() -> None:
    assert TurnAudio(60.0).cut(0, 100).size == 0


def test_a_turn_comes_with_what_is_around_it() -> None:
    audio = TurnAudio(60.0)
    for number in range(200):
        audio.add(block(number), needed_from=None)
    turn = Turn(1, start=140 * BLOCK, end=150 * BLOCK)
    got = audio.of(turn, turn.end)
    assert got[0] == turn.start - PRE_ROLL
    assert got[-1] == turn.end + POST_ROLL - 1


def test_only_what_may_be_needed_is_kept() -> None:
    audio = TurnAudio(longest_s=10.0)
    for number in range(2000):
        audio.add(block(number), needed_from=None)
    now = 2000 * BLOCK
    assert audio.cut(0, now).size <= KEPT + BLOCK
    needed = now - at_ms(1000)
    for number in range(2000, 2200):
        audio.add(block(number), needed_from=needed)
    assert audio.cut(0, 2200 * BLOCK)[0] <= needed - PRE_ROLL
    for number in range(2200, 5000):
        audio.add(block(number), needed_from=needed)
    assert audio.cut(0, 5000 * BLOCK).size <= at_ms(10_000) + KEPT + BLOCK


def test_who_is_listened_to() -> None:
    assert [Floor("on", 160).listens(replying) for replying in (False, True)] == [True, True]
    assert [Floor("off", 160).listens(replying) for replying in (False, True)] == [True, False]
    button = Floor("push-to-talk", 160)
    assert not button.listens(False)
    button.pressed = True
    assert button.listens(True)


def test_who_interrupts() -> None:
    floor = Floor("on", 160)
    assert not floor.interrupts(Turn(1, start=0, end=at_ms(150)))
    assert floor.interrupts(Turn(1, start=0, end=at_ms(160)))
    assert not floor.interrupts(Turn(1, start=0, end=at_ms(300), paused=True))
    assert not Floor("off", 160).interrupts(Turn(1, start=0, end=at_ms(300)))
