"""Guesses: when they are made, what becomes of them, and that they give way."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.errors import GaveWay
from voxrtc.events import Notice, ReplyEnded, ReplyStarted, SpeculationDropped, TurnEnded
from voxrtc.metrics import Metrics
from voxrtc.models.wire import Answer, Heard, Said, ToolCall, Utterance

REPLY = "Yes, of course. I can do that for you, if you like."


def staged(models: ScriptedModels | None = None, **dialogue: object) -> Stage:
    stage = Stage(models, dialogue={"partial_every_ms": 0} | dialogue)
    stage.voice.say(500, 2000)
    return stage


@in_virtual_time
async def test_a_guess_is_asked_for_as_one_and_released_with_the_turn() -> None:
    stage = staged()
    async with stage.up():
        await stage.until(TurnEnded)
        (ask,) = stage.models.answers
        assert ask.guess
        assert stage.models.released == [ask.guess]
        await stage.until(ReplyEnded)
        await stage.session.submit_text("and now?")
        await stage.until(ReplyEnded, 2)
    assert stage.models.answers[1].guess == ""
    assert stage.models.spoken[1].guess == "", "what is voiced after the release is waited for"
    assert [e.speculated for e in stage.all(ReplyStarted)] == [True, False]


@in_virtual_time
async def test_the_first_clause_of_a_guess_is_voiced_as_one() -> None:
    stage = staged(ScriptedModels(asr_s=0.05, first_token_s=0.05, token_s=0.01))
    async with stage.up():
        await stage.until(TurnEnded)
    assert stage.models.spoken[0].guess == stage.models.answers[0].guess != ""


@pytest.mark.parametrize(
    ("mode", "others", "guessed"),
    [("always", True, True), ("idle", True, False), ("idle", False, True), ("off", False, False)],
)
def test_modes(mode: str, others: bool, guessed: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(ScriptedModels(others_answered=others), speculation=mode)
        async with stage.up():
            started = await stage.until(ReplyStarted)
            assert started.speculated is guessed

    scene()


@in_virtual_time
async def test_a_dropped_guess_is_told_and_counted() -> None:
    stage = staged()
    stage.voice.say(2400, 3500)
    metrics = Metrics()
    async with stage.up():
        await stage.until(ReplyEnded)
    (dropped,) = stage.all(SpeculationDropped)
    assert dropped.spent_ms == pytest.approx(300, abs=25)
    for event in stage.events:
        metrics.observe(event)
    text = metrics.expose().decode()
    assert 'voxrtc_speculation_total{outcome="kept"} 1.0' in text
    assert 'voxrtc_speculation_total{outcome="dropped"} 1.0' in text
    assert "voxrtc_speculation_wasted_seconds_total 0.3" in text
    counts = metrics.counts()
    assert (counts["turns"], counts["speculation_kept"], counts["speculation_dropped"]) == (1, 1, 1)


class Busy(ScriptedModels):
    """Gives way ``after_s`` seconds into the first guess."""

    def __init__(self, after: int, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.after = after

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        given = 0
        async for item in super().answer(ask):
            if ask.guess and given == self.after:
                raise GaveWay("another caller waits")
            given += 1
            yield item


@in_virtual_time
async def test_a_guess_that_gave_way_is_made_again_at_the_release() -> None:
    stage = staged(Busy(0, asr_s=0.1))
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    guess, real = stage.models.answers
    assert guess.guess
    assert real.guess == ""
    assert real.audio is not None
    assert len(stage.all(SpeculationDropped)) == 1
    assert stage.all(Notice) == []
    assert [e.speculated for e in stage.all(ReplyStarted)] == [False]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_guess_that_gives_way_in_the_moment_of_its_release(after: int) -> None:
    """The release and the giving way cross: nothing is lost, and nobody hears an apology."""

    @in_virtual_time
    async def scene() -> None:
        stage = staged(Busy(after, asr_s=0.7 if after == 0 else 0.3, first_token_s=0.35, token_s=0.1))
        async with stage.up():
            turn = await stage.until(TurnEnded)
            assert stage.all(SpeculationDropped) == []
            ended = await stage.until(ReplyEnded, 1 if after == 0 else 2)
            assert stage.time_of(stage.all(SpeculationDropped)[0]) > stage.time_of(turn)
        assert (ended.ended, ended.text) == ("finished", REPLY)
        assert stage.all(Notice) == []
        assert stage.session.memory.history() == [Utterance("user", "hello there"), Utterance("assistant", REPLY)]

    scene()


@in_virtual_time
async def test_a_guess_that_gives_way_while_it_is_heard_ends_with_what_there_is() -> None:
    stage = staged(Busy(6, token_s=0.2))
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", "Yes, of course.")
    assert stage.all(Notice) == []


@in_virtual_time
async def test_the_end_of_the_call_wastes_nothing() -> None:
    stage = staged()
    async with stage.up():
        await stage.until_state("listening")
        while not stage.models.answers:
            await stage.until(type(stage.events[-1]), len(stage.all(type(stage.events[-1]))) + 1)
        await stage.session.close("hangup")
    assert stage.all(SpeculationDropped) == []
