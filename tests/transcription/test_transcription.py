"""A recording through scripted models: what is asked, how much at once, in which order told; failure and end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.errors import HostLost, ModelsError
from voxrtc.models.wire import Heard
from voxrtc.transcription.transcript import Segment, gather
from voxrtc.transcription.transcription import IN_FLIGHT, LIMITS, Transcription, clock, transcribe


def recording(*windows: float, silence: float = 3.0) -> Samples:
    """One window of noise after the other, each of so many seconds, each of a loudness of its own, which names it."""
    rng = np.random.default_rng(0)
    parts = []
    for number, seconds in enumerate(windows):
        parts += [np.zeros(int(silence * HEARD_RATE)), rng.standard_normal(int(seconds * HEARD_RATE)) * level(number)]
    return np.concatenate([*parts, np.zeros(int(silence * HEARD_RATE))]).astype(np.float32)


def level(number: int) -> float:
    return 0.01 * (number + 1)


def number_of(audio: Samples) -> int:
    """Of the window that ``audio`` is, by its loudness in the middle."""
    middle = audio[audio.size // 2 - 800 : audio.size // 2 + 800]
    return round(float(np.std(middle)) / 0.01) - 1


class Ears:
    """verbs.Models, as far as it hears: the n-th window is "word n"."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str | None]] = []
        self.under_way: set[int] = set()
        self.most = 0
        self.gates: dict[int, asyncio.Event] = {}
        """A window that is here waits."""
        self.begun: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(40)}
        self.done: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(40)}
        self.stopped: list[int] = []
        self.failing: dict[int, Exception] = {}
        self.language: Callable[[int], str] = lambda number: "en"
        self.text: Callable[[int], str] = lambda number: f"word {number}"

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        assert patient, "a file would compete with callers"
        assert not partial
        number = number_of(audio)
        self.asked.append((number, language))
        self.under_way.add(number)
        self.most = max(self.most, len(self.under_way))
        self.begun[number].set()
        try:
            if number in self.gates:
                await self.gates[number].wait()
            await asyncio.sleep(0)
            if number in self.failing:
                raise self.failing[number]
        except asyncio.CancelledError:
            self.stopped.append(number)
            raise
        finally:
            self.under_way.discard(number)
            self.done[number].set()
        known = language or self.language(number)
        text = self.text(number)
        return Heard(f"{text} in {known}" if text and known not in ("", "en") else text, known, 0.5 + 0.01 * number)


SIX = (1.0, 2.0, 1.5, 1.0, 2.5, 1.0)


async def test_the_windows_in_order_with_their_places_in_the_recording() -> None:
    ears = Ears()
    found = await transcribe(ears, recording(*SIX), "en")
    assert found.text == " ".join(f"word {number}" for number in range(6))
    assert found.language == "en"
    at = 0.0
    for segment, seconds in zip(found.segments, SIX, strict=True):
        at += 3.0
        assert (segment.start_s, segment.end_s) == pytest.approx((at, at + seconds), abs=0.02)
        at += seconds
    assert found.duration_s == pytest.approx(at + 3.0)
    assert {language for _, language in ears.asked} == {"en"}


async def test_as_many_at_once_as_allowed_and_no_more_whichever_is_slow() -> None:
    ears = Ears()
    ears.gates[0] = asyncio.Event()
    work = asyncio.create_task(transcribe(ears, recording(*[1.0] * 9), "en"))
    for number in (1, 2, 3):
        await ears.done[number].wait()
    for _ in range(50):  # nothing more is asked for while the first holds up what is told
        await asyncio.sleep(0)
    assert [number for number, _ in ears.asked] == [0, 1, 2, 3]
    ears.gates[0].set()
    found = await work
    assert found.text.split()[1::2] == list("012345678")
    assert ears.most == IN_FLIGHT


@pytest.mark.parametrize("in_flight", [1, 2, 7])
async def test_how_many_at_once_can_be_said(in_flight: int) -> None:
    ears = Ears()
    await transcribe(ears, recording(*[1.0] * 8), "en", in_flight=in_flight)
    assert ears.most == in_flight


async def test_one_window_that_fails_fails_the_whole_and_says_where() -> None:
    ears = Ears()
    ears.gates |= {number: asyncio.Event() for number in (3, 4, 5)}
    ears.gates[2] = ears.begun[5]
    ears.failing[2] = ModelsError("the model failed")
    with pytest.raises(
        ModelsError, match=r"^what is said from 0:12 to 0:13 could not be transcribed: the model failed$"
    ):
        await transcribe(ears, recording(*SIX), "en")
    assert not ears.under_way, "what was asked for after it is not left behind"
    assert sorted(ears.stopped) == [3, 4, 5]


async def test_a_host_that_dies_is_told_as_such() -> None:
    ears = Ears()
    ears.failing[1] = HostLost("the model process died")
    with pytest.raises(HostLost, match="could not be transcribed: the model process died"):
        await transcribe(ears, recording(*SIX))


async def test_cancelling_stops_the_work() -> None:
    ears = Ears()
    ears.gates |= {number: asyncio.Event() for number in range(6)}
    work = asyncio.create_task(transcribe(ears, recording(*SIX), "en"))
    await ears.begun[3].wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert sorted(ears.stopped) == [0, 1, 2, 3]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_segments_come_as_they_are_heard_and_closing_stops_the_rest() -> None:
    ears = Ears()
    ears.gates |= {number: asyncio.Event() for number in range(1, 6)}
    segments = Transcription(ears, recording(*SIX), "en").segments()
    assert (await anext(segments)).text == "word 0"
    await segments.aclose()
    assert not ears.under_way
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_progress_rises_to_one() -> None:
    told: list[float] = []
    await transcribe(Ears(), recording(*SIX), None, told.append)
    assert told == sorted(told)
    assert len(told) == 7
    assert told[-1] == 1.0


# -- the language -------------------------------------------------------------------------------------------------


async def test_the_language_of_most_seconds_is_kept_and_what_was_taken_for_another_is_heard_again() -> None:
    ears = Ears()
    ears.language = lambda number: {0: "de", 1: "fr", 2: "de"}.get(number, "fr")
    found = await transcribe(ears, recording(1.0, 4.0, 1.0, 1.0, 1.0, 1.0))
    assert found.language == "fr"
    assert [segment.text for segment in found.segments] == [f"word {number} in fr" for number in range(6)]
    first, again, rest = ears.asked[:4], ears.asked[4:6], ears.asked[6:]
    assert {language for _, language in first} == {None}
    assert sorted(again) == [(0, "fr"), (2, "fr")]
    assert sorted(rest) == [(4, "fr"), (5, "fr")]


async def test_windows_without_words_do_not_vote() -> None:
    ears = Ears()
    ears.language = lambda number: "ja" if number < 4 else "es"
    ears.text = lambda number: "" if number < 4 else "hola"
    found = await transcribe(ears, recording(*[1.0] * 6))
    assert found.language == "es"
    assert [language for _, language in ears.asked] == [None] * 6
    assert len(found.segments) == 2


async def test_models_that_tell_no_language_are_asked_without_one() -> None:
    ears = Ears()
    ears.language = lambda number: ""
    found = await transcribe(ears, recording(*SIX), "auto")
    assert found.language == ""
    assert len(found.segments) == 6
    assert {language for _, language in ears.asked} == {None}


# -- what there is to hear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(1), np.zeros(90 * HEARD_RATE)], ids=len)
async def test_nothing_to_hear_is_nothing_asked(samples: Samples) -> None:
    ears = Ears()
    told: list[float] = []
    found = await transcribe(ears, samples.astype(np.float32), None, told.append)
    assert (found.text, found.language, found.confidence, found.segments) == ("", "", 0.0, ())
    assert ears.asked == []
    assert told == [1.0]


async def test_a_click_is_not_asked_about() -> None:
    ears = Ears()
    samples = np.zeros(5 * HEARD_RATE, np.float32)
    samples[40_000:40_050] = 0.5
    assert (await transcribe(ears, samples)).segments == ()
    assert ears.asked == []


async def test_no_window_is_longer_than_the_models_hold() -> None:
    """Though nothing in it is quiet."""
    sizes = []

    class Measuring(Ears):
        async def transcribe(
            self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
        ) -> Heard:
            sizes.append(audio.size / HEARD_RATE)
            return Heard("word", "en", 1.0)

    found = await transcribe(Measuring(), recording(100.0))
    assert max(sizes) <= LIMITS.latest <= 28.0
    assert found.segments[0].start_s == pytest.approx(3.0, abs=0.02)
    assert found.segments[-1].end_s == pytest.approx(103.0, abs=0.02)
    assert all(b.start_s == a.end_s for a, b in pairwise(found.segments))


# -- the whole --------------------------------------------------------------------------------------------------------


def test_confidence_is_weighed_by_the_letters() -> None:
    parts = [Segment(0.0, 1.0, "a" * 30, 0.9), Segment(2.0, 9.0, "b" * 10, 0.5)]
    assert gather(parts, "en", 10.0).confidence == pytest.approx(0.8)


def test_sentences_are_joined_as_the_language_is_written() -> None:
    parts = [Segment(0.0, 1.0, "こんにちは。", 1.0), Segment(2.0, 3.0, "元気ですか。", 1.0)]
    assert gather(parts, "ja", 4.0).text == "こんにちは。元気ですか。"
    assert gather(parts, "ko", 4.0).text == "こんにちは。 元気ですか。"


def test_clock() -> None:
    assert [clock(s) for s in (0.0, 65.9, 3_600.0, 36_061.0)] == ["0:00", "1:05", "1:00:00", "10:01:01"]
