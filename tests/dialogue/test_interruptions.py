"""Whose word it is, in virtual time: scripted models and a scripted detector, so that every length is exact."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import MS_PER_CHAR, ScriptedModels
from voxrtc.audio import DUCK_DB, SPOKEN_BLOCK, SPOKEN_RATE
from voxrtc.bench.virtual import VirtualEars, VirtualMouth, in_virtual_time
from voxrtc.commands import Configure
from voxrtc.events import (
    FalseInterruption,
    Interrupted,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    StateChanged,
    Transcript,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)
from voxrtc.models.wire import Utterance
from voxrtc.settings import Dialogue

REPLY = "Well, there is a lot to be said about that, and I will say all of it. Every word of it, slowly."
ALWAYS, OFF = ("always", "off") if isinstance(Dialogue().speculation, str) else (True, False)
SPOKEN = (0.1 * np.sqrt(0.5)) * 10 ** (DUCK_DB / 20)


def staged(*words: str, reply: str = REPLY, **sections: object) -> Stage:
    stage = Stage(ScriptedModels(words=["tell me", *words], replies=[reply, "Fine."], by_turn=False), **sections)
    stage.voice.say(500, 1500)
    return stage


async def over_the_reply(stage: Stage, voice_ms: int, after_ms: int = 1500) -> int:
    """Let the caller be heard for so long, ``after_ms`` into the reply; returns where that begins, in ms."""
    metrics = await stage.until(TurnMetrics)
    start = round(stage.time_of(metrics) * 1000 / 20) * 20 + after_ms
    stage.voice.say(start, start + voice_ms)
    return start


def level(stage: Stage, since: float, until: float) -> list[float]:
    """RMS of the packets that left in between."""
    return [float(np.sqrt(np.mean(p.samples**2))) for p in stage.mouth.packets if since <= p.at < until]


def said_again(stage: Stage) -> float:
    """Seconds of sound that left beyond one whole reply."""
    whole = sum(len(s.text) * MS_PER_CHAR for s in stage.models.spoken if s.text != "Fine.") / 1000
    return stage.mouth.sound.size / SPOKEN_RATE - whole


@pytest.mark.parametrize("speculation", [True, False])
@pytest.mark.parametrize("words", ["Mhm.", "Yeah, okay.", ""])
def test_a_backchannel_gives_the_word_back(words: str, speculation: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(words, dialogue={"speculation": ALWAYS if speculation else OFF, "partial_every_ms": 0})
        if not speculation:
            stage.models.partials = [words]
        async with stage.up():
            start = await over_the_reply(stage, 400)
            false = await stage.until(FalseInterruption)
            resumed = asyncio.get_running_loop().time()
            assert stage.all(TurnDropped)[-1].reason == false.reason == ("backchannel" if words else "no words")
            ended = await stage.until(ReplyEnded)
        (interrupted,) = stage.all(Interrupted)
        assert interrupted.reply == false.reply == ended.reply == 1
        assert (ended.ended, ended.text) == ("finished", REPLY)
        # 300 ms for the words after a pause of 120 ms; the turn's end would have come after 600.
        assert resumed - (start + 400) / 1000 <= 0.46
        assert false.silent_ms == pytest.approx((resumed - stage.time_of(interrupted)) * 1000, abs=1)
        # It goes back by 0.2 to 0.5 s, and the memory does not notice.
        assert 0.15 <= said_again(stage) <= 0.56
        assert len(stage.all(ReplyStarted)) == 1
        assert [e.heard for e in stage.all(ReplySpoken)] == sorted(e.heard for e in stage.all(ReplySpoken))
        assert stage.session.memory.history() == [Utterance("user", "tell me"), Utterance("assistant", REPLY)]
        assert [e.state for e in stage.all(StateChanged)] == [
            "listening", "thinking", "speaking", "listening", "speaking", "listening",
        ]  # fmt: skip

    scene()


@pytest.mark.parametrize(("words", "voice_ms"), [("Stop.", 300), ("No.", 200), ("Yeah.", 700), ("Yeah, but", 500)])
def test_words_take_it(words: str, voice_ms: int) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(words)
        async with stage.up():
            await over_the_reply(stage, voice_ms)
            ended = await stage.until(ReplyEnded)
            await stage.until(ReplyEnded, 2)
        assert ended.ended == "interrupted"
        assert stage.all(FalseInterruption) == stage.all(TurnDropped) == []
        assert stage.models.answers[-1].history == [
            Utterance("user", "tell me"),
            Utterance("assistant", ended.text, interrupted=True),
        ]

    scene()


@pytest.mark.parametrize(
    ("reply", "answered"),
    [
        ("Shall I call?", True),
        ("There are two of them. Shall I call?", True),
        ("Shall I call them for you today or rather not? I can.", False),  # too early: hardly half of it was heard
    ],
)
def test_yes_answers_a_question_that_was_heard(reply: str, answered: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged("Yes.", reply=reply)
        async with stage.up():
            heard_ms = (len(reply) * MS_PER_CHAR - 100 if answered else 1300) - 160
            await over_the_reply(stage, 300, heard_ms // 20 * 20)
            await stage.until(ReplyEnded, 2 if answered else 1)
        assert [e.ended for e in stage.all(ReplyEnded)] == (["interrupted", "finished"] if answered else ["finished"])
        assert len(stage.all(FalseInterruption)) == (not answered)

    scene()


@in_virtual_time
async def test_applause_brings_the_reply_back_at_the_end_of_the_turn() -> None:
    stage = staged("")
    async with stage.up():
        start = await over_the_reply(stage, 1800)
        false = await stage.until(FalseInterruption)
        assert asyncio.get_running_loop().time() == pytest.approx((start + 1800 + 600) / 1000, abs=0.03)
        ended = await stage.until(ReplyEnded)
    assert false.reason == "no words"
    assert (ended.ended, ended.text) == ("finished", REPLY)


@in_virtual_time
async def test_who_keeps_the_floor_has_it_without_words() -> None:
    stage = staged("")
    async with stage.up():
        await over_the_reply(stage, 3500)
        ended = await stage.until(ReplyEnded)
        assert ended.ended == "interrupted"
        dropped = await stage.until(TurnDropped)
    assert dropped.reason == "no words"
    assert stage.all(FalseInterruption) == []


@in_virtual_time
async def test_partial_words_take_the_floor_before_the_turn_ends() -> None:
    stage = Stage(
        ScriptedModels(
            words=["tell me", "actually I wanted"],
            replies=[REPLY, "Fine."],
            partials=["actually I wanted"] * 9,
            asr_s=0.1,
        ),
        dialogue={"partial_every_ms": 300},
    )
    stage.voice.say(500, 1000)
    async with stage.up():
        start = await over_the_reply(stage, 2000)
        await stage.until(ReplyEnded)
        assert asyncio.get_running_loop().time() < (start + 1500) / 1000
        assert stage.session.memory.history()[-1].interrupted


@in_virtual_time
async def test_a_reply_that_went_on_and_is_stopped_again_is_remembered_right() -> None:
    stage = staged("Mhm.", "Mhm.", "Stop it.")
    async with stage.up():
        start = await over_the_reply(stage, 300)
        for count in (1, 2):
            await stage.until(FalseInterruption, count)
            # The second voice begins in what is being said again, the third later.
            start = round(asyncio.get_running_loop().time() * 1000 / 20) * 20 + (20 if count == 1 else 900)
            stage.voice.say(start, start + 300)
        ended = await stage.until(ReplyEnded)
        stops = [stage.time_of(e) for e in stage.all(Interrupted)]
        starts = [stage.time_of(stage.all(TurnMetrics)[0])] + [stage.time_of(e) for e in stage.all(FalseInterruption)]
    assert len(stops) == 3
    played = [sum(0.02 for p in stage.mouth.packets if a <= p.at <= b) for a, b in zip(starts, stops, strict=True)]
    assert sum(played) > 2.0
    # What is said again is the hum's quietest place in the 0.2 to 0.5 s before a stop; it never counts twice.
    heard = 0.0
    for seconds in played:
        heard = max(heard, max(0.0, heard - 0.5) + seconds) if heard else seconds
    assert len(ended.text) * MS_PER_CHAR / 1000 <= sum(played) - 0.2
    assert len(ended.text) * MS_PER_CHAR / 1000 >= heard - 0.3
    assert REPLY.startswith(ended.text)


@in_virtual_time
async def test_the_first_sign_ducks_and_what_follows_decides() -> None:
    stage = staged("Mhm.")
    async with stage.up():
        start = await over_the_reply(stage, 140)
        ended = await stage.until(ReplyEnded)
    assert ended.ended == "finished"
    assert stage.all(Interrupted) == stage.mouth.flushes[:-1] == []
    loud = 0.1 * np.sqrt(0.5)
    # Voice is known 120 ms after it began, its end 120 ms after that: soft in between, a packet's ramp on each side.
    begin, end = start / 1000, (start + 140) / 1000
    np.testing.assert_allclose(level(stage, begin - 0.5, begin + 0.12), loud, rtol=0.02)
    np.testing.assert_allclose(level(stage, begin + 0.16, end + 0.12), SPOKEN, rtol=0.02)
    np.testing.assert_allclose(level(stage, end + 0.18, end + 1.0), loud, rtol=0.02)


@in_virtual_time
async def test_what_went_on_is_as_loud_as_before() -> None:
    stage = staged("Mhm.")
    async with stage.up():
        await over_the_reply(stage, 300)
        await stage.until(FalseInterruption)
        now = asyncio.get_running_loop().time()
        await stage.until(ReplyEnded)
    assert level(stage, now, now + 0.025)[0] < 0.06  # it comes in softly
    np.testing.assert_allclose(level(stage, now + 0.06, now + 1.0), 0.1 * np.sqrt(0.5), rtol=0.02)


@in_virtual_time
async def test_nothing_is_said_after_a_stop_though_more_comes_in_at_that_moment() -> None:
    """The player is cancelled, but may yet run for a step; it must not fill the flushed mouth."""
    stage = staged("Stop.")
    async with stage.up():
        await over_the_reply(stage, 1000)
        await stage.until(Interrupted)
        clause = stage.session._assistant.giving.held.reply.clauses[-1]  # type: ignore[union-attr]
        clause.speech.append((np.full(SPOKEN_BLOCK, 0.5, np.float32), 0, 1))
        size = len(stage.mouth.packets)
        await asyncio.sleep(0.5)
        assert len(stage.mouth.packets) == size


@pytest.mark.parametrize("way", ["text", "button", "close"])
def test_a_held_reply_is_over_once_something_else_takes_its_place(way: str) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged("Mhm.")
        async with stage.up():
            await over_the_reply(stage, 400)
            await stage.until(Interrupted)
            if way == "text":
                await stage.session.submit_text("something else")
            elif way == "button":
                stage.session.interrupt()
            else:
                await stage.session.close("hangup")
            assert [e.ended for e in stage.all(ReplyEnded)] == ["interrupted"]
            await asyncio.sleep(0 if way == "close" else 3)
        assert stage.all(FalseInterruption) == []
        assert stage.session.memory.exchanges[0].interrupted
        assert len(stage.all(Interrupted)) == 1

    scene()


@in_virtual_time
async def test_going_on_while_the_words_are_looked_for_keeps_the_reply_held() -> None:
    """The turn ended, its words are not known yet, and the caller speaks again: both are one turn, then judged."""
    stage = staged("Yes, I", "Yes, I would like that", dialogue={"speculation": OFF, "partial_every_ms": 0})
    stage.models.asr_s = 0.9
    async with stage.up():
        start = await over_the_reply(stage, 400)
        stage.voice.say(start + 1300, start + 1900)
        await stage.until(Interrupted)
        ended = await stage.until(ReplyEnded)
        await stage.until(ReplyEnded, 2)
    assert ended.ended == "interrupted"
    assert "continued" in [e.reason for e in stage.all(TurnDropped)]
    assert stage.all(FalseInterruption) == []
    assert [e.text for e in stage.all(Transcript) if e.final][-1] == "Yes, I would like that"


@in_virtual_time
async def test_a_caller_who_is_lost_with_a_reply_held() -> None:
    stage = staged("Mhm.")
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await over_the_reply(stage, 400)
        await stage.until(Interrupted)
        stage.ears.hang_up()
        await running
    await asyncio.sleep(2.0)
    assert len(stage.all(FalseInterruption)) == 1
    stage.ears, stage.mouth = VirtualEars(), VirtualMouth()
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)


@in_virtual_time
async def test_the_text_of_a_held_reply_is_told_on() -> None:
    stage = staged("Mhm.")
    stage.models.token_s = 0.15
    async with stage.up():
        await over_the_reply(stage, 300, after_ms=400)
        await stage.until(ReplyEnded)
    assert "".join(e.text for e in stage.all(ReplyText)) == REPLY


@in_virtual_time
async def test_off_neither_ducks_nor_stops() -> None:
    stage = staged("Stop.", dialogue={"interruptions": "off", "partial_every_ms": 0})
    async with stage.up():
        await over_the_reply(stage, 800)
        ended = await stage.until(ReplyEnded)
    assert ended.ended == "finished"
    np.testing.assert_allclose(level(stage, 0, ended.at / 16000 - 0.05), 0.1 * np.sqrt(0.5), rtol=0.02)


@in_virtual_time
async def test_switching_while_a_reply_is_held_ends_it() -> None:
    stage = staged("Mhm.")
    async with stage.up():
        await over_the_reply(stage, 400)
        await stage.until(Interrupted)
        stage.session.configure(Configure(interruptions="off"))
        await asyncio.sleep(2)
    assert stage.all(ReplyEnded)[0].ended == "interrupted"
    assert stage.all(FalseInterruption) == []
    assert stage.all(TurnEnded)[1].at == stage.all(TurnDropped)[0].at == stage.all(ReplyEnded)[0].at
