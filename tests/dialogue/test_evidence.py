"""What is learned of a pause gets into that pause, and nowhere else; and what the fused rule makes of it in a call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedDetector, ScriptedModels, ScriptedProsody, at_ms
from voxrtc.audio import HEARD_RATE
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.dialogue.evidence import Evidence
from voxrtc.dialogue.tasks import Tasks
from voxrtc.endpointing import waits
from voxrtc.endpointing.prosody import SECONDS
from voxrtc.endpointing.waits import Pause
from voxrtc.errors import HostLost, ModelsError
from voxrtc.events import Notice, ReplyEnded, SpeechPaused, SpeechResumed, TurnEnded
from voxrtc.models.wire import Heard
from voxrtc.settings import Endpointing

BOTH = frozenset({"voice", "words"})
AUDIO = np.zeros(16_000, np.float32)


@dataclass
class Scene:
    """Evidence with scripted sources, for a detector that pauses where it is told to."""

    uses: frozenset[str] = BOTH
    models: ScriptedModels = field(default_factory=ScriptedModels)
    prosody: ScriptedProsody | None = field(default_factory=ScriptedProsody)
    detector: ScriptedDetector = field(default_factory=ScriptedDetector)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        tasks = Tasks(self.faults.append)
        self.evidence = Evidence(self.uses, self.detector, cast(Any, self.prosody), self.models, tasks)

    def pause(self, start_ms: int = 0) -> Pause:
        """A new pause has begun."""
        pause = self.detector.pause = Pause(at_ms(start_ms), at_ms(start_ms + 1000), at_ms(start_ms + 1120))
        self.evidence.gather(AUDIO)
        return pause

    def resume(self) -> None:
        self.detector.pause = None
        self.evidence.stop()


def known(pause: Pause) -> tuple[float | None, str | None, float | None]:
    return pause.prosody, pause.words, pause.ends


@in_virtual_time
async def test_voice_and_words_are_written_into_the_pause() -> None:
    scene = Scene(models=ScriptedModels(endings={"Turn it off.": 0.8}))
    pause = scene.pause()
    assert known(pause) == (None, None, None)
    await asyncio.sleep(0.04)
    assert known(pause) == (0.95, None, None)
    scene.evidence.told(Heard("Turn it off.", "en", 0.9))
    assert known(pause) == (0.95, "Turn it off.", None), "the words at once, what they mean a little later"
    await asyncio.sleep(0.04)
    assert known(pause) == (0.95, "Turn it off.", 0.8)
    assert scene.models.read == [("Turn it off.", "en")]


@in_virtual_time
async def test_the_language_of_the_words_goes_with_them() -> None:
    scene = Scene()
    pause = scene.pause()
    scene.evidence.told(Heard("Mach es aus und", "de", 0.9))
    assert pause.language == "de"
    await asyncio.sleep(0.1)
    assert scene.models.read == [("Mach es aus und", "de")]
    assert pause.ends == -1.0


@in_virtual_time
async def test_the_same_words_are_read_once() -> None:
    scene = Scene()
    scene.pause()
    for _ in range(3):
        scene.evidence.told(Heard("hello", "en", 0.9))
    await asyncio.sleep(0.1)
    assert scene.models.read == [("hello", "en")]


@in_virtual_time
async def test_what_comes_too_late_is_not_written_into_a_later_pause() -> None:
    scene = Scene(
        prosody=ScriptedProsody([0.1, 0.9], takes_s=0.5), models=ScriptedModels(endings={"and": 0.3}, ends_s=0.5)
    )
    first = scene.pause()
    scene.evidence.told(Heard("and", "en", 0.9))
    await asyncio.sleep(0.1)
    scene.resume()
    await asyncio.sleep(0.1)
    second = scene.pause(2000)
    await asyncio.sleep(2)
    assert known(first) == (None, "and", None)
    assert known(second) == (0.9, None, None)
    assert scene.prosody is not None
    assert scene.prosody.cancelled == 1
    assert scene.models.cancelled == ["ends"]
    assert scene.faults == []


@in_virtual_time
async def test_a_pause_that_follows_at_once_gives_up_what_was_asked_for_the_one_before() -> None:
    scene = Scene(prosody=ScriptedProsody([0.1, 0.9], takes_s=0.5))
    first = scene.pause()
    await asyncio.sleep(0.1)
    second = scene.pause(2000)
    await asyncio.sleep(1)
    assert (first.prosody, second.prosody) == (None, 0.9)


@in_virtual_time
async def test_words_that_come_when_no_pause_is_on_are_nothing_to_it() -> None:
    scene = Scene()
    scene.evidence.gather(AUDIO)
    scene.evidence.told(Heard("hello", "en", 0.9))
    await asyncio.sleep(1)
    assert scene.models.read == []
    assert scene.prosody is not None
    assert scene.prosody.judged_of == []


@in_virtual_time
async def test_stopping_with_nothing_under_way_is_nothing() -> None:
    scene = Scene()
    scene.evidence.stop()
    pause = scene.pause()
    await asyncio.sleep(0.1)
    scene.evidence.stop()
    assert pause.prosody == 0.95


@pytest.mark.parametrize("error", [ModelsError("busy"), HostLost("gone")])
def test_models_that_fail_leave_the_pause_without(error: ModelsError) -> None:
    @in_virtual_time
    async def play() -> None:
        scene = Scene(models=ScriptedModels(fail=lambda verb, given: error))
        pause = scene.pause()
        scene.evidence.told(Heard("hello", "en", 0.9))
        await asyncio.sleep(1)
        assert known(pause) == (0.95, "hello", None)
        assert scene.faults == []

    play()


@in_virtual_time
async def test_a_voice_that_too_many_wait_to_have_judged_stays_unknown() -> None:
    scene = Scene(prosody=ScriptedProsody([None]))
    pause = scene.pause()
    await asyncio.sleep(1)
    assert pause.prosody is None
    assert scene.faults == []


@pytest.mark.parametrize("strategy", sorted(waits.STRATEGIES))
def test_only_what_the_strategy_uses_is_asked_for(strategy: str) -> None:
    uses = waits.make(Endpointing(strategy=strategy)).uses

    @in_virtual_time
    async def play() -> None:
        scene = Scene(uses)
        pause = scene.pause()
        scene.evidence.told(Heard("hello", "en", 0.9))
        await asyncio.sleep(1)
        assert scene.evidence.of_words == ("words" in uses)
        assert bool(scene.models.read) == (pause.words is not None) == ("words" in uses)
        assert scene.prosody is not None
        assert bool(scene.prosody.judged_of) == (pause.prosody is not None) == ("voice" in uses)

    play()


@in_virtual_time
async def test_without_the_network_the_voice_stays_unknown() -> None:
    scene = Scene(prosody=None)
    pause = scene.pause()
    await asyncio.sleep(1)
    assert pause.prosody is None


# -- in a call ------------------------------------------------------------------------------------------------


class Call(Stage):
    """A stage on which the fused rule (or another) ends the turns."""

    def __init__(
        self,
        models: ScriptedModels,
        prosody: ScriptedProsody | None = None,
        strategy: str = "fused",
        **dialogue: Any,
    ) -> None:
        self.prosody = prosody or ScriptedProsody()
        models.asr_s = 0.1
        rule = {"strategy": strategy, "min_silence_ms": 200, "max_silence_ms": 1500, "evidence_ms": 500}
        super().__init__(models, prosody=self.prosody, endpointing=rule, dialogue={"partial_every_ms": 0} | dialogue)
        self.voice.wait = waits.make(self.settings.endpointing)

    async def silence_until(self, turn: int = 1) -> float:
        """Milliseconds from the voice's end to the decision that turn number ``turn`` is over."""
        ended = await self.until(TurnEnded, turn)
        return (ended.at - ended.end) / 16


SENTENCE = "Could you call me back tomorrow?"
HALF = "Could you call me back and"


@in_virtual_time
async def test_a_whole_sentence_is_answered_as_soon_as_it_is_known_for_one() -> None:
    """Words need 0.12 s of pause, 0.1 s of hearing and 0.02 s of reading: the rule is asked again at 260 ms."""
    call = Call(ScriptedModels(words=[SENTENCE], endings={SENTENCE: 0.7}))
    async with call.up():
        call.voice.say(500, 2500)
        assert 200 <= await call.silence_until() <= 280
        await call.until(ReplyEnded)
    assert call.models.read == [(SENTENCE, "en")]


@in_virtual_time
async def test_who_breaks_off_is_waited_for() -> None:
    call = Call(ScriptedModels(words=[HALF], endings={HALF: 0.01}))
    async with call.up():
        call.voice.say(500, 2500)
        assert 1480 <= await call.silence_until() <= 1540
    assert not call.all(Notice)


@in_virtual_time
async def test_who_breaks_off_and_goes_on_is_one_turn() -> None:
    """The second pause is judged for itself, by all that was said."""
    whole = f"{HALF} tell me the price?"
    models = ScriptedModels(words=[HALF, whole], endings={HALF: 0.01, whole: 0.6})
    call = Call(models, ScriptedProsody([0.97, 0.9]))
    async with call.up():
        call.voice.say(500, 2500)
        call.voice.say(3700, 4500)
        assert await call.silence_until() <= 280
    assert len(call.all(TurnEnded)) == 1
    assert len(call.all(SpeechPaused)) == 2
    assert len(call.all(SpeechResumed)) == 1
    assert [text for text, _ in models.read] == [HALF, whole]
    assert len(call.prosody.judged_of) == 2


@in_virtual_time
async def test_a_voice_that_does_not_sound_finished_is_waited_for() -> None:
    call = Call(ScriptedModels(words=[SENTENCE], endings={SENTENCE: 0.7}), ScriptedProsody([0.05]))
    async with call.up():
        call.voice.say(500, 2500)
        assert 1480 <= await call.silence_until() <= 1540


@in_virtual_time
async def test_a_reading_that_fails_costs_no_more_than_evidence_ms() -> None:
    def fail(verb: str, given: int) -> ModelsError | None:
        return ModelsError("busy") if verb == "ends" else None

    call = Call(ScriptedModels(words=[SENTENCE], fail=fail))
    async with call.up():
        call.voice.say(500, 2500)
        assert 500 <= await call.silence_until() <= 540
        await call.until(ReplyEnded)
    assert not call.all(Notice), "the caller is not bothered with it"


@in_virtual_time
async def test_without_speculation_the_words_of_a_pause_are_heard_all_the_same() -> None:
    call = Call(ScriptedModels(words=[SENTENCE], partials=[SENTENCE], endings={SENTENCE: 0.7}), speculation="off")
    async with call.up():
        call.voice.say(500, 2500)
        assert await call.silence_until() <= 280
    assert call.models.read == [(SENTENCE, "en")]


@in_virtual_time
async def test_who_goes_on_before_the_words_are_known_leaves_nothing_behind() -> None:
    call = Call(ScriptedModels(words=[HALF, SENTENCE], endings={HALF: 0.9, SENTENCE: 0.7}), ScriptedProsody([0.97]))
    call.models.asr_s = 0.3
    async with call.up():
        call.voice.say(500, 2500)
        call.voice.say(2700, 4500)
        await call.silence_until()
    assert [text for text, _ in call.models.read] == [SENTENCE]
    assert call.all(TurnEnded)[0].end == at_ms(4500)


@in_virtual_time
async def test_by_silence_alone_nobody_is_asked_in_a_pause() -> None:
    call = Call(ScriptedModels(words=[SENTENCE]), strategy="vad", speculation="off")
    async with call.up():
        call.voice.say(500, 2500)
        assert 550 <= await call.silence_until() <= 580
        await call.until(ReplyEnded)
    assert call.models.read == call.prosody.judged_of == []
    assert call.models.looked == 0, "not transcribed but to be answered"


@in_virtual_time
async def test_the_voice_alone_decides_where_words_are_not_used() -> None:
    call = Call(ScriptedModels(words=[HALF]), strategy="smart_turn")
    async with call.up():
        call.voice.say(500, 2500)
        assert 200 <= await call.silence_until() <= 230
    assert call.models.read == []


@in_virtual_time
async def test_the_voice_is_judged_by_its_last_seconds_up_to_now() -> None:
    call = Call(ScriptedModels(words=[HALF], endings={HALF: 0.0}))
    async with call.up():
        call.ears.say(np.ones(at_ms(14_000), np.float32) * 0.1, 0)
        call.voice.say(500, 1500)
        call.voice.say(2500, 13_000)
        await call.until(SpeechPaused, 2)
        await asyncio.sleep(0.1)
        await call.silence_until()
    short, long = call.prosody.judged_of
    assert short.size == at_ms(300 + 1000 + 120), "a run-up, the voice, and the pause so far"
    assert long.size == SECONDS * HEARD_RATE + at_ms(120)


@in_virtual_time
async def test_a_call_that_ends_in_a_pause_leaves_nothing_running() -> None:
    models = ScriptedModels(words=[HALF], endings={HALF: 0.0}, ends_s=10)
    call = Call(models, ScriptedProsody(takes_s=10))
    async with call.up():
        call.voice.say(500, 2500)
        await call.until(SpeechPaused)
        await asyncio.sleep(0.3)
    assert call.prosody.cancelled == 1
    assert "ends" in models.cancelled
    assert asyncio.all_tasks() == {asyncio.current_task()}
