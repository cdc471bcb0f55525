"""What listeners have of what comes when, and callers who are spoken to at once by a voice of a known speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from voxrtc.audio import SPOKEN_RATE, Samples
from voxrtc.bench.tts import texts
from voxrtc.bench.tts.callers import Plan, figures, joints, listen
from voxrtc.bench.tts.listener import Block, Reply, dry_ms
from voxrtc.errors import ModelsError, VoxrtcError


def tone(count: int, first: int = 0) -> Samples:
    return (0.3 * np.sin(2 * np.pi * 220 / SPOKEN_RATE * (first + np.arange(count)))).astype(np.float32)


def reply(*blocks: tuple[float, int, Samples]) -> Reply:
    return Reply(10.0, [Block(10.0 + at, clause, samples) for at, clause, samples in blocks])


def test_the_first_samples_are_the_first_audio() -> None:
    made = reply((0.25, 0, tone(2_400)), (0.3, 0, tone(4_800)), (0.4, 1, tone(2_400)))
    assert made.first_audio_ms == pytest.approx(250)
    assert made.took_s == pytest.approx(0.4)
    assert made.seconds == pytest.approx(0.4)
    assert made.joints() == ([2_400], [7_200])
    assert made.plays_until() == pytest.approx(10.65)
    assert Reply(10.0).joints() == ([], [])
    assert Reply(10.0).sound.size == 0


def test_a_listener_runs_dry_when_nothing_is_left_to_play() -> None:
    assert dry_ms([(0.0, 1.0), (0.9, 1.0), (2.0, 1.0)]) == []
    assert dry_ms([(0.0, 1.0), (1.2, 0.5), (1.8, 1.0)]) == pytest.approx([200, 100])
    assert dry_ms([(5.0, 0.1), (5.3, 0.1), (5.35, 0.1), (5.55, 1.0)]) == pytest.approx([200, 50])
    assert dry_ms([]) == []
    made = reply((0.0, 0, tone(2_400)), (0.3, 0, tone(2_400)))
    assert made.plays_until() == pytest.approx(10.4)


class Mouth:
    """A voice that gives a clause in two blocks, ``step`` higher at the joint within, one clause at a time."""

    def __init__(self, step: float = 0.0, fails: int = -1, silent: bool = False) -> None:
        self.step, self.fails, self.silent = step, fails, silent
        self.lock = asyncio.Lock()
        self.asked: list[tuple[int, int]] = []

    async def say(self, caller: int, turn: int) -> AsyncGenerator[tuple[int, Samples], None]:
        self.asked.append((caller, turn))
        if caller == self.fails:
            raise ModelsError("the voice is hoarse")
        for clause in range(0 if self.silent else 2):
            async with self.lock:
                await asyncio.sleep(0.002)
                at = clause * 4_800
                yield clause, tone(2_400, at)
                yield clause, tone(2_400, at + 2_400) + np.float32(self.step)


async def test_everybody_is_told_a_reply_and_those_who_have_time_another() -> None:
    mouth = Mouth()
    found = await listen(mouth, Plan(3, seconds=0.7, thinking_s=0.01))
    assert {caller for caller, _ in mouth.asked} == {0, 1, 2}
    assert len(found) == len(mouth.asked) > 3
    told = figures(found)
    assert told["replies"] == len(found)
    assert told["seconds_of_sound"] == pytest.approx(0.4 * len(found))
    assert 0 < told["first_audio_ms"]["p50"] <= told["first_audio_ms"]["p95"] <= told["first_audio_ms"]["max"]
    assert told["rtf"] > 0


async def test_all_at_one_instant_is_once() -> None:
    mouth = Mouth()
    found = await listen(mouth, Plan(4, seconds=9.0, together=True))
    assert sorted(mouth.asked) == [(caller, 0) for caller in range(4)]
    assert len({round(reply.asked, 1) for reply in found}) <= 2


async def test_clicks_are_counted_where_they_are() -> None:
    smooth, rough = Mouth(), Mouth(step=0.1)
    plan = Plan(1, seconds=0.0, thinking_s=0.0)
    clean = joints(await listen(smooth, plan))
    assert clean == {
        "joint_clicks": 0,
        "joints": {"within": {"clicks": 0, "of": 2}, "between": {"clicks": 0, "of": 1}},
        "clicks_by_chance": 0.0,
    }
    found = joints(await listen(rough, plan))
    assert found["joint_clicks"] == 3
    assert found["joints"]["within"] == {"clicks": 2, "of": 2}


async def test_a_voice_that_fails_is_told() -> None:
    with pytest.raises(VoxrtcError, match="hoarse"):
        await listen(Mouth(fails=1), Plan(2, seconds=0.0))
    with pytest.raises(VoxrtcError, match="said nothing"):
        await listen(Mouth(silent=True), Plan(1, seconds=0.0))


@pytest.mark.parametrize("language", list(texts.REPLIES))
def test_texts_are_cut_into_clauses(language: str) -> None:
    for clauses in texts.replies(language):
        assert len(clauses) > 1
        assert all(clause and clause[-1] in ",.?!" and "|" not in clause for clause in clauses)
        assert not any(sign.isdigit() for clause in clauses for sign in clause)


def test_a_language_without_texts_is_told() -> None:
    with pytest.raises(VoxrtcError, match="no text in 'xx'"):
        texts.replies("xx")
