"""Our S3Gen and HiFT beside the package's own modules, with the same weights and the same noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.models.chatterbox.stock import THIN, stock, stock_mel, stock_sound  # noqa: E402
from voxrtc.models.chatterbox.flow import flow, frame_noise  # noqa: E402
from voxrtc.models.chatterbox.flow_shape import random_state  # noqa: E402
from voxrtc.models.chatterbox.parts import Chunk, Voice  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner  # noqa: E402
from voxrtc.models.chatterbox.vocoder import vocoder  # noqa: E402
from voxrtc.models.chatterbox.vocoder_source import randomness, source  # noqa: E402

CPU = torch.device("cpu")
REFERENCE, TOKENS = 12, 15


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _reference(seed: int):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 6_561, (1, REFERENCE), generator=generator)
    mel = torch.randn(1, 2 * REFERENCE, 80, generator=generator)
    return tokens, mel, torch.randn(1, 192, generator=generator)


@pytest.mark.parametrize("meanflow", [False, True])
@torch.inference_mode()
def test_the_flow_is_the_packages(meanflow: bool) -> None:
    shape = dataclasses.replace(THIN, meanflow=meanflow)
    state = random_state(shape)
    theirs = stock(state, shape)
    before, mel, xvector = _reference(1)
    tokens = torch.randint(0, 6_561, (1, TOKENS), generator=torch.Generator().manual_seed(2))
    frames = 2 * (REFERENCE + TOKENS)
    noise = frame_noise(torch.tensor([3]), torch.arange(frames)[None] - 2 * REFERENCE)
    expected = stock_mel(theirs, tokens, (before, mel, xvector), noise, meanflow)[0].T

    ours = flow(state, shape, CPU, torch.float32, 40)
    joined = torch.cat((before, tokens), dim=1)
    known = torch.cat((mel, torch.zeros(1, 2 * TOKENS, 80)), dim=1)
    lengths = torch.tensor([REFERENCE + TOKENS])
    made = ours(joined, lengths, 2 * lengths, known, xvector, noise)[0, 2 * REFERENCE :]
    assert (made - expected).abs().max() <= 1e-4 * expected.abs().max()


@torch.inference_mode()
def test_an_utterance_in_one_chunk_is_the_packages() -> None:
    state = random_state(THIN)
    theirs = stock(state, THIN)
    before, mel, xvector = _reference(1)
    tokens = torch.randint(0, 6_561, (1, TOKENS), generator=torch.Generator().manual_seed(2))
    seed, first = torch.tensor([3]), torch.tensor([0])
    noise = frame_noise(seed, torch.arange(2 * (REFERENCE + TOKENS))[None] - 2 * REFERENCE)
    spectrum = stock_mel(theirs, tokens, (before, mel, xvector), noise)
    drawn = randomness(seed, first, 2 * TOKENS)
    expected = stock_sound(theirs, spectrum, drawn.phases, drawn.noise)[0].numpy()
    fade = np.concatenate((np.zeros(480), (np.cos(np.linspace(np.pi, 0, 480)) + 1) / 2))  # S3Token2Wav.trim_fade
    expected[:960] *= fade

    model = SoundRunner(state, CPU, torch.float32, SoundPlan(1, REFERENCE, 25))
    voice = Voice("one", torch.zeros(1, 256), torch.zeros(1, 1), before, mel, xvector)
    made = model.sound([Chunk(model.open(voice, 3), tokens[0].tolist(), True)])[0]
    assert np.abs(made - expected).max() <= 2e-4 * np.abs(expected).max()


@torch.inference_mode()
def test_the_vocoder_is_the_packages() -> None:
    state = random_state(THIN)
    theirs = stock(state, THIN)
    mel = torch.randn(1, 80, 23, generator=torch.Generator().manual_seed(4))
    drawn = randomness(torch.tensor([5]), torch.tensor([0]), 23)
    expected = stock_sound(theirs, mel, drawn.phases, drawn.noise)

    ours = vocoder(state, CPU)
    pitch = ours.pitch(mel, torch.ones(1, 1, 23))
    made = ours(mel, source(pitch, torch.zeros(1, dtype=torch.float64), drawn, ours.merge), torch.tensor([23]))
    assert made.shape == (1, 23 * 480)
    assert (made - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert expected.std() > 1e-3
