"""PerTh's mark, put on sound that comes in chunks; what finds it is the package's own decoder, run here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from voxrtc.audio import from_pcm16, resample  # noqa: E402
from voxrtc.errors import ModelsError, StoreError  # noqa: E402
from voxrtc.models import store  # noqa: E402
from voxrtc.models.chatterbox.parts import Chunk  # noqa: E402
from voxrtc.models.chatterbox.watermark import FILE, HOP, MODEL, SHORTEST, SIZE, Marked, Perth  # noqa: E402
from voxrtc.settings import Settings  # noqa: E402

CLIP = Path(__file__).parents[2] / "data" / "austen-0870.wav"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return resample(from_pcm16(CLIP.read_bytes()[44:]), 16_000, 24_000)[:120_000]


class Recorded:
    """A sound model that gives a recording, as many samples as a chunk has tokens."""

    batch = 4

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def open(self, voice, seed):
        return [0]

    def sound(self, chunks):
        given = []
        for chunk in chunks:
            start = chunk.stream[0]
            chunk.stream[0] += len(chunk.tokens)
            given.append(self.samples[start : chunk.stream[0]])
        return given


def marked(perth: Perth, samples: np.ndarray, sizes: list[int]) -> np.ndarray:
    model = Marked(Recorded(samples), perth)
    stream = model.open(None, 0)
    parts = [model.sound([Chunk(stream, range(size), False)])[0] for size in sizes]
    return np.concatenate(parts)


def random_perth(kind: type[Perth] = Perth) -> Perth:
    generator = torch.Generator().manual_seed(3)
    sizes = [(8, 128, 1), (8, 8, 7), (128, 8, 1)]
    weights = {}
    for number, size in enumerate(sizes):
        weights[f"encoder.layers.{number}.conv.weight"] = 0.02 * torch.randn(size, generator=generator)
        weights[f"encoder.layers.{number}.conv.bias"] = torch.zeros(size[0])
    return kind(weights, CPU)


def test_every_chunk_keeps_its_samples_and_its_ends(spoken: np.ndarray) -> None:
    sizes = [9_600, 100, 19_200, 33_600]
    made = marked(random_perth(), spoken, sizes)
    assert made.size == sum(sizes)
    change = made - spoken[: made.size]
    assert np.abs(change).max() > 1e-4
    for joint in np.cumsum(sizes)[:-1]:
        assert np.abs(change[joint - 1 : joint + 1]).max() < 1e-3, "nothing jumps where chunks meet"
    assert np.array_equal(made[9_600:9_700], spoken[9_600:9_700]), "too short for a mark"


def test_what_is_shorter_than_a_frame_is_left_as_it_is(spoken: np.ndarray) -> None:
    assert np.array_equal(marked(random_perth(), spoken, [SHORTEST - 1]), spoken[: SHORTEST - 1])


def test_sounds_are_marked_together_as_each_alone_and_as_torch_does_it(spoken: np.ndarray) -> None:
    perth = random_perth()
    sounds = [
        spoken[start : start + size] for start, size in ((0, 9_600), (3_000, 50_021), (40_000, SHORTEST), (0, 26_400))
    ]
    together = perth.mark(sounds)
    for sound, mark in zip(sounds, together, strict=True):
        assert np.abs(mark - perth.mark([sound])[0]).max() < 1e-5
        assert np.abs(mark - alone(perth, torch.from_numpy(sound)).numpy()).max() < 1e-5
        assert np.abs(mark).max() > 1e-4


@torch.inference_mode()
def alone(perth: Perth, samples: torch.Tensor) -> torch.Tensor:
    """The same by torch's own transforms, of one sound."""
    window = torch.hann_window(SIZE)
    spectrum = torch.stft(samples, SIZE, HOP, window=window, return_complex=True)
    gain = perth._gain(spectrum.abs()[None], torch.ones(1, 1, spectrum.shape[1]))[0]
    change = torch.zeros_like(spectrum)
    change[: gain.shape[0]] = spectrum[: gain.shape[0]] * (gain - 1.0)
    return torch.istft(change, SIZE, HOP, window=window, length=samples.shape[0])


class Counting(Perth):
    calls = 0

    def mark(self, sounds):
        self.calls += 1
        return super().mark(sounds)


def test_the_chunks_of_a_call_are_marked_in_one(spoken: np.ndarray) -> None:
    sizes = [[9_600, 19_200], [9_600, 100], [14_400, 33_600]]
    perth = random_perth(Counting)
    model = Marked(Recorded(spoken), perth)
    streams = [model.open(None, 0) for _ in sizes]
    parts: list[list[np.ndarray]] = [[], [], []]
    for turn in (0, 1):
        chunks = [Chunk(stream, range(own[turn]), False) for stream, own in zip(streams, sizes, strict=True)]
        for own, made in zip(parts, model.sound(chunks), strict=True):
            own.append(made)
    assert perth.calls == 2
    for own, made in zip(sizes, parts, strict=True):
        assert np.abs(np.concatenate(made) - marked(random_perth(), spoken, own)).max() < 1e-5


def test_other_weights_are_refused() -> None:
    with pytest.raises(ModelsError, match="no weights of PerTh"):
        Perth({"decoder.weight": torch.zeros(1)}, CPU)


@pytest.mark.models
def test_the_mark_is_found_in_streamed_sound_and_not_without(spoken: np.ndarray) -> None:
    try:
        folder = store.ensure(MODEL, Settings().models.cache_path, lambda what, fraction: None)
    except StoreError as error:
        pytest.skip(str(error))
    weights = torch.load(folder / FILE, map_location="cpu", weights_only=True)["model"]
    made = marked(Perth(weights, CPU), spoken, [9_600, 19_200, 33_600, 48_000])
    assert found(weights, spoken[: made.size]) < 0.5
    assert found(weights, made) > 0.9
    assert 10 * np.log10(np.mean(spoken**2) / np.mean((made - spoken[: made.size]) ** 2)) > 14, "hardly heard"


@torch.inference_mode()
def found(weights, samples: np.ndarray) -> float:
    """About 1 where there is a mark, about 0 where not: resemble-perth 1.0.1, perth_net_implicit/model/decoder.py."""
    at_32k = torch.from_numpy(resample(samples, 24_000, 32_000))
    spectrum = torch.stft(at_32k, 2_048, 320, window=torch.hann_window(2_048), return_complex=True)
    levels = (20 * spectrum.abs().clamp(min=1e-9).log10() + 180) / 195
    loudness = levels.sum(0)
    mask = (loudness > 0.05 * loudness.max()).float()[None, None]
    band = levels[None, :128]
    marks, trusts = [], []
    for name, rate in (("slow", 1.25), ("normal", 1.0), ("fast", 0.75)):
        size = int(band.shape[2] * rate)
        x = band if rate == 1.0 else functional.interpolate(band, size=size, mode="linear", align_corners=True)
        for layer in range(7):
            weight = weights[f"decoder.{name}_layers.{layer}.conv.weight"]
            bias = weights[f"decoder.{name}_layers.{layer}.conv.bias"]
            x = functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)
            x = functional.leaky_relu(x) if layer < 6 else x
        counted = functional.interpolate(mask, size=size, mode="nearest")
        trust, mark = ((x[:, part : part + 1] * counted).sum() / counted.sum() for part in (0, 1))
        trusts.append(trust)
        marks.append(mark)
    return float((torch.stack(marks) * torch.stack(trusts).softmax(0)).sum())
