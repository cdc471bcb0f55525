from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from voxrtc.audio import HEARD_RATE, Samples, from_pcm16  # noqa: E402
from voxrtc.models.asr.features import log_mel, mel_filters  # noqa: E402
from voxrtc.models.voxtral.features import BANDS, FRAMES, LogMel  # noqa: E402
from voxrtc.models.voxtral.sequence import WINDOW_SAMPLES  # noqa: E402

if TYPE_CHECKING:
    from transformers import VoxtralProcessor

DATA = Path(__file__).parents[2] / "data"
SAME = 1e-4
"""The issue's bound on the distance from the processor's."""


def recorded(name: str) -> Samples:
    with wave.open(str(DATA / f"{name}.wav")) as file:
        return from_pcm16(file.readframes(file.getnframes()))


def noise(count: int, loudness: float = 0.1) -> Samples:
    return np.random.default_rng(count).standard_normal(count).astype(np.float32) * loudness


def talk(seconds: float) -> Samples:
    """Real speech, said again until it is long enough."""
    return np.resize(recorded("jfk"), int(seconds * HEARD_RATE))


SOUNDS = {
    "speech": recorded("austen-0870"),
    "silence": np.zeros(HEARD_RATE, np.float32),
    "noise": noise(3 * HEARD_RATE),
    "a whisper of noise": noise(HEARD_RATE, 1e-5),
    "a click": np.concatenate([np.zeros(8000, np.float32), np.ones(1, np.float32), np.zeros(8000, np.float32)]),
    "one sample": np.full(1, 0.5, np.float32),
    "30 s": talk(30),
    "30 s and one sample": np.append(talk(30), np.float32(0.25)),
    "70 s, the middle of them quiet": talk(70) * np.repeat(np.float32([1, 1e-3, 0.3]), [480_000, 480_000, 160_000]),
}


@pytest.fixture(scope="module")
def features() -> LogMel:
    torch.set_num_threads(1)
    return LogMel("cpu")


@pytest.mark.parametrize("sound", SOUNDS.values(), ids=SOUNDS)
def test_equals_the_processors(features: LogMel, processor: VoxtralProcessor, sound: Samples) -> None:
    """What VoxtralProcessor makes of the same samples, cut into windows and padded as it does."""
    theirs = processor._retrieve_input_features(
        [sound],
        3000,
        sampling_rate=HEARD_RATE,
        padding=True,
        truncation=False,
        pad_to_multiple_of=WINDOW_SAMPLES,
        return_tensors="pt",
    )
    ours = features(sound)
    assert ours.shape == theirs.shape == (-(-sound.size // WINDOW_SAMPLES), BANDS, FRAMES)
    assert ours.dtype == torch.float32
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=SAME)


def test_equals_what_a_transcription_request_gives(features: LogMel, processor: VoxtralProcessor) -> None:
    """The whole way, but for the WAV file that the processor puts the sound through, which rounds it to 16 bits."""
    soundfile = pytest.importorskip("soundfile", reason="the gpu extra is not installed")
    sound = talk(31)
    request = processor.apply_transcription_request(
        audio=sound, model_id="tiny", sampling_rate=HEARD_RATE, format=["wav"]
    )
    soundfile.write(file := io.BytesIO(), sound, HEARD_RATE, format="wav")
    file.seek(0)
    rounded, _ = soundfile.read(file, dtype="float32")
    torch.testing.assert_close(features(rounded), request["input_features"], rtol=0, atol=SAME)


def test_the_filters_are_whispers(processor: VoxtralProcessor) -> None:
    np.testing.assert_allclose(mel_filters(BANDS), processor.feature_extractor.mel_filters.T, atol=1e-7)


def test_equals_numpys_of_128_bands(features: LogMel) -> None:
    """The other one, which the whisper in ctranslate2 hears with."""
    np.testing.assert_allclose(features(talk(30))[0].numpy(), log_mel(talk(30), BANDS), atol=SAME)


def test_a_loud_window_sets_the_floor_of_a_quiet_one(features: LogMel) -> None:
    sound = SOUNDS["70 s, the middle of them quiet"]
    whole, alone = features(sound)[1], features(sound[WINDOW_SAMPLES : 2 * WINDOW_SAMPLES])[0]
    assert whole.min() > alone.min() + 0.5


def test_takes_tensors_and_read_only_samples(features: LogMel) -> None:
    sound = recorded("jfk")
    locked = sound.copy()
    locked.flags.writeable = False
    expected = features(sound)
    assert torch.equal(features(torch.from_numpy(sound)), expected)
    assert torch.equal(features(locked), expected)
    assert torch.equal(features(sound), expected), "the samples were changed"
