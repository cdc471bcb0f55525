"""Recorded speech for calls: clips with silence around them, and what was said in a recording of the reply."""

import asyncio
import json
import os
import re
import sys
import wave
from pathlib import Path

import jiwer
import numpy as np

RATE = 16_000


def read(path: Path) -> np.ndarray:
    """The samples (n,) int16 of a 16 kHz mono WAV file."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def write(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def script(path: Path, *parts: Path | float) -> Path:
    """A WAV file of clips and pauses (seconds), in order; the pauses hold the faint noise of a quiet room."""
    noise = np.random.default_rng(1)
    samples = [
        read(part) if isinstance(part, Path) else noise.normal(0, 8, int(part * RATE)).astype("<i2") for part in parts
    ]
    return write(path, np.concatenate(samples))


def words(text: str) -> str:
    """Lower case, no punctuation, the spellings of the clips' texts."""
    text = re.sub(r"[^\w\s']", " ", text.lower()).replace("mr ", "mister ")
    return " ".join(text.split())


def error_rate(said: str, heard: str) -> float:
    return float(jiwer.wer(words(said), words(heard)))


def apart(said: str, heard: str) -> float:
    """How far what was heard of a reply is from its text, by letters: a small model's reply may have five words, of
    which "a just and" heard as "adjust in" would be three."""
    return float(jiwer.cer(words(said).replace(" ", ""), words(heard).replace(" ", "")))


async def transcribe(path: Path, tmp_path: Path) -> str:
    """What `voxrtc transcribe` hears in a file."""
    out = tmp_path / "transcript.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voxrtc.cli", "transcribe", str(path), "--json", str(out)),
        env=os.environ | {"VOXRTC_MODELS__LLM": "smollm2-135m"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return json.loads(out.read_text())["text"]
