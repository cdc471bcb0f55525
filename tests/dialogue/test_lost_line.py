"""A line that breaks in the middle of a reply: packets leave for nobody, until the caller comes back on another one."""

from __future__ import annotations

import asyncio

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels, hum
from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.virtual import VirtualEars, VirtualMouth, in_virtual_time
from voxrtc.events import CallStarted, ReplyEnded, ReplyResumed, StateChanged

REPLY = (
    "This is the first of the clauses that are said here. The second is being said when the line breaks. "
    "And the third one ends it all."
)
ONE_PACKET = SPOKEN_RATE // 50


async def cut(stage: Stage, after_s: float, noticed_s: float) -> int:
    """Let the line break ``after_s`` into the reply, and the server notice it ``noticed_s`` later. Returns how many
    samples the caller heard."""
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await stage.until_state("speaking")
        began = stage.mouth.packets[0].at
        broke = began + after_s
        await asyncio.sleep(broke + noticed_s - asyncio.get_running_loop().time())
        stage.mouth.take_back(broke)
        stage.ears.hang_up()
        await running
    return sum(packet.samples.size for packet in stage.mouth.packets if packet.at < broke)


def come_back(stage: Stage) -> None:
    stage.ears, stage.mouth = VirtualEars(), VirtualMouth()


@in_virtual_time
async def test_what_left_for_a_dead_line_is_said_again() -> None:
    stage = Stage(ScriptedModels(words=["tell me"], replies=[REPLY]))
    stage.voice.say(500, 1500)
    heard = await cut(stage, after_s=3.9, noticed_s=2.0)
    come_back(stage)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    whole = sum(hum(len(s.text)).size for s in stage.models.spoken)
    twice = heard + stage.mouth.sound.size - whole
    assert 0 <= twice <= 0.5 * SPOKEN_RATE + 3 * ONE_PACKET
    resumed = stage.all(ReplyResumed)
    assert [event.reply for event in resumed] == [ended.reply]
    assert 0 <= resumed[0].heard <= 3900 / 50 + 5
    assert stage.session.memory.exchanges[-1].assistant == REPLY


@in_virtual_time
async def test_a_reply_that_ended_on_a_dead_line_goes_on() -> None:
    stage = Stage(ScriptedModels(words=["tell me"], replies=[REPLY]))
    stage.voice.say(500, 1500)
    whole_s = len(REPLY) * 0.05
    heard = await cut(stage, after_s=whole_s - 1.0, noticed_s=5.0)
    assert stage.all(ReplyEnded)[0].ended == "finished"
    await asyncio.sleep(6.0)
    come_back(stage)
    async with stage.up():
        ended = await stage.until(ReplyEnded, 2)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    whole = sum(hum(len(s.text)).size for s in stage.models.spoken)
    assert 0 <= heard + stage.mouth.sound.size - whole <= 0.5 * SPOKEN_RATE + 3 * ONE_PACKET
    states = [event.state for event in stage.events[stage.events.index(stage.all(CallStarted)[1]) :]
              if isinstance(event, StateChanged)]  # fmt: skip
    assert states == ["speaking", "listening"]
    assert [exchange.assistant for exchange in stage.session.memory.exchanges] == [REPLY]
    assert not stage.session.memory.exchanges[-1].interrupted


@in_virtual_time
async def test_a_reply_that_was_heard_to_its_end_is_not_said_again() -> None:
    stage = Stage(ScriptedModels(words=["tell me"], replies=[REPLY]))
    stage.voice.say(500, 1500)
    await cut(stage, after_s=len(REPLY) * 0.05 + 0.5, noticed_s=5.0)
    come_back(stage)
    async with stage.up():
        await asyncio.sleep(2.0)
    assert not stage.mouth.packets
    assert not stage.all(ReplyResumed)


@in_virtual_time
async def test_a_line_that_breaks_twice_at_one_place() -> None:
    """The second line dies before anything of it arrives."""
    stage = Stage(ScriptedModels(words=["tell me"], replies=[REPLY]))
    stage.voice.say(500, 1500)
    heard = await cut(stage, after_s=3.9, noticed_s=1.0)
    come_back(stage)
    loop = asyncio.get_running_loop()
    since = loop.time()
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await asyncio.sleep(1.5)
        stage.mouth.take_back(since)
        stage.ears.hang_up()
        await running
    come_back(stage)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert ended.text == REPLY
    whole = sum(hum(len(s.text)).size for s in stage.models.spoken)
    assert 0 <= heard + stage.mouth.sound.size - whole <= 0.5 * SPOKEN_RATE + 3 * ONE_PACKET


@in_virtual_time
async def test_who_moves_while_the_old_line_works_hears_nothing_twice() -> None:
    stage = Stage(ScriptedModels(words=["tell me"], replies=[REPLY]))
    stage.voice.say(500, 1500)
    async with stage.mouth:
        running = asyncio.create_task(stage.session.run(stage.ears, stage.mouth))
        await stage.until_state("speaking")
        await asyncio.sleep(3.33)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    heard = stage.mouth.sound.size
    come_back(stage)
    async with stage.up():
        await stage.until(ReplyEnded)
    whole = sum(hum(len(s.text)).size for s in stage.models.spoken)
    assert abs(heard + stage.mouth.sound.size - whole) <= 3 * ONE_PACKET
