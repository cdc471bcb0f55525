"""A host process with the voxtral profile and a tiny random checkpoint on the CPU.

What it says is nonsense, how it says it is not."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

pytest.importorskip("mistral_common", reason="the gpu extra is not installed")

from voxrtc.audio import Samples, from_pcm16
from voxrtc.errors import ModelsError
from voxrtc.languages import voxtral_hears
from voxrtc.models.client import HostClient
from voxrtc.models.wire import Answer, Heard, Prepare, Said, Speak, Utterance, pack
from voxrtc.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
DATA = Path(__file__).parents[2] / "data"


def clip(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def settings(checkpoint: Path | str, **models: Any) -> Settings:
    chosen = {"profile": "voxtral", "device": "cpu", "voxtral": str(checkpoint), "threads": 1, "context_tokens": 2048}
    return Settings.model_validate({"server": {"max_calls": 2}, "models": chosen | models})


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(checkpoint: Path, told: list[str]) -> AsyncIterator[HostClient]:
    client = HostClient(settings(checkpoint))
    await client.start(lambda what, fraction: told.append(what))
    yield client
    await client.close()


def ask(audio: Samples | None = None, **more: Any) -> Answer:
    more = {"session": "s", "system": "Be brief.", "history": [], "language": "en", "max_tokens": 12, "seed": 1} | more
    return Answer(audio=pack(audio) if audio is not None else None, **more)


async def test_ready_names_what_runs(host: HostClient, told: list[str]) -> None:
    ready = host.ready
    assert ready is not None
    assert ready.profile == "voxtral"
    assert ready.hears == "tiny; whisper-base (int8, ctranslate2) for what it does not hear"
    assert "tiny (device: CPU" in ready.thinks
    assert ready.voices["hibari"] == ["en"]
    assert {"en", "hi", "ja"} <= set(ready.hears_languages)
    assert "ta" not in ready.hears_languages, "nobody here makes usable text of it"
    assert "loading Voxtral" in told


async def test_a_clip_is_answered_and_heard(host: HostClient) -> None:
    items = [item async for item in host.answer(ask(clip("jfk")))]
    (heard,) = [item for item in items if isinstance(item, Heard)]
    assert heard.language == "en"
    assert heard.text
    assert 0 < heard.confidence < 1
    assert "".join(item.text for item in items if isinstance(item, Said))


async def test_equal_asks_are_answered_equally_whatever_else_runs(host: HostClient) -> None:
    async def answer(session: str) -> list[Any]:
        return [item async for item in host.answer(ask(clip("jfk"), session=session, temperature=0.7))]

    def words(items: list[Any]) -> tuple[str, str]:
        heard = "".join(item.text for item in items if isinstance(item, Heard))
        return heard, "".join(item.text for item in items if isinstance(item, Said))

    alone = words(await answer("alone"))
    together = await asyncio.gather(*(answer(f"session {number}") for number in range(3)))
    assert [words(items) for items in together] == [alone] * 3


async def test_a_conversation_goes_on(host: HostClient) -> None:
    history: list[Utterance] = []
    for _ in range(3):
        items = [item async for item in host.answer(ask(clip("jfk"), session="talk", history=list(history)))]
        heard = "".join(item.text for item in items if isinstance(item, Heard))
        said = "".join(item.text for item in items if isinstance(item, Said))
        assert heard
        assert said
        history += [Utterance("user", heard), Utterance("assistant", said.strip())]
        await host.prepare(Prepare("talk", "Be brief.", list(history), "And"))


async def test_what_voxtral_does_not_hear_is_heard_by_whisper(host: HostClient) -> None:
    assert not voxtral_hears("ja")
    items = [item async for item in host.answer(ask(clip("jfk"), language="ja"))]
    assert isinstance(items[0], Heard), "whisper's come first"
    assert items[0].language == "ja"
    assert all(isinstance(item, Said) for item in items[1:])


async def test_the_language_is_found_where_none_is_given(host: HostClient) -> None:
    for language in (None, "auto"):
        items = [item async for item in host.answer(ask(clip("jfk"), language=language))]
        (heard,) = [item for item in items if isinstance(item, Heard)]
        assert heard.language == "en"
    assert (await host.transcribe(clip("jfk"), partial=True)).language == "en"


async def test_silence_is_heard_as_nothing(host: HostClient) -> None:
    items = [item async for item in host.answer(ask(np.zeros(16_000, np.float32)))]
    assert [item.text for item in items] == [""]


async def test_an_answer_that_is_closed_ends(host: HostClient) -> None:
    stream = host.answer(ask(clip("jfk"), max_tokens=1000))
    await anext(stream)
    await stream.aclose()
    assert [item async for item in host.answer(ask(clip("jfk"), max_tokens=2))]


async def test_what_is_too_long_is_refused_with_a_sentence(host: HostClient) -> None:
    with pytest.raises(ModelsError, match=r"models\.context_tokens"):
        _ = [item async for item in host.answer(ask(text="word " * 3000))]


async def test_the_other_rooms_are_there(host: HostClient) -> None:
    assert [speech async for speech in host.speak(Speak("Hello there."))]
    assert await host.ends("Tell me a joke", "en") > 0.2


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({"device": "cuda"}, r'models\.device = "cpu"'),
        ({"voxtral": "/nonexistent/checkpoint"}, "/nonexistent/checkpoint"),
    ],
)
async def test_what_cannot_be_loaded_is_a_sentence(checkpoint: Path, models: dict[str, Any], said: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() and "device" in models:
        pytest.skip("there is a GPU")
    client = HostClient(settings(checkpoint, asr="whisper-base", **models))
    try:
        with pytest.raises(ModelsError, match=said):
            await client.start()
    finally:
        await client.close()
