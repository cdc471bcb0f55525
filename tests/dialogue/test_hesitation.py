"""Recorded speech with a silence in the middle of a sentence, through the real detector and the real models.

Time is virtual, and so is how long the models take; what they say is their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import ScriptedModels
from tests.endpointing.sounds import clip, silence, spoken
from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.endpointing.detector import Detector
from voxrtc.endpointing.networks import Networks
from voxrtc.events import Transcript, TurnEnded
from voxrtc.models import store
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.llm.gguf import Gguf
from voxrtc.models.wire import Answer, Heard, Said, ToolCall, unpack
from voxrtc.settings import Settings

pytestmark = pytest.mark.models


@dataclass
class Engines:
    networks: Networks
    whisper: Whisper
    reader: Gguf


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    cache = Settings().models.cache_path
    ears, reader = (store.ensure(name, cache, lambda what, part: None) for name in ("whisper-base", "smollm2-135m"))
    gguf = Gguf(next(reader.glob("*.gguf")), threads=1, slots=1, context_tokens=512)
    networks = Networks.load(Settings())
    yield Engines(networks, Whisper(ears, threads=2), gguf)
    networks.close()
    gguf.close()


class HearsAndReads(ScriptedModels):
    """Hears and reads by the real models; STAND-IN for the rest: what it answers is scripted."""

    def __init__(self, engines: Engines) -> None:
        super().__init__(asr_s=0.15)
        self._engines = engines

    async def answer(self, ask: Answer) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        assert ask.audio is not None
        self.words = [self._engines.whisper.hear(unpack(ask.audio), "en").text]
        async for item in super().answer(ask):
            yield item

    async def ends(self, text: str, language: str) -> float:
        await super().ends(text, language)
        return self._engines.reader.ending(text)


def call(engines: Engines, strategy: str) -> Stage:
    detector = Detector(
        Settings.model_validate({"endpointing": {"strategy": strategy}}).endpointing, engines.networks.silero
    )
    return Stage(HearsAndReads(engines), detector, prosody=engines.networks.prosody, endpointing={"strategy": strategy})


async def say(stage: Stage, sound: Samples) -> list[TurnEnded]:
    """The turns that become of ``sound`` in a quiet room."""
    samples = np.concatenate([silence(500), sound, silence(3500)])
    async with stage.up():
        stage.ears.say(samples, 0)
        await asyncio.sleep(samples.size / HEARD_RATE)
    return stage.all(TurnEnded)


def hesitating(gap_ms: int) -> Samples:
    """ "He was not an ill-disposed young man - unless to be rather cold-hearted ... is to be ill-disposed." """
    return np.concatenate([spoken("austen-0880"), silence(gap_ms, seed=1), spoken("austen-0890")])


@pytest.mark.parametrize("gap_ms", [400, 600, 900])
def test_who_hesitates_in_a_sentence_is_heard_out(engines: Engines, gap_ms: int) -> None:
    @in_virtual_time
    async def play() -> None:
        stage = call(engines, "fused")
        (turn,) = await say(stage, hesitating(gap_ms))
        assert turn.end - turn.start > hesitating(gap_ms).size - HEARD_RATE * 4 // 10
        (transcript,) = (t for t in stage.all(Transcript) if t.final)
        for words in ("young man", "cold", "selfish"):
            assert words in transcript.text

    play()


def test_silence_alone_cuts_it_in_two(engines: Engines) -> None:
    @in_virtual_time
    async def heard() -> list[TurnEnded]:
        return await say(call(engines, "vad"), hesitating(600))

    first, second = heard()
    assert first.end < second.start


@pytest.mark.parametrize("name", ["austen-0870", "austen-0890", "austen-0920"])
def test_who_is_done_is_answered_before_silence_alone_would(engines: Engines, name: str) -> None:
    @in_virtual_time
    async def waited(strategy: str) -> float:
        (turn,) = await say(call(engines, strategy), clip(name))
        return (turn.at - turn.end) / 16

    fused, vad = waited("fused"), waited("vad")
    assert fused < 450
    assert fused < vad - 100
