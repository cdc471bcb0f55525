"""One answer, made and played, without a session around it."""

from __future__ import annotations

import asyncio

import numpy as np

from tests.dialogue.scripted import ScriptedModels, hum
from voxrtc.audio import SPOKEN_RATE
from voxrtc.bench.virtual import VirtualMouth, in_virtual_time
from voxrtc.dialogue.phrases import Phrases, two_tones
from voxrtc.dialogue.reply import CLAUSES_AHEAD, Manner, Reply
from voxrtc.dialogue.spoken import SpokenClause
from voxrtc.dialogue.tasks import Tasks
from voxrtc.errors import HostLost, ModelsError
from voxrtc.models.wire import Answer, Heard
from voxrtc.settings import Tts

LONG = "One sentence is said. Two sentences are said. Three are said. Four are said. Five are said."


class Scene:
    """A reply and what it told."""

    def __init__(
        self,
        models: ScriptedModels,
        script: Answer | str | None = None,
        language: str = "en",
        phrases: Phrases | None = None,
    ) -> None:
        self.models = models
        self.told: list[tuple[object, ...]] = []
        self.over = asyncio.Event()
        self.faults: list[str] = []
        self.tasks = Tasks(self.faults.append)
        ask = script or Answer("call", "", [], audio=b"")
        self.reply = Reply(None, ask, Manner("hibari", language, Tts(), 10.0), models, self, phrases or Phrases())

    def reply_heard(self, reply: Reply, heard: Heard) -> None:
        self.told.append(("heard", heard.text))

    def reply_clause(self, reply: Reply, clause: SpokenClause) -> None:
        self.told.append(("clause", clause.text))

    def reply_failed(self, reply: Reply, error: ModelsError) -> None:
        self.told.append(("failed", str(error)))

    def reply_begun(self, reply: Reply) -> None:
        self.told.append(("begun",))

    def reply_spoken(self, reply: Reply, clause: SpokenClause, heard: int) -> None:
        self.told.append(("spoken", clause.index, heard))

    def reply_over(self, reply: Reply) -> None:
        self.told.append(("over",))
        self.over.set()

    async def perform(self) -> VirtualMouth:
        self.reply.start(self.tasks)
        self.reply.release(1)
        async with VirtualMouth() as mouth:
            self.reply.play(mouth, self.tasks)
            await self.over.wait()
        return mouth


@in_virtual_time
async def test_it_is_played_without_a_gap() -> None:
    scene = Scene(ScriptedModels(replies=[LONG], token_s=0.01))
    mouth = await scene.perform()
    assert scene.reply.heard_text() == LONG
    whole = np.concatenate([hum(len(ask.text)) for ask in scene.models.spoken])
    np.testing.assert_array_equal(mouth.sound[: whole.size], whole)
    gaps = np.diff([packet.at for packet in mouth.packets])
    assert gaps.max() < 0.021
    assert [told for told in scene.told if told[0] == "spoken"][:4] == [
        ("spoken", 0, 0),
        ("spoken", 0, 21),
        ("spoken", 1, 21),
        ("spoken", 1, 45),
    ]


@in_virtual_time
async def test_voicing_runs_only_a_little_ahead_of_the_ear() -> None:
    scene = Scene(ScriptedModels(replies=[LONG], token_s=0.001))
    scene.reply.start(scene.tasks)
    await asyncio.sleep(5)
    assert len(scene.models.spoken) == 1
    scene.reply.release(1)
    await asyncio.sleep(5)
    assert len(scene.models.spoken) == CLAUSES_AHEAD
    async with VirtualMouth() as mouth:
        scene.reply.play(mouth, scene.tasks)
        await asyncio.sleep(0.5)
        assert len(scene.models.spoken) == CLAUSES_AHEAD + 1
        await scene.over.wait()
    assert len(scene.models.spoken) == 5
    first, second, third, *_ = scene.models.spoken
    assert (first.ahead_ms, second.ahead_ms) == (0, 1000 * hum(len(first.text)).size // SPOKEN_RATE)
    whole = second.ahead_ms + 1000 * hum(len(second.text)).size // SPOKEN_RATE
    assert whole - 500 < third.ahead_ms < whole, "some of it was heard by then"


@in_virtual_time
async def test_stop_closes_the_streams_and_leaves_no_task() -> None:
    for moment, verb in ((0.1, "answer"), (0.4, "answer"), (0.75, "speak")):
        scene = Scene(ScriptedModels(replies=[LONG], voice_s=0.5))
        scene.reply.start(scene.tasks)
        await asyncio.sleep(moment)
        scene.reply.stop("cancelled")
        await scene.tasks.close()
        assert verb in scene.models.cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert scene.faults == []


@in_virtual_time
async def test_a_fixed_text_asks_no_model_to_think() -> None:
    scene = Scene(ScriptedModels(), script="Hello there, how are you? Good to hear you.")
    await scene.perform()
    assert scene.models.answers == []
    assert scene.reply.heard_text() == "Hello there, how are you? Good to hear you."


@in_virtual_time
async def test_a_fixed_text_is_voiced_once_for_all_calls() -> None:
    text, phrases, mouths = "Hello there, how are you? Good to hear you.", Phrases(), []
    for _ in range(2):
        scene = Scene(ScriptedModels(), script=text, phrases=phrases)
        mouths.append(await scene.perform())
        assert scene.reply.heard_text() == text
    assert scene.models.spoken == []
    first, second = (mouth.sound[np.abs(mouth.sound) > 0] for mouth in mouths)
    np.testing.assert_array_equal(first, second)
    scene = Scene(ScriptedModels(), script=text, language="de", phrases=phrases)
    await scene.perform()
    assert scene.models.spoken, "another language is another voice"


@in_virtual_time
async def test_an_answer_is_not_kept() -> None:
    phrases = Phrases()
    for _ in range(2):
        scene = Scene(ScriptedModels(), phrases=phrases)
        await scene.perform()
        assert scene.models.spoken


@in_virtual_time
async def test_a_kept_text_that_broke_off_goes_on_where_it_was_heard_last() -> None:
    text, phrases = "Hello there, how are you today my friend?", Phrases()
    await Scene(ScriptedModels(), script=text, phrases=phrases).perform()
    scene = Scene(ScriptedModels(), script=text, phrases=phrases)
    scene.reply.start(scene.tasks)
    scene.reply.release(1)
    async with VirtualMouth() as first:
        scene.reply.play(first, scene.tasks)
        await asyncio.sleep(0.5)
        scene.reply.pause()
    async with VirtualMouth() as second:
        scene.reply.play(second, scene.tasks)
        await scene.over.wait()
    assert scene.reply.heard_text() == text
    whole = sum(voiced.recording.samples.size for voiced in phrases._kept.values())
    assert 0 < second.sound.size < whole


@in_virtual_time
async def test_the_language_that_was_heard_is_spoken() -> None:
    scene = Scene(ScriptedModels(), script=Answer("call", "", [], audio=b"", language="de"), language="auto")
    await scene.perform()
    assert {ask.language for ask in scene.models.spoken} == {"de"}


@in_virtual_time
async def test_a_voice_that_fails_in_the_middle() -> None:
    said = 0

    def fail(verb: str, given: int) -> ModelsError | None:
        nonlocal said
        said += verb == "speak"
        return HostLost("gone") if said == 2 and verb == "speak" else None

    scene = Scene(ScriptedModels(replies=[LONG], fail=fail))
    mouth = await scene.perform()
    assert isinstance(scene.reply.failure, HostLost)
    assert scene.reply.heard_text() == "One sentence is said."
    assert ("failed", "gone") in scene.told
    np.testing.assert_array_equal(
        mouth.sound[: hum(21).size + two_tones().size], np.concatenate([hum(21), two_tones()])
    )


@in_virtual_time
async def test_a_model_without_an_answer_has_failed() -> None:
    scene = Scene(ScriptedModels(replies=[""]))
    await scene.perform()
    assert ("failed", "the language model had no answer") in scene.told


@in_virtual_time
async def test_a_clause_without_words_is_shown_and_not_voiced() -> None:
    scene = Scene(ScriptedModels(replies=["That is all I know. ..."]))
    await scene.perform()
    assert [told for told in scene.told if told[0] == "clause"] == [
        ("clause", "That is all I know."),
        ("clause", " ..."),
    ]
    assert [ask.text for ask in scene.models.spoken] == ["That is all I know."]


@in_virtual_time
async def test_paused_and_played_again_it_goes_on_where_it_was_heard_last() -> None:
    scene = Scene(ScriptedModels(replies=[LONG]))
    scene.reply.start(scene.tasks)
    scene.reply.release(1)
    async with VirtualMouth() as mouth:
        heard = []
        for _ in range(4):
            scene.reply.play(mouth, scene.tasks)
            await asyncio.sleep(1.2)
            mouth.flush()
            scene.reply.pause()
            heard.append(len(scene.reply.heard_text()))
            await asyncio.sleep(0.5)
        assert heard == sorted(heard)
        scene.reply.play(mouth, scene.tasks)
        await scene.over.wait()
    assert scene.reply.heard_text() == LONG
    spoken = [told[2] for told in scene.told if told[0] == "spoken"]
    assert spoken == sorted(spoken)
    assert len([told for told in scene.told if told[0] == "begun"]) == 1
    whole = sum(hum(len(ask.text)).size for ask in scene.models.spoken)
    assert whole <= mouth.sound.size <= whole + 10 * 480
