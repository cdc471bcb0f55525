"""Silence, the longest a call may be, and how it is ended: with a question, with a goodbye."""

from __future__ import annotations

import asyncio

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from voxrtc.bench.virtual import VirtualEars, VirtualMouth, in_virtual_time
from voxrtc.commands import Configure
from voxrtc.dialogue.phrases import GOODBYE, STILL_THERE
from voxrtc.errors import ModelsError
from voxrtc.events import CallEnded, CallStarted, Interrupted, Notice, ReplyEnded, ReplyStarted, ReplyText, Transcript
from voxrtc.models.wire import Utterance

ASKS = STILL_THERE["en"]
LEAVES = GOODBYE["en"]


def staged(models: ScriptedModels | None = None, **dialogue: object) -> Stage:
    return Stage(models, dialogue={"partial_every_ms": 0, "idle_prompt_s": 10.0, "idle_hangup_s": 60.0} | dialogue)


def said(stage: Stage) -> str:
    return "".join(e.text for e in stage.all(ReplyText))


async def to_its_end(stage: Stage) -> float:
    """Run the call until it ends by itself; returns the time."""
    async with stage.mouth:
        await stage.session.run(stage.ears, stage.mouth)
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_silent_caller_is_asked_once_and_then_hung_up_on() -> None:
    stage = staged()
    ended_at = await to_its_end(stage)
    assert [e.text for e in stage.all(ReplyEnded)] == [ASKS, LEAVES]
    first, last = stage.all(ReplyStarted)
    assert 10.0 <= stage.time_of(first) <= 10.1
    assert 60.0 <= stage.time_of(last) <= 60.1
    assert ended_at < 63
    (ended,) = stage.all(CallEnded)
    assert ended.reason == "expired"
    assert "60 seconds" in ended.detail
    assert stage.all(ReplyEnded)[1].ended == "finished"
    assert stage.models.answers == []


@in_virtual_time
async def test_the_silence_is_counted_from_the_end_of_the_last_words() -> None:
    stage = staged()
    stage.voice.say(500, 2000)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
        spoke_until = stage.time_of(ended)
        asked = await stage.until(ReplyStarted, 2)
        assert 10.0 <= stage.time_of(asked) - spoke_until <= 10.1
        await stage.until(ReplyEnded, 2)
        await stage.session.submit_text("yes, I am here")
        answered = await stage.until(ReplyEnded, 3)
        again = await stage.until(ReplyStarted, 4)
        assert 10.0 <= stage.time_of(again) - stage.time_of(answered) <= 10.1
    history = stage.models.answers[1].history
    assert history[-1].role == "assistant"
    assert ASKS[:6] in history[-1].text, "what the caller answers to is known"


@in_virtual_time
async def test_noise_is_no_word() -> None:
    """Sound that turns out to hold no words delays the question, and brings no second one."""
    stage = Stage(
        ScriptedModels(words=[""]), dialogue={"idle_prompt_s": 10.0, "idle_hangup_s": 60.0, "partial_every_ms": 0}
    )
    stage.voice.say(5000, 6000)
    stage.voice.say(30_000, 31_000)
    async with stage.up():
        asked = await stage.until(ReplyStarted)
        assert stage.time_of(asked) > 16
        await asyncio.sleep(55)
    assert said(stage) == ASKS


@in_virtual_time
async def test_no_question_where_none_is_wanted() -> None:
    stage = staged(idle_prompt_s=0.0)
    await to_its_end(stage)
    assert said(stage) == LEAVES


@in_virtual_time
async def test_who_holds_the_button_is_there() -> None:
    stage = staged(interruptions="push-to-talk")
    async with stage.up():
        stage.session.push_to_talk(True)
        await asyncio.sleep(25)
        assert stage.all(ReplyStarted) == []
        stage.session.push_to_talk(False)
        await stage.until(ReplyStarted)
    assert said(stage) == ASKS


@in_virtual_time
async def test_the_language_of_the_call_is_spoken() -> None:
    for settings, language, asks in (("es", "es", "es"), ("auto", "en", "en"), ("ta", "en", "en")):
        stage = staged(language=settings)
        async with stage.up():
            await stage.until(ReplyEnded)
        assert [(s.language, s.text) for s in stage.models.spoken] == [(language, STILL_THERE[asks])]


@in_virtual_time
async def test_with_auto_it_is_the_language_that_was_heard() -> None:
    class German(ScriptedModels):
        async def answer(self, ask):  # type: ignore[no-untyped-def]
            import msgspec

            async for item in super().answer(msgspec.structs.replace(ask, language="de")):
                yield item

    stage = Stage(German(), dialogue={"language": "auto", "idle_prompt_s": 5.0, "partial_every_ms": 0})
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded, 2)
    assert stage.models.spoken[-1].text == STILL_THERE["de"]
    assert stage.models.spoken[-1].language == "de"


@in_virtual_time
async def test_models_that_fail_do_not_keep_the_call_up() -> None:
    stage = Stage(
        ScriptedModels(fail=lambda verb, given: ModelsError("no voice")),
        dialogue={"idle_prompt_s": 10.0, "idle_hangup_s": 20.0},
    )
    assert await to_its_end(stage) < 31
    assert [e.code for e in stage.all(Notice)] == ["models_failed", "models_failed"]
    assert stage.all(CallEnded)[0].reason == "expired"


@in_virtual_time
async def test_models_that_hang_do_not_keep_the_call_up() -> None:
    stage = Stage(ScriptedModels(voice_s=3600.0), dialogue={"idle_prompt_s": 0.0, "idle_hangup_s": 20.0})
    assert await to_its_end(stage) < 31


@in_virtual_time
async def test_a_call_at_its_longest_ends_with_a_goodbye() -> None:
    stage = staged(max_call_s=30.0, idle_prompt_s=0.0)
    assert 30 < await to_its_end(stage) < 33
    assert said(stage) == LEAVES
    assert "30 seconds" in stage.all(CallEnded)[0].detail


@in_virtual_time
async def test_nobody_is_cut_short_at_once() -> None:
    stage = staged(max_call_s=10.0)
    stage.voice.say(9000, 11_000)
    await to_its_end(stage)
    assert [e.ended for e in stage.all(ReplyEnded)] == ["finished", "finished"]
    assert said(stage).endswith(LEAVES)
    assert len(stage.all(Transcript)) > 0


@in_virtual_time
async def test_but_not_for_ever() -> None:
    stage = staged(max_call_s=10.0)
    stage.voice.say(9000, 200_000)
    assert 25 < await to_its_end(stage) < 29
    assert said(stage) == LEAVES


@in_virtual_time
async def test_a_reply_that_the_goodbye_cuts_short_was_not_interrupted() -> None:
    stage = staged(ScriptedModels(replies=["It is a long story. " * 200]), max_call_s=10.0)
    stage.voice.say(5000, 7000)
    await to_its_end(stage)
    assert [e.ended for e in stage.all(ReplyEnded)] == ["interrupted", "finished"]
    assert stage.all(Interrupted) == []


@in_virtual_time
async def test_a_goodbye_is_not_argued_with() -> None:
    stage = staged(idle_prompt_s=0.0, idle_hangup_s=10.0)
    stage.voice.say(10_300, 12_000)

    async def type_in() -> None:
        await asyncio.sleep(10.5)
        await stage.session.submit_text("wait!")
        stage.session.configure(Configure(language="de"))

    typing = asyncio.create_task(type_in())
    await to_its_end(stage)
    await typing
    assert stage.all(ReplyEnded)[0].ended == "finished"
    assert stage.models.answers == []


@in_virtual_time
async def test_a_caller_who_leaves_during_the_goodbye() -> None:
    stage = staged(idle_prompt_s=0.0, idle_hangup_s=10.0)
    stage.ears.hang_up(at=16_000 * 11)
    await to_its_end(stage)
    await stage.until(CallEnded)
    assert asyncio.get_running_loop().time() < 22


@in_virtual_time
async def test_without_a_limit_a_call_goes_on() -> None:
    stage = staged(max_call_s=0.0, idle_prompt_s=0.0, idle_hangup_s=86_400.0)
    async with stage.up():
        await asyncio.sleep(4000)
    assert stage.all(ReplyStarted) == []


@in_virtual_time
async def test_everything_survives_a_reconnection() -> None:
    """Language, voice, interruptions, functions, memory: it is the same session."""
    stage = staged()
    spec = {"name": "tides", "description": "", "parameters": {"type": "object"}}
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await stage.until(CallStarted)
        stage.session.configure(Configure(language="de", voice="espeak", interruptions="off", tools=[spec]))
        await stage.session.submit_text("hallo")
        await stage.until(ReplyEnded)
        stage.ears.hang_up()
        await running
    stage.ears, stage.mouth = VirtualEars(), VirtualMouth()
    async with stage.up():
        started = await stage.until(CallStarted, 2)
        await stage.session.submit_text("noch da?")
        await stage.until(ReplyEnded, 2)
    assert (started.language, started.voice, started.interruptions) == ("de", "espeak", "off")
    assert started.resumed
    ask = stage.models.answers[1]
    assert ask.history[0] == Utterance("user", "hallo")
    assert [tool.name for tool in ask.tools] == ["tides"]
    assert stage.models.spoken[-1].voice == "espeak"


@in_virtual_time
async def test_a_call_may_have_its_own_patience_with_silence() -> None:
    stage = staged()
    async with stage.up():
        for seconds in (3.0, 60.0, -1.0):
            await stage.session.obey(Configure(idle_prompt_s=seconds))
        asked = await stage.until(ReplyStarted)
        assert 3.0 <= stage.time_of(asked) <= 3.1
    assert [event.code for event in stage.all(Notice)] == ["bad_config"] * 2


@in_virtual_time
async def test_a_call_may_do_without_the_question() -> None:
    stage = staged()
    async with stage.up():
        await stage.session.obey(Configure(idle_prompt_s=0.0))
        await asyncio.sleep(30)
        assert not stage.all(ReplyStarted)
