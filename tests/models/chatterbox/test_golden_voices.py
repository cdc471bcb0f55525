"""What a voice is made of, and the mark, against what the packages gave of the same speech (golden.py)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import golden, voices_stock  # noqa: E402 - needs torch
from voxrtc.models.chatterbox import spectra  # noqa: E402
from voxrtc.models.chatterbox.codes import Codes  # noqa: E402
from voxrtc.models.chatterbox.speakers import CamPlus, VoiceEncoder  # noqa: E402
from voxrtc.models.chatterbox.watermark import Perth  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def theirs() -> golden.Figures:
    return golden.kept("voices")


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    return torch.from_numpy(voices_stock.clip())


def near(made: torch.Tensor, wanted: np.ndarray, share: float) -> bool:
    """Nowhere farther apart than ``share`` of the largest."""
    expected = torch.from_numpy(wanted)
    return made.shape == expected.shape and bool((made - expected).abs().max() <= share * expected.abs().max())


@pytest.mark.parametrize("name", golden.EVERY_FRAME)
def test_spectra_are_the_packages(theirs: golden.Figures, speech: torch.Tensor, name: str) -> None:
    made = {
        "sound mel": lambda: spectra.sound_mel(torch.from_numpy(voices_stock.clip_24k())),
        "code mel": lambda: spectra.code_mel(speech).T,
        "speaker mel": lambda: spectra.speaker_mel(speech),
        "bank": lambda: spectra.filter_bank(speech),
    }[name]()
    assert near(made[:: golden.EVERY_FRAME[name]], theirs[name], 1e-4)


def test_codes_are_the_packages(theirs: golden.Figures, speech: torch.Tensor) -> None:
    state = voices_stock.states()[1]
    golden.same_weights(theirs, state, "s3gen weights")
    codes = Codes(state)
    assert codes.of(speech).tolist() == theirs["codes"].tolist()
    assert codes.of(speech, voices_stock.PROMPT).tolist() == theirs["prompt"].tolist()
    assert len(set(theirs["codes"][0].tolist())) > 30


def test_speakers_are_the_packages(theirs: golden.Figures, speech: torch.Tensor) -> None:
    encoder, s3gen = voices_stock.states()
    golden.same_weights(theirs, encoder, "encoder weights")
    golden.same_weights(theirs, s3gen, "s3gen weights")
    trimmed = torch.from_numpy(spectra.trimmed(voices_stock.clip()))
    assert near(VoiceEncoder(encoder).embed(trimmed), theirs["speaker"], 1e-4)
    assert near(CamPlus(s3gen).embed(speech), theirs["xvector"], 1e-4)


def test_the_mark_is_the_packages(theirs: golden.Figures) -> None:
    """But for its resampling to 32 kHz and back, which ours does without."""
    state = voices_stock.perth_state()
    golden.same_weights(theirs, state, "perth weights")
    made = Perth(state, CPU).mark([voices_stock.clip_24k()])[0][:: golden.EVERY_SAMPLE]
    apart_db = 10 * np.log10(np.mean((made - theirs["mark"]) ** 2) / np.mean(theirs["mark"] ** 2))
    assert apart_db < -70
    assert np.abs(theirs["mark"]).max() > 0.01
