"""Recordings of minutes, made of read clips and pauses, through the real whisper and the real command line."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from voxrtc.audio import HEARD_RATE, Samples, from_pcm16, to_pcm16
from voxrtc.bench.wer import Errors, count_errors, normalise
from voxrtc.models.asr.whisper import Whisper
from voxrtc.models.store import ensure
from voxrtc.models.wire import Heard
from voxrtc.settings import Settings
from voxrtc.transcription.transcription import transcribe

pytestmark = pytest.mark.models

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(path.stem for path in DATA.glob("*.wav"))


class Ears:
    """verbs.Models, as far as it hears: whisper in a thread."""

    def __init__(self, whisper: Whisper) -> None:
        self._whisper = whisper

    async def transcribe(
        self, audio: Samples, language: str | None = None, *, partial: bool = False, patient: bool = False
    ) -> Heard:
        return await asyncio.to_thread(self._whisper.hear, audio, language)


@pytest.fixture(scope="module")
def ears() -> Ears:
    return Ears(Whisper(ensure("whisper-base", Settings().models.cache_path, lambda what, fraction: None), threads=2))


def clip(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def said(name: str) -> str:
    return (DATA / f"{name}.txt").read_text().strip()


def joined(order: list[str], seed: int, most: float, noise: float = 0.0) -> tuple[Samples, str]:
    """The clips ``order`` with pauses of 0 to ``most`` seconds between them in a room of ``noise``, and the words."""
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    parts = [part for name in order for part in (clip(name), np.zeros(int(chance.uniform(0, most) * HEARD_RATE)))]
    samples = np.concatenate(parts)
    room = rng.standard_normal(samples.size) * noise
    return (samples + room).astype(np.float32), " ".join(map(said, order))


async def errors_of_single_clips(ears: Ears) -> Errors:
    total = Errors(0, 0)
    for name in CLIPS:
        total += count_errors(said(name), (await ears.transcribe(clip(name), "en")).text)
    return total


@pytest.mark.parametrize(
    ("seed", "most", "noise"), [(1, 0.6, 0.0), (2, 4.0, 0.0), (3, 1.5, 0.003)], ids=["fluent", "halting", "in a room"]
)
async def test_minutes_of_speech_are_heard_as_well_as_the_clips_they_are_made_of(
    ears: Ears, seed: int, most: float, noise: float
) -> None:
    order = [name for _ in range(4) for name in random.Random(seed).sample(CLIPS, len(CLIPS))]
    samples, words = joined(order, seed, most, noise)
    assert samples.size > 140 * HEARD_RATE
    found = await transcribe(ears, samples)
    errors = count_errors(words, found.text)
    alone = await errors_of_single_clips(ears)
    assert errors.rate is not None
    assert alone.rate is not None
    assert errors.rate <= alone.rate + 0.02, found.text
    assert found.language == "en"
    assert 0.7 < found.confidence <= 1.0
    for segment in found.segments:
        assert segment.end_s - segment.start_s <= 28.0
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(found.segments))


async def test_the_words_of_a_segment_are_said_where_it_says(ears: Ears) -> None:
    """Four clips, each with long silence around it: a segment each, at its place, within the clip's own pauses."""
    order = ["austen-0870", "jfk", "austen-0890", "austen-0920"]
    silence = np.zeros(5 * HEARD_RATE, np.float32)
    found = await transcribe(ears, np.concatenate([part for name in order for part in (silence, clip(name))]), "en")
    at = 0.0
    assert len(found.segments) == len(order)
    for name, segment in zip(order, found.segments, strict=True):
        at += 5.0
        assert at <= segment.start_s <= at + 0.5
        at += clip(name).size / HEARD_RATE
        assert at - 0.5 <= segment.end_s <= at
        assert count_errors(said(name), segment.text).edits <= 1


async def test_noise_between_the_words_is_not_heard_as_words(ears: Ears) -> None:
    hiss = (np.random.default_rng(0).standard_normal(20 * HEARD_RATE) * 0.02).astype(np.float32)
    found = await transcribe(ears, np.concatenate([hiss, clip("austen-0920"), hiss]))
    assert count_errors(said("austen-0920"), found.text).edits <= 2


async def test_the_command_line_from_file_to_every_format(tmp_path: Path) -> None:
    """``voxrtc transcribe`` with the real host: subtitles in a file, the rest in another."""
    samples, words = joined(["jfk", "austen-0870", "austen-0920", "jfk"], 4, 1.0)
    source, subtitles, told = tmp_path / "a.wav", tmp_path / "a.vtt", tmp_path / "a.json"
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, HEARD_RATE, 0, "NONE", ""))
        file.writeframes(to_pcm16(samples))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voxrtc.cli", "transcribe", str(source), "--language", "en"),
        *("--format", "vtt", "--output", str(subtitles), "--json", str(told)),
        env=os.environ | {"VOXRTC_MODELS__LLM": "smollm2-135m"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate()
    assert (process.returncode, out) == (0, b""), complaint.decode()
    document = json.loads(told.read_text())
    assert count_errors(words, document["text"]).edits <= 3
    assert document["duration"] == pytest.approx(samples.size / HEARD_RATE, abs=0.01)
    assert document["segments"][-1]["end"] <= document["duration"]
    shown = [line for line in subtitles.read_text().splitlines() if line and "-->" not in line][1:]
    assert normalise(" ".join(shown)) == normalise(document["text"])
