"""A host process that speaks with Chatterbox, of a tiny random checkpoint, on the CPU.

What it says is noise; who is told what, and when it ends, is not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

pytest.importorskip("torch", reason="the gpu extra is not installed")
pytest.importorskip("soundfile", reason="the gpu extra is not installed")

from tests.models.chatterbox import checkpoints
from voxrtc.errors import ModelsError
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Speak, unpack
from voxrtc.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
CLIP = Path(__file__).parents[2] / "data" / "jfk.wav"


def settings(checkpoint: Path, voices: Path) -> Settings:
    return Settings.model_validate(
        {
            "server": {"max_calls": 2},
            "models": {"llm": "smollm2-135m", "context_tokens": 1024, "threads": 1, "device": "cpu", "turns": "none"},
            "tts": {
                "engine": "chatterbox",
                "chatterbox": str(checkpoint),
                "voices_dir": str(voices),
                "watermark": False,
            },
        }
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostClient]:
    voices = tmp_path_factory.mktemp("voices")
    for name in ("anna", "john"):
        (voices / f"{name}.wav").write_bytes(CLIP.read_bytes())
    client = HostClient(settings(checkpoints.save(tmp_path_factory.mktemp("chatterbox")), voices))
    await client.start(lambda what, fraction: None)
    yield client
    await client.close()


async def said(host: HostClient, ask: Speak) -> tuple[np.ndarray, list[tuple[int, int]]]:
    parts = [speech async for speech in host.speak(ask)]
    assert parts
    return np.concatenate([unpack(part.samples) for part in parts]), [(part.start, part.end) for part in parts]


async def test_ready_names_its_voices(host: HostClient) -> None:
    ready = host.ready
    assert ready is not None
    assert ready.speaks.startswith("Chatterbox (device: CPU")
    assert list(ready.voices)[:3] == ["chatterbox", "anna", "john"]
    assert {"en", "es", "zh"} <= set(ready.voices["anna"])


async def test_a_clause_is_spoken_with_the_spans_of_its_text(host: HostClient) -> None:
    text = "Good morning, how are you today?"
    samples, spans = await said(host, Speak(text))
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() > 0
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


async def test_a_clause_that_is_left_in_its_middle_ends_and_others_go_on(host: HostClient) -> None:
    async def leave() -> None:
        async with aclosing(host.speak(Speak("This is a long sentence that nobody will hear to its end."))) as speech:
            await anext(speech)

    _, (samples, spans) = await asyncio.gather(leave(), said(host, Speak("Good evening.", voice="john")))
    assert samples.size
    assert spans[-1][1] == len("Good evening.")


async def test_two_voices_of_clips_at_once(host: HostClient) -> None:
    asks = [Speak("Hello there.", voice="anna"), Speak("Buenas tardes.", voice="john", language="es")]
    for (samples, spans), ask in zip(await asyncio.gather(*(said(host, ask) for ask in asks)), asks, strict=True):
        assert samples.size
        assert spans[-1][1] == len(ask.text)


async def test_a_voice_that_is_not_there_is_refused(host: HostClient) -> None:
    with pytest.raises(ModelsError, match="no voice 'elvis'"):
        await said(host, Speak("Hello.", voice="elvis"))
