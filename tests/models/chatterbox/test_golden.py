"""From text to samples as the package's ``generate`` (golden.py); and that what is kept of it is what it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import checkpoints, golden, t3_stock, whole_stock  # noqa: E402 - needs torch
from tests.models.chatterbox.sounding import distance_db  # noqa: E402
from tests.models.chatterbox.stock import REFERENCE  # noqa: E402
from voxrtc.audio import Samples  # noqa: E402
from voxrtc.errors import ModelsError  # noqa: E402
from voxrtc.models.chatterbox.loop import FADE, Loop  # noqa: E402
from voxrtc.models.chatterbox.parts import Chunk, Utterance  # noqa: E402
from voxrtc.models.chatterbox.request import Request, Sounded  # noqa: E402
from voxrtc.models.chatterbox.sound import SoundPlan, SoundRunner  # noqa: E402
from voxrtc.models.chatterbox.t3 import T3  # noqa: E402
from voxrtc.models.chatterbox.t3_weights import assemble  # noqa: E402
from voxrtc.models.chatterbox.tokenizer import Multilingual  # noqa: E402

CPU = torch.device("cpu")
BOUND_DB = 1.0
"""As test_sound.py has it: about the least change of loudness that people hear."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def theirs() -> golden.Figures:
    figures = golden.kept("whole")
    golden.same_weights(figures, whole_stock.t3_state(), "t3 weights")
    golden.same_weights(figures, whole_stock.sound_state(), "sound weights")
    return figures


@pytest.fixture(scope="module")
def tokens() -> T3:
    return t3_stock.t3(assemble(whole_stock.t3_state(), CPU, torch.float32))


@pytest.fixture(scope="module")
def sound() -> SoundRunner:
    return SoundRunner(whole_stock.sound_state(), CPU, torch.float32, SoundPlan(1, REFERENCE, 25))


@pytest.fixture(scope="module")
def utterance(tmp_path_factory: pytest.TempPathFactory) -> Utterance:
    text = tokenizer(tmp_path_factory.mktemp("whole")).encode(whole_stock.TEXTS[whole_stock.SPOKEN], whole_stock.SPOKEN)
    return Utterance(text, whole_stock.speaker(), t3_stock.GREEDY, whole_stock.MOST)


def tokenizer(folder: Path) -> Multilingual:
    checkpoints.vocabulary(folder / "vocabulary.json")
    return Multilingual(folder / "vocabulary.json")


@pytest.mark.parametrize("language", whole_stock.TEXTS)
def test_text_is_read_as_the_package_reads_it(theirs: golden.Figures, tmp_path: Path, language: str) -> None:
    start, *ids, stop = tokenizer(tmp_path).encode(whole_stock.TEXTS[language], language)
    assert ids == theirs[f"ids {language}"].tolist()
    assert (start, stop) == (255, 0)


def test_in_one_chunk_samples_are_the_packages(
    theirs: golden.Figures, tokens: T3, sound: SoundRunner, utterance: Utterance
) -> None:
    said = t3_stock.said(tokens, 0, utterance)
    assert said == theirs["tokens"].tolist()
    stream = sound.open(utterance.voice, whole_stock.NOISE_SEED)
    made = sound.sound([Chunk(stream, said, True)])[0]
    assert made.shape == theirs["sound"].shape
    assert np.abs(made - theirs["sound"]).max() <= 2e-4 * np.abs(theirs["sound"]).max()


def test_streamed_by_the_loop_it_sounds_as_the_package(
    theirs: golden.Figures, tokens: T3, sound: SoundRunner, utterance: Utterance
) -> None:
    parts = streamed(Loop(tokens, sound), utterance)
    assert len(parts) > 1
    made, wanted = np.concatenate(parts), theirs["sound"]
    assert made.shape == wanted.shape
    assert distance_db(made[:-FADE], wanted[:-FADE]) < BOUND_DB  # it is cut off, which the loop fades


def streamed(loop: Loop, utterance: Utterance) -> list[Samples]:
    parts: list[Samples] = []
    ends: list[ModelsError | None] = []

    def hear(sounded: Sounded) -> None:
        parts.append(sounded.samples)

    loop.submit(Request(utterance, characters=20, expected=whole_stock.MOST), hear, ends.append)
    while loop.step():
        pass
    assert ends == [None]
    return parts


@pytest.mark.parametrize("name", golden.MADE)
def test_what_is_kept_is_what_the_packages_give(name: str) -> None:
    kept, made = golden.kept(name), golden.figures(name)
    assert kept.keys() == made.keys()
    for key, one in made.items():
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, kept[key], rtol=1e-5, atol=1e-5 * np.abs(kept[key]).max())
        else:
            assert one.tolist() == kept[key].tolist(), key
