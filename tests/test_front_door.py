"""What programs find at the package's front door, and that opening it costs nothing."""

from __future__ import annotations

import base64
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import voxrtc
from tests.dialogue.scripted import ScriptedModels
from voxrtc.errors import AudioError
from voxrtc.sources import Guard

JFK = Path(__file__).parent / "data" / "jfk.wav"


def test_the_door_is_light() -> None:
    heavy = "numpy", "aiohttp", "av"
    code = f"import sys, voxrtc; print([m for m in sys.modules if m.startswith('voxrtc.') or m in {heavy}])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = voxrtc.nothing


async def test_audio_of_a_path_a_data_url_and_base64() -> None:
    assert inspect.iscoroutinefunction(voxrtc.process_audio_from_url)
    text = base64.b64encode(JFK.read_bytes()).decode()
    for source in (str(JFK), text, f"data:audio/wav;base64,{text}"):
        samples = await voxrtc.process_audio_from_url(source)
        assert samples.dtype == np.float32
        assert samples.shape == (176_000,)


async def test_a_guard_of_ones_own() -> None:
    with pytest.raises(AudioError):
        await voxrtc.process_audio_from_url(str(JFK), guard=Guard())
    with pytest.raises(AudioError, match="not a public address"):
        await voxrtc.process_audio_from_url("http://127.0.0.1:9/x.wav")


async def test_words_of_a_file_by_models_that_run() -> None:
    assert inspect.iscoroutinefunction(voxrtc.transcribe_from_url)
    models = ScriptedModels(asr_s=0.0, files=["Ask not."])
    assert await voxrtc.transcribe_from_url(str(JFK), "en", models=models) == "Ask not."


@pytest.mark.models
async def test_words_of_a_file_by_models_that_are_loaded_for_it() -> None:
    assert "ask not what your country" in (await voxrtc.transcribe_from_url(str(JFK), "en")).lower()
