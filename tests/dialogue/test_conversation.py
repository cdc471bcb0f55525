"""Whole scenes: real recorded speech, the real detector, scripted models, virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels, at_ms
from tests.endpointing import sounds
from tests.endpointing.sounds import AUSTEN, silence, spoken
from voxrtc.audio import HEARD_RATE
from voxrtc.bench.virtual import VirtualEars, in_virtual_time
from voxrtc.endpointing.detector import Detector
from voxrtc.events import (
    Interrupted,
    ReplyEnded,
    SpeechResumed,
    SpeechStarted,
    StateChanged,
    TurnDropped,
    TurnEnded,
    TurnMetrics,
)
from voxrtc.settings import Settings

pytestmark = pytest.mark.models

LONG = "Well, there is a great deal to be said about that, and I am going to say all of it, slowly and at length."


def staged(models: ScriptedModels | None = None, **sections: object) -> Stage:
    sections["endpointing"] = {"strategy": "vad"} | sections.get("endpointing", {})  # type: ignore[operator]
    settings = Settings.model_validate(sections)
    stage = Stage(models, Detector(settings.endpointing, sounds.silero()), **sections)
    stage.ears = VirtualEars(noise_dbfs=-70)
    return stage


@pytest.mark.parametrize("name", AUSTEN)
def test_a_sentence_is_answered_at_the_end_of_the_wait(name: str) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(ScriptedModels(words=["one sentence"], asr_s=0.2, first_token_s=0.1))
        start = at_ms(500)
        end = stage.ears.say(spoken(name), at=start)
        async with stage.up():
            metrics = await stage.until(TurnMetrics)
            audible = asyncio.get_running_loop().time()
        assert len(stage.all(TurnEnded)) == 1
        assert metrics.speculated
        # Voice to voice, by the energy rule that calls are timed with: the wait, and next to nothing more.
        waited = (audible - end / HEARD_RATE) * 1000 - stage.settings.endpointing.end_silence_ms
        assert -50 <= waited <= 150
        assert stage.models.heard_samples().size >= end - start + at_ms(100)

    scene()


@pytest.mark.parametrize("gap_ms", [300, 400, 500])
def test_a_caller_who_hesitates_is_not_answered_in_the_middle(gap_ms: int) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(ScriptedModels(asr_s=0.05, first_token_s=0.02, token_s=0.001, voice_s=0.01))
        middle = stage.ears.say(spoken("austen-0880"), at=at_ms(500))
        end = stage.ears.say(spoken("austen-0890"), at=middle + at_ms(gap_ms))
        async with stage.up():
            await stage.until(ReplyEnded)
        assert stage.all(SpeechResumed)
        assert len(stage.all(TurnEnded)) == len(stage.all(ReplyEnded)) == 1
        assert stage.mouth.packets[0].at > end / HEARD_RATE
        assert stage.models.heard_samples().size >= end - at_ms(500)

    scene()


@pytest.mark.parametrize("name", AUSTEN)
def test_speech_over_a_reply_stops_it_in_time(name: str) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(ScriptedModels(words=["tell me", "a sentence"], replies=[LONG, "Fine."], by_turn=True))
        stage.ears.say(spoken("austen-0880"), at=at_ms(500))
        async with stage.up():
            await stage.until(TurnMetrics)
            start = stage.ears.position + at_ms(1000)
            stage.ears.say(spoken(name), at=start)
            interrupted = await stage.until(Interrupted)
            now = asyncio.get_running_loop().time()
            ended = await stage.until(ReplyEnded)
            assert interrupted.at - start <= at_ms(240)
            assert interrupted.decision_ms <= 240
            assert stage.mouth.flushes == [now]
            await stage.until(ReplyEnded, 2)
        assert not [p for p in stage.mouth.packets if now < p.at < now + 0.5]
        assert 0 < len(ended.text) < len(LONG)
        assert LONG.startswith(ended.text)
        assert stage.models.answers[-1].history[1].text == ended.text

    scene()


@pytest.mark.parametrize("sound", [sounds.doors, sounds.clicks, sounds.hum])
def test_noise_neither_interrupts_nor_is_answered(sound) -> None:  # type: ignore[no-untyped-def]
    @in_virtual_time
    async def scene() -> None:
        stage = staged(ScriptedModels(replies=[LONG]))
        stage.ears.say(spoken("austen-0880"), at=at_ms(500))
        async with stage.up():
            await stage.until(TurnMetrics)
            stage.ears.say(sound(HEARD_RATE * 20), at=stage.ears.position + at_ms(500))
            await stage.until(ReplyEnded)
            await asyncio.sleep(15)
        assert stage.all(ReplyEnded)[0].ended == "finished"
        assert len(stage.all(SpeechStarted)) == 1

    scene()


@in_virtual_time
async def test_noise_makes_no_call() -> None:
    stage = staged(dialogue={"idle_hangup_s": 3600.0, "idle_prompt_s": 0.0})
    for n, sound in enumerate((sounds.doors, sounds.clicks, sounds.hum, lambda count: sounds.noise(count, -25))):
        stage.ears.say(sound(HEARD_RATE * 30), at=n * HEARD_RATE * 30)
    async with stage.up():
        await asyncio.sleep(120)
    assert stage.types() == ["call_started", "state_changed", "call_ended"]
    assert stage.models.answers == []


@in_virtual_time
async def test_a_monologue_is_answered_at_the_longest_turn() -> None:
    stage = staged(endpointing={"max_turn_s": 8.0})
    speech = np.concatenate([spoken(name) for name in AUSTEN])
    stage.ears.say(speech, at=at_ms(500))
    async with stage.up():
        first = await stage.until(TurnEnded)
        await stage.until(TurnEnded, 2)
        await stage.until_state("listening", 2)
    assert first.end - first.start == at_ms(8000)
    assert stage.models.answers[-1].audio is not None
    assert all(len(a.audio or b"") <= 4 * 18 * HEARD_RATE for a in stage.models.answers)


@in_virtual_time
async def test_a_pause_of_jfk_is_not_the_end_of_his_words() -> None:
    """His pauses are longer than the wait: he is answered in between, and each time goes on. What the models are
    shown in the end is all he said."""
    parts = ["and so my fellow americans", "ask not", "what your country can do for you", "ask what you can do"]
    stage = staged(ScriptedModels(words=parts, replies=["Yes, I am listening to you."]))
    stage.ears.say(sounds.clip("jfk"), at=at_ms(500))
    async with stage.up():
        await stage.until(TurnEnded, 4)
        while stage.all(ReplyEnded) == [] or stage.all(ReplyEnded)[-1].ended != "finished":
            await stage.until(ReplyEnded, len(stage.all(ReplyEnded)) + 1)
    ends = stage.all(TurnEnded)
    assert len(ends) == 4
    assert all(e.ended in ("interrupted", "cancelled") for e in stage.all(ReplyEnded)[:-1])
    assert [e.reason for e in stage.all(TurnDropped)] in ([], ["continued"], ["continued"] * 2)


def test_the_same_scene_comes_out_the_same() -> None:
    @in_virtual_time
    async def scene() -> list[tuple[str, int]]:
        stage = staged(ScriptedModels(words=["tell me", "stop"], replies=[LONG, "Fine."], by_turn=True))
        stage.ears.say(spoken("austen-0880"), at=at_ms(500))
        stage.ears.say(np.concatenate([silence(200), spoken("austen-0930")]), at=at_ms(5500))
        async with stage.up():
            await stage.until(ReplyEnded, 2)
        return [(e.type, e.at) for e in stage.events]

    first = scene()
    assert first == scene()
    assert any(kind == "interrupted" for kind, _ in first)


@in_virtual_time
async def test_states_alternate() -> None:
    stage = staged()
    stage.ears.say(spoken("austen-0930"), at=at_ms(500))
    async with stage.up():
        await stage.until(ReplyEnded)
    assert [e.state for e in stage.all(StateChanged)] == ["listening", "thinking", "speaking", "listening"]
