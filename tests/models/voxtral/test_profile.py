"""The voxtral profile: with scripted words in a real loop, then with a tiny random Voxtral on the CPU."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from tests.models.voxtral.words_runner import WordsRunner
from voxrtc.audio import Samples, from_pcm16
from voxrtc.errors import ModelsError
from voxrtc.models.urgency import SPECULATIVE, Urgency
from voxrtc.models.voxtral.mind import Mind
from voxrtc.models.voxtral.profile import Voxtral
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Answer, Heard, Prepare, Said, Tool, ToolCall, Transcribe, Utterance, pack
from voxrtc.settings import Settings

DATA = Path(__file__).parents[2] / "data"
SYSTEM = "Be brief."
WEATHER = Tool("weather", "The weather.", {"type": "object", "properties": {}})


def clip(name: str = "jfk") -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def sound(seconds: float = 1.0) -> Samples:
    return np.full(int(seconds * 16_000), 0.1, np.float32)


def ask(session: str = "s", *, audio: Samples | None = None, **more: Any) -> Answer:
    more = {"history": [], "language": "en", "max_tokens": 40, "temperature": 0.0} | more
    return Answer(session, SYSTEM, audio=pack(audio) if audio is not None else None, **more)


async def collect(stream: AsyncGenerator[Any, None]) -> list[Any]:
    return [item async for item in stream]


def said(items: list[Any]) -> str:
    return "".join(item.text for item in items if isinstance(item, Said))


def heard(items: list[Any]) -> Heard:
    (one,) = [item for item in items if isinstance(item, Heard)]
    return one


class Scene:
    """A profile whose Voxtral is scripted; whisper and the voices are not loaded."""

    def __init__(self, tokens: Tokens, transcripts: list[str], replies: list[Any], **more: Any) -> None:
        self.runner = WordsRunner(tokens, transcripts, replies, **more)
        self.broken: list[ModelsError] = []
        settings = Settings.model_validate({"models": {"profile": "voxtral", "device": "cpu"}})
        self.profile = Voxtral(settings, on_broken=self.broken.append)
        self.mind = self.profile.mind = Mind(self.runner, tokens, 16, self.broken.append)

    async def __aenter__(self) -> Scene:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.runner.hold.set()
        await self.profile.close()
        assert self.runner.closed

    async def turn(self, **more: Any) -> list[Any]:
        return await collect(self.profile.answer(ask(audio=sound(), **more)))


async def test_one_encoding_is_heard_and_answered(tokens: Tokens) -> None:
    async with Scene(tokens, ["Can you help me?"], ["Yes, of course."]) as scene:
        items = await scene.turn()
    assert heard(items) == Heard("Can you help me?", "en", pytest.approx(0.5), heard(items).took_ms)
    assert said(items) == "Yes, of course."
    assert len(scene.runner.encoded) == 1
    reply, transcript = sorted(scene.runner.prompts, key=lambda ids: ids[-1] == tokens.transcribe)
    assert reply[:3] == [tokens.bos, tokens.begin_inst, tokens.begin_audio]
    assert reply[3:378] == transcript[3:378]
    assert tokens.decode(reply[378:]) == SYSTEM
    assert tokens.decode(transcript[378:]) == "lang:en"


async def test_the_answer_does_not_wait_for_the_end_of_the_transcript(tokens: Tokens) -> None:
    long = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for it."
    async with Scene(tokens, [long], ["Yes."]) as scene:
        items = await collect(scene.profile.answer(ask(audio=sound(9))))
    assert isinstance(items[0], Said)
    assert isinstance(items[-1], Heard)


async def test_the_next_turn_reads_only_what_is_new(tokens: Tokens) -> None:
    async with Scene(tokens, ["One.", "Two.", "Three."], ["First answer.", "Second answer.", "Third."]) as scene:
        history: list[Utterance] = []
        for number in range(3):
            items = await scene.turn(history=list(history))
            usage = scene.mind.usage("s")
            assert usage is not None
            if number:
                # </s> [INST] [BEGIN_AUDIO] sound [/INST]; and the answer's last token, which was never read
                assert usage.prefilled == 375 + 4 + 1 - 1, "the sound of before is not read again, nor is any text"
            history += [Utterance("user", heard(items).text), Utterance("assistant", said(items))]
    assert len(scene.runner.encoded) == 3


async def test_what_was_interrupted_is_read_as_text(tokens: Tokens) -> None:
    async with Scene(tokens, ["One.", "Two."], ["First answer.", "Second."]) as scene:
        await scene.turn()
        await scene.turn(history=[Utterance("user", "One."), Utterance("assistant", "First", interrupted=True)])
        assert "First—" in tokens.decode(scene.runner.prompts[-1]) + tokens.decode(scene.runner.prompts[-2])
        usage = scene.mind.usage("s")
        assert usage is not None
        assert usage.reused >= 379, "the sound of before stays"


async def test_no_words_end_it(tokens: Tokens) -> None:
    async with Scene(tokens, ["..."], ["What do you mean by that? Tell me more of it, please, if you can."]) as scene:
        items = await scene.turn()
        assert heard(items).text == ""
        assert isinstance(items[-1], Heard)
        following = await scene.turn()
    assert isinstance(following[-1], Heard)


async def test_digital_silence_is_not_even_listened_to(tokens: Tokens) -> None:
    async with Scene(tokens, ["Thank you."], ["Yes."]) as scene:
        silence = np.zeros(16_000, np.float32)
        assert await collect(scene.profile.answer(ask(audio=silence))) == [Heard("", "en", 0.0)]
        assert await collect(scene.profile.transcribe(Transcribe(pack(silence), "en"))) == [Heard("", "en", 0.0)]
        assert await collect(scene.profile.answer(ask(audio=np.zeros(0, np.float32)))) == [Heard("", "en", 0.0)]
    assert scene.runner.encoded == []


async def test_text_is_answered(tokens: Tokens) -> None:
    async with Scene(tokens, ["x"], ["Paris."]) as scene:
        items = await collect(scene.profile.answer(ask(text="The capital of France?")))
        assert await collect(scene.profile.answer(ask(text=" "))) == []
    assert items == [Said("Paris.")]
    assert tokens.decode(scene.runner.prompts[0]) == "Be brief.\n\nThe capital of France?"


async def test_a_function_is_called_and_its_result_read(tokens: Tokens) -> None:
    call = [tokens.tool_calls, *tokens.encode('[{"name": "weather", "arguments": {"city": "Rome"}}]')]
    async with Scene(tokens, ["How is it in Rome?"], [call, "It rains."]) as scene:
        items = await scene.turn(tools=[WEATHER])
        (called,) = [item for item in items if isinstance(item, ToolCall)]
        assert (called.name, called.arguments) == ("weather", '{"city": "Rome"}')
        steps = [Utterance("call", '{"name": "weather", "arguments": {"city": "Rome"}}'), Utterance("result", '"rain"')]
        more = await collect(scene.profile.answer(ask(text=heard(items).text, tools=[WEATHER], steps=steps)))
    assert said(more) == "It rains."
    assert any(number < 0 for number in scene.runner.prompts[-1]), "what was heard is still sound"
    assert len(scene.runner.encoded) == 1


async def test_what_may_not_call_has_its_words_only(tokens: Tokens) -> None:
    call = [*tokens.encode("It rains."), tokens.tool_calls, *tokens.encode("[]")]
    async with Scene(tokens, ["x"], [call]) as scene:
        items = await collect(scene.profile.answer(ask(text="Well?", tools=[WEATHER], may_call=False)))
    assert said(items) == "It rains."


async def test_an_answer_that_fails_tells_what_was_heard_first(tokens: Tokens) -> None:
    async with Scene(tokens, ["Can you help me?"], ["Yes."]) as scene:
        scene.runner.failing = {"reply"}
        stream = scene.profile.answer(ask(audio=sound()))
        assert (await anext(stream)).text == "Can you help me?"
        with pytest.raises(ModelsError, match="Voxtral failed"):
            await anext(stream)


async def test_a_transcript_that_fails_is_a_failure(tokens: Tokens) -> None:
    async with Scene(tokens, ["Can you help me?"], ["Yes."]) as scene:
        scene.runner.failing = {"transcript"}
        with pytest.raises(ModelsError, match="Voxtral failed"):
            await scene.turn()
        scene.runner.failing = set()
        assert said(await scene.turn()) == "Yes."


async def test_closing_an_answer_ends_both(tokens: Tokens) -> None:
    async with Scene(tokens, ["So much to say " * 30], ["So much to say " * 30]) as scene:
        scene.runner.holds_before = 5
        stream = scene.profile.answer(ask(audio=sound(20), max_tokens=400))
        await anext(stream)
        assert await asyncio.to_thread(scene.runner.held.wait, 30)
        await stream.aclose()
        scene.runner.hold.set()
        before = scene.mind._loop.statistics().tokens
        assert said(await scene.turn(max_tokens=3))  # the same session, after what was closed
        statistics = scene.mind._loop.statistics()
        assert (statistics.running, statistics.waiting) == (0, 0)
        assert statistics.tokens - before <= 3 + 21 + 2 * 2, "of its own, and two steps of what was closed"


async def test_a_released_guess_is_what_somebody_waits_for(tokens: Tokens) -> None:
    async with Scene(tokens, ["Hello."], ["Hi there."]) as scene:
        scene.runner.hold.clear()
        urgency = Urgency(SPECULATIVE)
        asking = asyncio.create_task(collect(scene.profile.answer(ask(audio=sound()), urgency)))
        await asyncio.sleep(0)
        urgency.release()
        scene.runner.hold.set()
        assert said(await asking) == "Hi there."


async def test_prepare_reads_what_every_next_prompt_begins_with(tokens: Tokens) -> None:
    async with Scene(tokens, ["One.", "Two."], ["First answer.", "Second."]) as scene:
        assert await collect(scene.profile.prepare(Prepare("s", SYSTEM, [], "On"))) == []
        items = await scene.turn()
        history = [Utterance("user", "One."), Utterance("assistant", said(items))]
        await collect(scene.profile.prepare(Prepare("s", SYSTEM, history, "Tw")))
        await scene.turn(history=history)
        usage = scene.mind.usage("s")
    assert usage is not None
    assert usage.prefilled == 375 + 2, "[BEGIN_AUDIO], sound, [/INST]"


async def test_the_answer_cancels_what_is_read_ahead_for_it(tokens: Tokens) -> None:
    async with Scene(tokens, ["One.", "Two."], ["First.", "Second."]) as scene:
        items = await scene.turn()
        history = [Utterance("user", "One."), Utterance("assistant", said(items))]
        scene.runner.hold.clear()
        preparing = asyncio.create_task(collect(scene.profile.prepare(Prepare("s", SYSTEM, history, "Tw"))))
        answering = asyncio.create_task(scene.turn(history=history))
        await asyncio.sleep(0)
        scene.runner.hold.set()
        assert said(await answering) == "Second."
        assert await preparing == []


@pytest.mark.parametrize(("partial", "patient"), [(False, False), (True, False), (False, True)])
async def test_transcribe(tokens: Tokens, partial: bool, patient: bool) -> None:
    async with Scene(tokens, ["Ask not."], ["x"]) as scene:
        (one,) = await collect(scene.profile.transcribe(Transcribe(pack(sound()), "en", partial, patient)))
    assert (one.text, one.language) == ("Ask not.", "en")
    assert one.confidence == pytest.approx(0.5)


async def test_a_loop_is_left_to_one_and_its_length_is_bounded(tokens: Tokens) -> None:
    async with Scene(tokens, ["again " * 500], ["x"]) as scene:
        (one,) = await collect(scene.profile.transcribe(Transcribe(pack(sound(2)), "en")))
    assert one.text in ("again", "again again")


async def test_before_it_is_loaded_every_verb_is_refused() -> None:
    profile = Voxtral(Settings())
    for stream in (
        profile.answer(ask(text="Hello")),
        profile.transcribe(Transcribe(b"", "en")),
        profile.prepare(Prepare("s", "", [], "Hello")),
    ):
        with pytest.raises(ModelsError, match="not loaded"):
            await collect(stream)
    await profile.close()
