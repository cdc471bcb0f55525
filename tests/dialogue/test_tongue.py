"""In which language a call is held: chosen, or followed with hysteresis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import msgspec
import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import READY, ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.commands import Configure
from voxrtc.dialogue.tongue import LONG_MS, SHORT, Tongue
from voxrtc.events import LanguageChanged, Notice, ReplyEnded, ReplyStarted, Transcript
from voxrtc.models.wire import Answer, Heard, Said, ToolCall

SHORT_MS, LONG = 1_200.0, LONG_MS
WORDS = "ich hätte gern einen Termin morgen früh"


def turns(tongue: Tongue, *heard: tuple[str, float, float]) -> str:
    """The languages after turns of (language, ms of voice, confidence)."""
    held = []
    for language, ms, confidence in heard:
        tongue.follow(Heard(WORDS, language, confidence), ms)
        held.append(tongue.settled)
    return " ".join(held)


@pytest.mark.parametrize(
    ("heard", "held"),
    [
        ([("de", SHORT_MS, 0.9)], "de"),  # the first turn decides: nothing else is known
        ([("en", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9), ("en", SHORT_MS, 0.9)], "en en en"),
        ([("en", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9)], "en en de"),
        ([("en", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9), ("fr", SHORT_MS, 0.9), ("fr", SHORT_MS, 0.9)], "en en en fr"),
        ([("en", SHORT_MS, 0.9), ("de", LONG, 0.9)], "en de"),  # long and clear
        ([("en", SHORT_MS, 0.9), ("de", LONG, 0.5)], "en en"),  # long, but not clear
        ([("en", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9), ("de", SHORT_MS, 0.2), ("de", SHORT_MS, 0.9)], "en en en de"),
        ([("en", SHORT_MS, 0.9), ("xx", LONG, 0.9), ("", LONG, 0.9)], "en en en"),
        ([("en", SHORT_MS, 0.9), ("de", SHORT_MS, -1.0), ("de", SHORT_MS, -1.0)], "en en de"),  # not told
        ([("en", SHORT_MS, 0.9), ("de", LONG, -1.0)], "en en"),
        # a first turn that was hardly heard, or in no known language, does not: the next clear one does
        ([("de", LONG, 0.2), ("en", SHORT_MS, 0.9), ("de", SHORT_MS, 0.9)], " en en"),
        ([("de", SHORT_MS, 0.39), ("de", SHORT_MS, 0.1), ("fr", SHORT_MS, 0.4)], "  fr"),
        ([("xx", LONG, 0.9), ("", LONG, 0.9), ("de", SHORT_MS, -1.0)], "  de"),
        ([("ru", SHORT_MS, 0.9)], "ru"),  # of those that Chatterbox adds
    ],
)
def test_one_odd_turn_does_not_switch(heard: list[tuple[str, float, float]], held: str) -> None:
    assert turns(Tongue("auto", ""), *heard) == held


def test_a_long_turn_of_one_word_is_not_enough() -> None:
    tongue = Tongue("auto", "", settled="en")
    assert not tongue.follow(Heard("Danke", "de", 0.95), 3_000)
    assert not tongue.follow(Heard("  ", "de", 0.95), 3_000)
    assert tongue.settled == "en"
    assert Tongue("auto", "", settled="en").follow(Heard("我想明天早上预约一个时间", "zh", 0.95), 3_000)


def test_looking_ahead_changes_nothing() -> None:
    tongue = Tongue("auto", "", settled="en")
    for _ in range(3):
        assert tongue.after(Heard(WORDS, "de", 0.9), SHORT_MS) == "en"
    tongue.follow(Heard(WORDS, "de", 0.9), SHORT_MS)
    for _ in range(3):
        assert tongue.after(Heard(WORDS, "de", 0.9), SHORT_MS) == "de"
    assert tongue.settled == "en"


def test_a_doubtful_first_turn_is_answered_in_the_default_and_leaves_the_call_open() -> None:
    tongue = Tongue("auto", "")
    doubtful = Heard(WORDS, "ko", 0.2)
    assert tongue.after(doubtful, LONG) == "en"
    assert not tongue.follow(doubtful, LONG)
    assert (tongue.held_in, tongue.spoken, tongue.looked_as, tongue.heard_as(SHORT // 2)) == ("", "en", None, None)
    assert tongue.follow(Heard(WORDS, "de", 0.9), SHORT_MS)
    assert (tongue.held_in, tongue.spoken) == ("de", "de")


def test_what_is_short_is_heard_in_the_language_of_the_call() -> None:
    tongue = Tongue("auto", "")
    assert tongue.heard_as(SHORT // 2) is None  # nothing is known yet
    assert tongue.looked_as is None
    tongue.settled = "de"
    assert tongue.heard_as(SHORT - 1) == "de"
    assert tongue.heard_as(SHORT) is None
    assert tongue.looked_as == "de"
    fixed = Tongue("fr", "")
    assert (fixed.heard_as(10 * SHORT), fixed.looked_as, fixed.spoken) == ("fr", "fr", "fr")
    assert not fixed.follow(Heard(WORDS, "de", 0.9), LONG)


@dataclass
class Polyglot(ScriptedModels):
    """STAND-IN: hears each turn in the language that the script says."""

    languages: list[str] = field(default_factory=list)

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        number = len(self.memory_of(ask))
        async for item in super().answer(ask):
            if isinstance(item, Heard):
                language = ask.language or self.languages[min(number, len(self.languages) - 1)]
                item = msgspec.structs.replace(item, language=language)
            yield item

    @staticmethod
    def memory_of(ask: Answer) -> list[object]:
        return [line for line in ask.history if line.role == "user"]


def spoken_call(languages: list[str], **dialogue: object) -> Stage:
    models = Polyglot(words=[WORDS], languages=languages, by_turn=True, replies=["Gut, das mache ich gern."])
    stage = Stage(models, dialogue={"partial_every_ms": 0, "language": "auto"} | dialogue)
    for turn in range(len(languages)):
        stage.voice.say(1_000 + 8_000 * turn, 2_800 + 8_000 * turn)
    return stage


@pytest.mark.parametrize("speculation", ["always", "off"])
def test_a_call_follows_its_caller(speculation: str) -> None:
    @in_virtual_time
    async def scene() -> None:
        stage = spoken_call(["en", "de", "de", "de"], speculation=speculation)
        async with stage.up():
            await stage.until(ReplyEnded, 4)
        assert [(e.turn, e.language) for e in stage.all(LanguageChanged)] == [(1, "en"), (3, "de")]
        assert [ask.language for ask in stage.models.spoken if ask.language == "de"]
        assert [e.language for e in stage.all(Transcript) if e.final] == ["en", "de", "de", "de"]
        assert len(stage.all(ReplyStarted)) == 4
        told = [ask.system.rsplit("\n", 1)[-1] for ask in stage.models.answers]
        assert told[0] == "Answer in the language in which the caller speaks."
        assert told[1] == told[2] == "Answer in English."
        # The turn that changed the language is asked again, by its words; the next one in German at once.
        again = next(ask for ask in stage.models.answers if ask.system.endswith("Answer in German."))
        assert (again.audio, again.text) == (None, WORDS)
        assert told[-1] == "Answer in German."
        in_order = [ask.language for ask in stage.models.spoken]
        assert in_order[0] == "en"
        assert in_order[-1] == "de"
        assert len(stage.session.memory.history()) == 8

    scene()


@in_virtual_time
async def test_one_odd_turn_is_answered_in_the_language_of_the_call() -> None:
    stage = spoken_call(["en", "de", "en"])
    async with stage.up():
        await stage.until(ReplyEnded, 3)
    assert {ask.language for ask in stage.models.spoken} == {"en"}
    assert [e.language for e in stage.all(LanguageChanged)] == ["en"]


@in_virtual_time
async def test_a_chosen_language_is_told_to_the_model_and_english_is_not() -> None:
    for language, told in (("en", False), ("de", True)):
        stage = spoken_call(["de"], language=language)
        async with stage.up():
            await stage.until(ReplyEnded)
        assert stage.models.answers[0].system.endswith("Answer in German.") is told
        assert stage.all(LanguageChanged) == []


@in_virtual_time
async def test_a_language_without_a_voice_falls_back_to_english_with_a_warning() -> None:
    only = msgspec.structs.replace(READY, voices={"hibari": ["en"]})
    models = Polyglot(words=[WORDS], languages=["ta"], by_turn=True, replies=["Yes, I can do that."], ready=only)
    stage = Stage(models, dialogue={"partial_every_ms": 0, "language": "auto"})
    stage.voice.say(1_000, 2_800)
    stage.voice.say(9_000, 10_800)
    async with stage.up():
        await stage.until(ReplyEnded, 2)
    (notice,) = stage.all(Notice)
    assert notice.code == "no_voice"
    assert "Tamil" in notice.message
    assert {ask.language for ask in models.spoken} == {"en"}
    assert models.answers[-1].system.endswith("Answer in English.")


@in_virtual_time
async def test_a_chosen_language_without_a_voice_is_told_when_the_call_begins() -> None:
    only = msgspec.structs.replace(READY, voices={"hibari": ["en"]})
    stage = Stage(ScriptedModels(ready=only), dialogue={"partial_every_ms": 0, "language": "kn"})
    stage.voice.say(500, 2_000)
    async with stage.up():
        await stage.until(ReplyEnded)
    assert [e.code for e in stage.all(Notice)] == ["no_voice"]
    assert stage.models.answers[0].language == "kn"  # heard in it all the same
    assert stage.models.spoken[0].language == "en"


@pytest.mark.parametrize("tag", ["DE", "de-AT", "de_CH"])
@in_virtual_time
async def test_a_region_or_capitals_make_no_other_language(tag: str) -> None:
    stage = Stage(dialogue={"partial_every_ms": 0})
    stage.voice.say(500, 2_000)
    async with stage.up():
        stage.session.configure(Configure(language=tag))
        await stage.until(ReplyEnded)
    assert not stage.all(Notice)
    assert stage.models.answers[0].language == "de"
    assert stage.models.spoken[0].language == "de"


@in_virtual_time
async def test_a_code_that_nobody_knows_is_english_with_a_warning() -> None:
    stage = Stage(dialogue={"partial_every_ms": 0, "language": "de"})
    stage.voice.say(500, 2_000)
    async with stage.up():
        stage.session.configure(Configure(language="tlh"))
        await stage.until(ReplyEnded)
    (notice,) = stage.all(Notice)
    assert notice.code == "unsupported_language"
    assert "'tlh'" in notice.message
    assert stage.models.answers[0].language == "en"
    assert stage.models.spoken[0].language == "en"
    assert stage.session.memory.language == "en"
