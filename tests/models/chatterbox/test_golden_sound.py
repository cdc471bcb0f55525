"""Our S3Gen and HiFT against what the package's own modules gave (golden.py), with the same weights and noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import golden, stock  # noqa: E402 - needs torch
from tests.models.chatterbox.stock import REFERENCE, THIN, TOKENS  # noqa: E402
from voxrtc.models.chatterbox.flow import flow  # noqa: E402
from voxrtc.models.chatterbox.flow_shape import random_state  # noqa: E402
from voxrtc.models.chatterbox.vocoder import vocoder  # noqa: E402
from voxrtc.models.chatterbox.vocoder_source import source  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_near(made: torch.Tensor, wanted: torch.Tensor, share: float = 1e-4) -> None:
    """Nowhere farther apart than ``share`` of the largest."""
    assert made.shape == wanted.shape
    assert (made - wanted).abs().max() <= share * wanted.abs().max()


@pytest.mark.parametrize("kind", ["flow", "meanflow"])
@torch.inference_mode()
def test_the_flow_is_the_packages(kind: str) -> None:
    shape = dataclasses.replace(THIN, meanflow=kind == "meanflow")
    state, theirs = random_state(shape), golden.kept("sound")
    golden.same_weights(theirs, state, f"{kind} weights")
    before, mel, xvector = stock.reference()
    ours = flow(state, shape, CPU, torch.float32, 40)
    joined = torch.cat((before, stock.speech()), dim=1)
    known = torch.cat((mel, torch.zeros(1, 2 * TOKENS, 80)), dim=1)
    lengths = torch.tensor([REFERENCE + TOKENS])
    assert_near(ours.encoder(joined, lengths)[0], torch.from_numpy(theirs[f"{kind} encoded"]))
    made = ours(joined, lengths, 2 * lengths, known, xvector, stock.speech_noise())[0, 2 * REFERENCE :]
    assert_near(made, torch.from_numpy(theirs[f"{kind} mel"]))


@torch.inference_mode()
def test_the_vocoder_is_the_packages() -> None:
    state, theirs = random_state(THIN), golden.kept("sound")
    golden.same_weights(theirs, state, "flow weights")
    mel, expected = stock.spectrogram(), torch.from_numpy(theirs["samples"])
    ours = vocoder(state, CPU)
    pitch = ours.pitch(mel, torch.ones(1, 1, 23))
    assert_near(pitch[0], torch.from_numpy(theirs["pitch"]))
    start = torch.zeros(1, dtype=torch.float64)
    made = ours(mel, source(pitch, start, stock.spectrogram_noise(), ours.merge), torch.tensor([23]))
    assert made.shape == (1, 23 * 480)
    assert_near(made[0], expected)
    assert expected.std() > 1e-3
