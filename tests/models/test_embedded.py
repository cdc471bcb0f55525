"""The embedded profile with its real models (SmolLM2 thinks), as a host drives it."""

import asyncio
import contextlib
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from voxrtc.audio import SPOKEN_RATE, from_pcm16, level_dbfs, resample
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.embedded import Embedded
from voxrtc.models.llm.ending import UNKNOWN
from voxrtc.models.reading import Reading
from voxrtc.models.tts import espeak
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.wire import (
    Answer,
    Ending,
    Ends,
    Heard,
    Prepare,
    Said,
    Speak,
    Tool,
    Transcribe,
    Utterance,
    pack,
    unpack,
)
from voxrtc.models.worker import Job
from voxrtc.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]

SYSTEM = Settings().dialogue.system_prompt
DATA = Path(__file__).parents[1] / "data"


def clip(name: str) -> np.ndarray:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


@pytest.fixture(scope="module")
def told() -> list[tuple[str, float]]:
    return []


@pytest.fixture(scope="module")
def ready_and_profile(told):
    """Loaded once; the workers' threads serve whichever loop asks."""
    profile = Embedded(Settings.model_validate({"models": {"llm": "smollm2-135m", "context_tokens": 1024}}))
    ready = asyncio.run(profile.load(lambda what, fraction: told.append((what, fraction))))
    yield ready, profile
    asyncio.run(profile.close())


@pytest.fixture(scope="module")
def profile(ready_and_profile) -> Embedded:
    return ready_and_profile[1]


async def collect(stream) -> list:
    return [item async for item in stream]


def answer(session="s", *, text=None, audio=None, history=(), tokens=24, language="en", **more) -> Answer:
    return Answer(
        session=session,
        system=SYSTEM,
        history=list(history),
        text=text,
        audio=pack(audio) if audio is not None else None,
        language=language,
        max_tokens=tokens,
        temperature=0.0,
        **more,
    )


async def test_ready_names_what_runs(ready_and_profile, told):
    ready, _ = ready_and_profile
    assert ready.profile == "embedded"
    assert ready.hears == "whisper-base (int8, ctranslate2)"
    assert "SmolLM2" in ready.thinks
    assert ready.speaks == "hibari (English)"
    assert ready.voices["hibari"] == ["en"]
    assert "en" in ready.hears_languages
    assert ready.load_s > 0
    assert told[-1] == ("ready", 1.0)
    assert {"loading whisper-base", "loading smollm2-135m"} <= {what for what, _ in told}


async def test_speech_is_heard_then_answered(profile):
    items = await collect(profile.answer(answer(audio=clip("austen-0930"))))
    heard, *said = items
    assert isinstance(heard, Heard)
    assert heard.text.startswith("He might even have been made amiable")
    assert heard.took_ms > 0
    assert said
    assert all(isinstance(item, Said) and item.text for item in said)


async def test_text_is_answered_without_being_heard(profile):
    items = await collect(profile.answer(answer(text="What is the capital of France?")))
    assert items
    assert all(isinstance(item, Said) for item in items)
    assert "France" in "".join(item.text for item in items)


async def test_noise_is_heard_as_nothing_and_not_answered(profile):
    hiss = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.05
    (heard,) = await collect(profile.answer(answer(audio=hiss)))
    assert heard.text == ""


@pytest.mark.parametrize("partial", [False, True])
async def test_transcribe(profile, partial):
    (heard,) = await collect(profile.transcribe(Transcribe(pack(clip("jfk")), "en", partial)))
    assert "ask not what your country" in heard.text
    assert heard.confidence > 0.6


async def test_language_may_be_left_open(profile):
    for language in (None, "auto"):
        (heard,) = await collect(profile.transcribe(Transcribe(pack(clip("jfk")), language)))
        assert heard.language == "en"


async def test_an_unknown_language_is_refused_with_a_sentence(profile):
    with pytest.raises(ModelsError, match="'xx'"):
        await collect(profile.transcribe(Transcribe(pack(clip("jfk")), "xx")))


async def ends(profile, text: str, language: str = "en") -> float:
    (ending,) = await collect(profile.ends(Ends(text, language)))
    assert isinstance(ending, Ending)
    return ending.probability


async def test_whole_turns_are_told_from_their_beginnings(profile):
    for said in ("Could you call me back tomorrow", "I'd like to book a table for two", "Tell me a joke"):
        words = said.split()
        assert await ends(profile, said) > 0.2
        assert await ends(profile, " ".join(words[:2])) < 0.1


async def test_words_of_other_languages_are_not_read(profile):
    for language in ("de", "fr", "ja", "", "auto"):
        assert await ends(profile, "Tell me a joke", language) < 0


async def test_reading_for_an_end_may_be_given_up(profile):
    stream = profile.ends(Ends("Tell me a joke", "en"))
    asking = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert await ends(profile, "Tell me a joke") > 0.2


async def test_without_a_model_that_reads_nothing_is_told(profile, monkeypatch):
    monkeypatch.setattr(profile.reading, "_turns", None)
    assert await ends(profile, "Tell me a joke") < 0


async def test_no_model_that_reads_is_loaded_where_none_is_wanted():
    """Nor fetched: the store is not asked."""
    settings = Settings.model_validate({"models": {"turns": "none", "cache_dir": "/nonexistent"}})
    reading = Reading(settings.models)
    reading.load(lambda what, fraction: None)
    assert await collect(reading.ends(Ends("Tell me a joke", "en"))) == [Ending(UNKNOWN)]
    await reading.close()


async def test_closing_an_answer_stops_the_model(profile, monkeypatch):
    """The request ends within two tokens of the one that was read last, not after all of its 400."""
    usages = []
    generate = profile.thinking.gguf.generate

    def watched(*args, **kwargs):
        usages.append(generate(*args, **kwargs))
        return usages[-1]

    monkeypatch.setattr(profile.thinking.gguf, "generate", watched)
    stream = profile.answer(answer(text="Tell me a long story about a king and his ships.", tokens=400))
    for _ in range(3):
        await anext(stream)
    await stream.aclose()
    await collect(profile.answer(answer(text="Hello.", tokens=2)))  # the same slot: comes after the stopped one
    assert 3 <= usages[0].said <= 40


async def test_answers_give_prepare_no_way(profile):
    """A prepare for another session is under way; an answer stops it, and is itself whole."""
    long = "I was wondering, while I walked along the river, " * 12
    preparing = asyncio.create_task(collect(profile.prepare(Prepare("other", SYSTEM, [], long))))
    await asyncio.sleep(0)
    items = await collect(profile.answer(answer(text="What is the capital of France?")))
    assert items
    assert await preparing == []


async def test_many_that_are_to_be_prepared_delay_no_answer(profile, monkeypatch):
    """What waits is not begun once an answer is asked for, and what runs stops at its next step."""
    text = answer("v", text="What is the capital of France?")
    await collect(profile.answer(text))  # its prompt is read
    began = time.monotonic()
    await collect(profile.answer(text))
    alone = time.monotonic() - began
    kinds, running = [], asyncio.Event()
    loop, generate = asyncio.get_running_loop(), profile.thinking.gguf.generate

    def watched(*args, **kwargs):
        kinds.append("prepare" if kwargs.get("call") is None and kwargs.get("tools") else "answer")
        loop.call_soon_threadsafe(running.set)
        return generate(*args, **kwargs)

    monkeypatch.setattr(profile.thinking.gguf, "generate", watched)
    described = "It tells what the weather is like. " * 6
    many = [[Tool(f"f{n}_{k}", described, {"type": "object", "properties": {}}) for k in range(5)] for n in range(30)]
    preparing = [
        asyncio.create_task(collect(profile.prepare(Prepare("other", SYSTEM, [], "Hello.", tools)))) for tools in many
    ]
    await running.wait()
    began = time.monotonic()
    assert await collect(profile.answer(text))
    took = time.monotonic() - began
    assert await asyncio.gather(*preparing) == [[]] * len(many)
    assert kinds.count("answer") == 1
    assert kinds.count("prepare") <= 4, "those that ran when the answer was asked for"
    assert took <= 4 * alone + 1.0


async def test_a_guess_that_gave_way_while_it_waited_is_not_begun(profile, monkeypatch):
    begun = []
    monkeypatch.setattr(profile.thinking.gguf, "generate", lambda *args, **kwargs: begun.append(args))
    job = Job(profile.thinking._think(answer(text="Hello."), "Hello.", 0), Urgency(SPECULATIVE))
    job.hurry()
    job.run()
    with pytest.raises(GaveWay):
        await collect(job.results())
    assert begun == []


async def test_prepare_does_nothing_while_a_caller_waits(profile, monkeypatch):
    asked = []
    monkeypatch.setattr(profile.thinking, "_read", lambda *args: asked.append(args))
    stream = profile.answer(answer(text="Tell me about the sea.", tokens=60))
    await anext(stream)
    assert await collect(profile.prepare(Prepare("other", SYSTEM, [], "How are"))) == []
    assert asked == []
    await stream.aclose()


async def test_prepared_words_are_not_read_again(profile, monkeypatch):
    usages = []
    generate = profile.thinking.gguf.generate
    monkeypatch.setattr(
        profile.thinking.gguf, "generate", lambda *a, **k: usages.append(generate(*a, **k)) or usages[-1]
    )
    history = [Utterance("user", "Hello."), Utterance("assistant", "Hi, what can I do", interrupted=True)]
    words = "I would like to know how far it is from Paris"
    assert await collect(profile.prepare(Prepare("p", SYSTEM, history, words))) == []
    await collect(profile.answer(answer("p", text=words + " to Berlin.", history=history)))
    prepared, answered = usages
    assert answered.cached >= prepared.prompt - 8


async def test_two_sessions_interleaved_do_not_read_each_other(profile, monkeypatch):
    usages = []
    generate = profile.thinking.gguf.generate
    monkeypatch.setattr(
        profile.thinking.gguf, "generate", lambda *a, **k: usages.append(generate(*a, **k)) or usages[-1]
    )
    topics = {"a": "the mountains of the moon", "b": "birds that can fly backwards"}
    histories: dict[str, list[Utterance]] = {name: [] for name in topics}
    for _ in range(3):
        for name, topic in topics.items():
            text = f"Tell me something about {topic}, please."
            items = await collect(profile.answer(answer(name, text=text, history=histories[name])))
            histories[name] += [Utterance("user", text), Utterance("assistant", "".join(i.text for i in items))]
    for usage in usages[2:]:
        assert usage.prompt - usage.cached <= 60, "only the last reply and the new line"


async def test_two_callers_at_once_are_both_answered(profile):
    first, second = await asyncio.gather(
        collect(profile.answer(answer("a", audio=clip("austen-0930")))),
        collect(profile.answer(answer("b", audio=clip("austen-0880")))),
    )
    assert "amiable" in first[0].text
    assert "young man" in second[0].text
    assert len(first) > 1
    assert len(second) > 1


async def test_a_guess_gives_way_to_what_another_caller_waits_for(profile):
    guess = profile.answer(answer("a", text="Tell me a long story about the sea.", tokens=400), Urgency(SPECULATIVE))
    await anext(guess)
    real = profile.answer(answer("b", text="What is the capital of France?"))
    assert await anext(real)
    with pytest.raises(GaveWay):
        await collect(guess)
    assert await collect(real)


async def test_a_guess_waits_for_a_moment_in_which_no_caller_waits(profile):
    real = profile.answer(answer("b", text="Tell me a long story about the sea.", tokens=400))
    assert await anext(real)
    waiting, released = Urgency(SPECULATIVE), Urgency(SPECULATIVE)
    order: list[str] = []

    async def guess(name: str, urgency: Urgency) -> None:
        await collect(profile.answer(answer(name, text="Hello.", tokens=2), urgency))
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(guess("a", waiting))
        task = group.create_task(guess("c", released))
        await asyncio.sleep(0)
        released.release()
        await task
        order.append("released")
        await real.aclose()
    assert order == ["c", "released", "a"]


async def test_a_released_guess_does_not_give_way(profile):
    urgency = Urgency(SPECULATIVE)
    guess = profile.answer(answer("a", text="Tell me a long story about the sea.", tokens=60), urgency)
    await anext(guess)
    urgency.release()
    assert await collect(profile.answer(answer("b", text="What is the capital of France?")))
    assert await collect(guess)


async def test_partials_give_way_to_a_final_transcript(profile):
    """They have a thread of their own and end as soon as they can: with nothing, where they had not got far."""
    texts: dict[str, str] = {}

    async def run(name: str, partial: bool) -> None:
        (heard,) = await collect(profile.transcribe(Transcribe(pack(clip("jfk")), "en", partial)))
        texts[name] = heard.text

    async with asyncio.TaskGroup() as group:
        for i in range(3):
            group.create_task(run(f"partial {i}", True))
        group.create_task(run("final", False))
    assert "country" in texts["final"]
    assert "" in (texts["partial 0"], texts["partial 1"], texts["partial 2"])


async def test_cancelled_tasks_leave_nothing_waiting(profile):
    async def ask() -> None:
        await collect(profile.answer(answer(audio=clip("jfk"), tokens=400)))

    for _ in range(5):
        task = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert not profile._traffic.any
    assert await collect(profile.answer(answer(text="Hello.", tokens=3)))


async def test_speech_comes_a_sentence_at_a_time_and_is_understood(profile):
    text = "The museum opens at nine. It closes at five."
    items = await collect(profile.speak(Speak(text=text)))
    assert [text[i.start : i.end] for i in items] == ["The museum opens at nine.", "It closes at five."]
    said = resample(np.concatenate([unpack(i.samples) for i in items]), SPOKEN_RATE, 16_000)
    (heard,) = await collect(profile.transcribe(Transcribe(pack(said), "en")))
    assert "museum" in heard.text
    assert "closes" in heard.text


async def test_nothing_to_say_is_no_speech(profile):
    assert await collect(profile.speak(Speak(text="... 😀"))) == []


@pytest.mark.skipif(not espeak.installed(), reason="the extra espeak is not installed")
async def test_other_languages_are_spoken_by_espeak(profile):
    (speech,) = await collect(profile.speak(Speak(text="Guten Tag, wie geht es?", voice="hibari", language="de")))
    assert level_dbfs(unpack(speech.samples)) > -35


async def test_other_languages_without_espeak_are_refused(profile, monkeypatch):
    voices = {name: voice for name, voice in profile.speaking.voices.items() if name != "espeak"}
    monkeypatch.setattr(profile.speaking, "voices", voices)
    with pytest.raises(ModelsError, match=r"voxrtc\[espeak\]"):
        await collect(profile.speak(Speak(text="Guten Tag", language="de")))


async def test_an_unknown_voice_is_refused(profile):
    with pytest.raises(ModelsError, match="no voice 'elvis'"):
        await collect(profile.speak(Speak(text="Hello", voice="elvis")))


async def test_before_loading_every_verb_is_refused():
    profile = Embedded(Settings())
    try:
        with pytest.raises(ModelsError, match="not loaded"):
            await collect(profile.answer(answer(text="Hello.")))
        with pytest.raises(ModelsError, match="not loaded"):
            await collect(profile.speak(Speak(text="Hello.")))
    finally:
        await profile.close()
