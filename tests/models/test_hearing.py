"""The room where whisper hears, with the real whisper-base."""

import asyncio
import wave
from pathlib import Path

import numpy as np
import pytest

from voxrtc.audio import from_pcm16
from voxrtc.errors import ModelsError
from voxrtc.models.hearing import Hearing
from voxrtc.models.wire import pack
from voxrtc.settings import Settings

pytestmark = [pytest.mark.models, pytest.mark.asyncio(loop_scope="module")]
JFK = Path(__file__).parents[1] / "data" / "jfk.wav"


def jfk() -> bytes:
    with wave.open(str(JFK)) as file:
        return pack(from_pcm16(file.readframes(file.getnframes())))


@pytest.fixture(scope="module")
def hearing():
    """Asked for a GPU, and none is there: it hears all the same."""
    room = Hearing(Settings().models, "cuda")
    room.load(lambda what, fraction: None)
    yield room
    asyncio.run(room.close())


async def test_it_hears_on_the_cpu_where_no_gpu_can_be_used(hearing, caplog):
    import ctranslate2

    if ctranslate2.get_cuda_device_count():
        pytest.skip("there is a GPU")
    assert hearing.title == "whisper-base (int8, ctranslate2)"
    heard = [item async for item in hearing.hear(jfk(), "en")]
    assert "country" in heard[0].text


async def test_the_language_is_told_without_words(hearing):
    code, probability = await hearing.detect(jfk())
    assert code == "en"
    assert 0.8 < probability <= 1.0


async def test_silence_has_no_language(hearing):
    assert await hearing.detect(pack(np.zeros(16_000, np.float32))) == ("", 0.0)
    assert await hearing.detect(b"") == ("", 0.0)


async def test_what_it_hears_is_told_by_the_table(hearing):
    assert hearing.languages == ["en", "hi", "es", "fr", "de", "it", "pt", "ja", "ko", "zh", "ms"]
    large = Hearing(Settings.model_validate({"models": {"asr": "whisper-large-v3-turbo"}}).models)
    assert "ta" in large.languages
    await large.close()


async def test_before_it_is_loaded_it_refuses():
    room = Hearing(Settings().models)
    with pytest.raises(ModelsError, match="not loaded"):
        await room.detect(jfk())
    with pytest.raises(ModelsError, match="not loaded"):
        _ = [item async for item in room.hear(jfk(), "en")]
    await room.close()
