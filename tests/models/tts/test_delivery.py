"""How emotions sound: the numbers of the table at an intensity, and what the voices make of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.models.speaking import Speaking
from voxrtc.models.tts import espeak
from voxrtc.models.tts.delivery import delivery, silence, speed
from voxrtc.models.wire import Speak, Speech, unpack
from voxrtc.settings import EMOTIONS, Delivery, Emotion, Settings

TABLE = Emotion()


def test_at_intensity_1_it_is_what_the_table_says() -> None:
    for name in EMOTIONS:
        sounds, row = delivery(TABLE, name, 1.0), getattr(TABLE, name)
        assert sounds.model_dump() == pytest.approx(row.model_dump())


def test_intensity_goes_further_from_neutral_or_less_far() -> None:
    weak, plain, strong = (delivery(TABLE, "excited", intensity) for intensity in (0.5, 1.0, 2.0))
    assert TABLE.neutral.exaggeration < weak.exaggeration < plain.exaggeration < strong.exaggeration
    assert TABLE.neutral.cfg_weight > weak.cfg_weight > plain.cfg_weight > strong.cfg_weight
    assert 1.0 < weak.speed < plain.speed < strong.speed
    sad = delivery(TABLE, "sad", 2.0)
    assert sad.pause_ms == 2 * TABLE.sad.pause_ms
    assert sad.speed < TABLE.sad.speed
    assert sad.exaggeration < TABLE.sad.exaggeration


@pytest.mark.parametrize(("emotion", "table"), [("neutral", TABLE), ("bored", TABLE), ("sad", Emotion(enabled=False))])
def test_neutral_unknown_and_off(emotion: str, table: Emotion) -> None:
    assert delivery(table, emotion, 2.0) == table.neutral


ROW = st.builds(
    Delivery,
    exaggeration=st.floats(0.25, 2.0),
    cfg_weight=st.floats(0.0, 1.0),
    speed=st.floats(0.5, 2.0),
    pause_ms=st.integers(0, 1_000),
)


@given(ROW, ROW, st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_whatever_the_table_the_numbers_are_in_range(
    calm: Delivery, row: Delivery, intensity: float, wanted: float
) -> None:
    sounds = delivery(Emotion(neutral=calm, angry=row), "angry", intensity)  # Delivery holds the ranges itself
    assert 0.5 <= speed(wanted, sounds) <= 2.0
    assert silence(sounds).size == 24 * sounds.pause_ms


async def said(room: Speaking, ask: Speak) -> list[Speech]:
    return [speech async for speech in room.speak(ask)]


@pytest.fixture
async def room():
    room = Speaking(Settings())
    room.load(lambda what, fraction: None)
    yield room
    await room.close()


@pytest.mark.parametrize(
    ("voice", "language"),
    [
        ("hibari", "en"),
        pytest.param(
            "espeak", "de", marks=pytest.mark.skipif(not espeak.installed(), reason="the extra espeak is not installed")
        ),
    ],
)
async def test_voices_are_slower_when_sad_and_pause_after_the_clause(room: Speaking, voice: str, language: str) -> None:
    text = "The museum opens at nine."
    (plain,) = await said(room, Speak(text, voice, language))
    (quick,) = await said(room, Speak(text, voice, language, emotion="excited", intensity=2.0))
    sad, pause = await said(room, Speak(text, voice, language, emotion="sad", intensity=2.0))
    lengths = [unpack(speech.samples).size for speech in (quick, plain, sad)]
    assert lengths[0] < lengths[1] < lengths[2]
    assert (pause.start, pause.end) == (len(text), len(text)), "who stops the voice there has heard all of it"
    assert unpack(pause.samples).size == 24 * 2 * TABLE.sad.pause_ms
    assert not np.any(unpack(pause.samples))


async def test_nothing_said_is_no_pause(room: Speaking) -> None:
    assert await said(room, Speak("...", emotion="sad")) == []
