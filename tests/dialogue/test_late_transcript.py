"""Words of an answer that come before those it answers: made ready, but not heard, told or remembered until then."""

from __future__ import annotations

import asyncio

import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.dialogue.functions import describe
from voxrtc.errors import GaveWay, HostLost, ModelsError
from voxrtc.events import (
    Interrupted,
    Notice,
    ReplyEnded,
    ReplySpoken,
    ReplyStarted,
    ReplyText,
    Transcript,
    TurnDropped,
    TurnMetrics,
)
from voxrtc.models.wire import Utterance

REPLY = "Yes, of course. I can do that for you, if you like."
REMEMBERED = [Utterance("user", "can you help me"), Utterance("assistant", REPLY)]
LAST = 100


def staged(models: ScriptedModels, *, guesses: bool = True, **dialogue: object) -> Stage:
    speculation = "always" if guesses else "off"
    stage = Stage(models, dialogue={"partial_every_ms": 0, "speculation": speculation} | dialogue)
    stage.voice.say(500, 2000)
    return stage


def models(heard_after: int, **more: object) -> ScriptedModels:
    words = more.pop("words", ["can you help me"])
    return ScriptedModels(words=words, heard_after=heard_after, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("guesses", [True, False])
@pytest.mark.parametrize("after", [1, 4, LAST])
@pytest.mark.parametrize("asr_s", [0.0, 0.3, 2.0])
def test_nothing_is_heard_or_told_before_the_transcript(after: int, asr_s: float, guesses: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = staged(models(after, asr_s=asr_s, first_token_s=0.1, token_s=0.01), guesses=guesses)
        async with stage.up():
            ended = await stage.until(ReplyEnded)
        assert (ended.ended, ended.text) == ("finished", REPLY)
        (transcript,) = [e for e in stage.all(Transcript) if e.final]
        at = stage.events.index(transcript)
        assert not any(isinstance(e, ReplyStarted | ReplyText | ReplySpoken) for e in stage.events[:at])
        assert "".join(e.text for e in stage.all(ReplyText)) == REPLY
        assert all(packet.at >= stage.time_of(transcript) for packet in stage.mouth.packets if packet.samples.any())
        assert stage.session.memory.history() == REMEMBERED

    scene()


@in_virtual_time
async def test_the_first_clause_is_voiced_meanwhile() -> None:
    """So the voice begins with the transcript, and not after its own time to think and to speak."""
    stage = staged(models(LAST, first_token_s=0.1, token_s=0.01, asr_s=3.0), guesses=False)
    async with stage.up():
        metrics = await stage.until(TurnMetrics)
        assert stage.time_of(metrics) - stage.time_of(stage.all(Transcript)[-1]) < 0.025
        await stage.until(ReplyEnded)
    assert metrics.first_token_ms == 0
    assert metrics.asr_ms > 3000


@pytest.mark.parametrize("guesses", [True, False])
@pytest.mark.parametrize("after", [1, 4, LAST])
def test_no_words_drop_the_reply_without_a_sound(after: int, guesses: bool) -> None:
    @in_virtual_time
    async def scene() -> None:
        scripted = models(after, words=["", "can you help me"], asr_s=0.4, first_token_s=0.1, token_s=0.01)
        stage = staged(scripted, guesses=guesses)
        async with stage.up():
            dropped = await stage.until(TurnDropped)
            assert dropped.reason == "no words"
            assert not stage.mouth.sound.any()
            assert [e for e in stage.all(Transcript) if e.final] == []
            await stage.session.submit_text("and now?")
            await stage.until(ReplyEnded)
        assert len(stage.all(ReplyStarted)) == 1, "of what was typed"
        assert stage.session.memory.history()[0] == Utterance("user", "and now?")

    scene()


@in_virtual_time
async def test_noise_lets_the_interrupted_reply_go_on() -> None:
    stage = staged(models(1, words=["can you help me", ""], asr_s=0.1, first_token_s=0.05, token_s=0.01))
    stage.voice.say(3200, 3600)
    async with stage.up():
        await stage.until(Interrupted)
        ended = await stage.until(ReplyEnded)
    assert (ended.reply, ended.ended, ended.text) == (1, "finished", REPLY)
    assert stage.session.memory.history() == REMEMBERED


@pytest.mark.parametrize("error", [ModelsError("the model failed"), HostLost("the host died")])
def test_a_failure_before_the_transcript_is_apologised_for_alone(error: ModelsError) -> None:
    """Nobody hears the beginning of an answer to what nobody knows."""

    @in_virtual_time
    async def scene() -> None:
        fails = lambda verb, given: error if verb == "answer" and given == 8 else None  # noqa: E731
        stage = staged(models(LAST, first_token_s=0.1, token_s=0.01, fail=fails), guesses=False)
        async with stage.up():
            ended = await stage.until(ReplyEnded)
        assert (ended.ended, ended.text) == ("failed", "")
        assert stage.all(ReplyText) == []
        assert [e.message for e in stage.all(Notice)] == [str(error)]
        assert stage.mouth.sound.any(), "the apology"
        assert stage.session.memory.history() == []

    scene()


@in_virtual_time
async def test_a_failure_after_the_transcript_ends_what_there_is() -> None:
    fails = lambda verb, given: ModelsError("oh") if verb == "answer" and given == 6 else None  # noqa: E731
    stage = staged(models(2, asr_s=0.1, first_token_s=0.1, token_s=0.05, fail=fails))
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("failed", "Yes, of course.")
    assert stage.session.memory.history()[0] == Utterance("user", "can you help me")


@in_virtual_time
async def test_a_voice_that_fails_before_the_transcript_does_not_cost_the_callers_words() -> None:
    fails = lambda verb, given: ModelsError("hoarse") if verb == "speak" else None  # noqa: E731
    stage = staged(models(LAST, first_token_s=0.1, token_s=0.01, asr_s=1.0, fail=fails), guesses=False)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert [e.text for e in stage.all(Transcript) if e.final] == ["can you help me"]
    assert stage.session.memory.history() == [Utterance("user", "can you help me")]


@in_virtual_time
async def test_a_transcript_that_never_comes_is_a_failure() -> None:
    class Deaf(ScriptedModels):
        async def answer(self, ask):  # type: ignore[no-untyped-def]
            async for item in super().answer(ask):
                if type(item).__name__ != "Heard":
                    yield item

    stage = staged(Deaf(token_s=0.01), guesses=False)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert ended.ended == "failed"
    assert stage.all(ReplyText) == []


@in_virtual_time
async def test_who_speaks_on_before_the_transcript_is_heard_as_one() -> None:
    """The turn had ended, its reply had words already: none of them is heard."""
    stage = staged(models(LAST, first_token_s=0.05, token_s=0.01, asr_s=1.5), guesses=False)
    stage.voice.say(2900, 3600)
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    first, second = stage.models.answers
    assert len(second.audio or b"") > len(first.audio or b"")
    assert [e.reason for e in stage.all(TurnDropped)] == ["continued"]
    assert stage.session.memory.history() == REMEMBERED


@pytest.mark.parametrize("words", ["can you help me", ""])
def test_functions_wait_for_the_transcript(words: str) -> None:
    called: list[str] = []

    def note(what: str) -> str:
        """Note it."""
        called.append(what)
        return "noted"

    call = '{"name": "note", "arguments": {"what": "that"}}'

    @in_virtual_time
    async def scene() -> None:
        scripted = models(LAST, words=[words], replies=[call, "Done."], asr_s=1.0)
        stage = Stage(scripted, dialogue={"partial_every_ms": 0}, functions=[describe(note)])
        stage.voice.say(500, 2000)
        async with stage.up():
            if words:
                await stage.until(ReplyEnded)
            else:
                await stage.until(TurnDropped)
                await asyncio.sleep(3)
        assert called == (["that"] if words else [])
        if words:
            assert stage.models.answers[1].text == words

    scene()


@in_virtual_time
async def test_a_guess_that_gave_way_before_its_transcript_is_asked_for_again() -> None:
    class Busy(ScriptedModels):
        async def answer(self, ask):  # type: ignore[no-untyped-def]
            given = 0
            async for item in super().answer(ask):
                if ask.guess and given == 3:
                    raise GaveWay("another caller waits")
                given += 1
                yield item

    stage = staged(Busy(words=["can you help me"], heard_after=5, first_token_s=0.7, token_s=0.02))
    async with stage.up():
        ended = await stage.until(ReplyEnded)
    assert (ended.ended, ended.text) == ("finished", REPLY)
    assert [bool(ask.guess) for ask in stage.models.answers] == [True, False]
    assert stage.all(Notice) == []
    assert stage.session.memory.history() == REMEMBERED


@in_virtual_time
async def test_evidence_has_the_transcript_as_soon_as_it_is_there() -> None:
    """Of a guess, whose reply goes on."""
    scripted = models(3, asr_s=0.1, first_token_s=0.05, token_s=0.02, endings={"can you help me": 0.9})
    stage = Stage(scripted, dialogue={"partial_every_ms": 0}, endpointing={"strategy": "fused"})
    stage.voice.say(500, 2000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert scripted.read == [("can you help me", "en")]


@in_virtual_time
async def test_the_voice_waits_for_the_language_where_that_is_to_be_heard() -> None:
    class German(ScriptedModels):
        async def answer(self, ask):  # type: ignore[no-untyped-def]
            async for item in super().answer(ask):
                yield type(item)("kannst du helfen", "de", 0.9) if type(item).__name__ == "Heard" else item

    stage = staged(German(heard_after=LAST, token_s=0.01), language="auto")
    async with stage.up():
        await stage.until(ReplyEnded)
    assert {ask.language for ask in stage.models.spoken} == {"de"}
