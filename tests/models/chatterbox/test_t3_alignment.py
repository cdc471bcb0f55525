"""What follows from attention to the text, against chatterbox's AlignmentStreamAnalyzer."""

from __future__ import annotations

import importlib

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox.t3_stock import CPU, package  # noqa: E402 - needs torch
from voxrtc.models.chatterbox.parts import STOP  # noqa: E402
from voxrtc.models.chatterbox.t3_alignment import Places, text_attention  # noqa: E402

WIDTH = 30


def spoken(text: int, frames: list[int], generator, strength: float = 0.9):
    """Attention (frames, text) that is mostly at these places."""
    noise = torch.rand(len(frames), text, generator=generator)
    at = torch.nn.functional.one_hot(torch.tensor(frames).clamp(max=text - 1), text)
    return strength * at + (1 - strength) * noise / noise.sum(-1, keepdim=True)


def ours(rows: list, texts: list[int]) -> list[list[tuple[bool, bool]]]:
    """(early, late) of each frame of each row, all rows side by side, in rows of any number."""
    places = Places.of(len(rows) + 3, CPU)
    numbers = torch.randperm(len(rows) + 3, generator=torch.Generator().manual_seed(1))[: len(rows)]
    found: list[list[tuple[bool, bool]]] = [[] for _ in rows]
    places.complete[:] = True
    places.tail[:] = 9.0
    places.clear(numbers)
    for frame in range(max(map(len, rows))):
        on = [n for n, row in enumerate(rows) if frame < len(row)]
        attended = torch.full((len(on), WIDTH), 0.5)  # what is behind a text is of no concern
        for at, n in enumerate(on):
            attended[at, : texts[n]] = rows[n][frame]
        text = torch.tensor([texts[n] for n in on])
        early, late = places.update(numbers[on], attended, torch.full((len(on),), frame), text)
        for at, n in enumerate(on):
            found[n].append((bool(early[at]), bool(late[at])))
    return found


def theirs(row, text: int) -> list[tuple[bool, bool]]:
    """The package's analyzer, told this attention as if by its hooks."""
    with package():
        module = importlib.import_module("chatterbox.models.t3.inference.alignment_stream_analyzer")

    class Told(module.AlignmentStreamAnalyzer):
        def _add_attention_spy(self, *args) -> None: ...

    analyzer = Told(None, None, (2, 2 + text), eos_idx=STOP)
    found = []
    for frame, attended in enumerate(row):
        seen = torch.cat((torch.zeros(2), attended))[None]
        if frame == 0:  # the prompt and START twice
            seen = torch.cat((torch.rand(2 + text + 1, 2 + text), seen))
        analyzer.last_aligned_attns = [seen] * 3
        logits = analyzer.step(torch.zeros(1, 8194))[0]
        found.append((bool(logits[STOP] < -1000), bool(logits[STOP] > 1000)))
    return found


def schedules(seed: int) -> tuple[list[int], str]:
    """Places of an utterance of 20 tokens, and what is wrong with it."""
    steady = [n // 3 for n in range(60)]
    return [
        (steady, "nothing"),
        (steady + [18] * 20, "a long tail"),
        (steady + [n // 2 for n in range(30)], "it is said again"),
        (steady[:20] + [18] * 5 + steady[20:], "a leap ahead"),
        ([0] * 30 + steady, "a slow start"),
        (steady[:57] + [4] * 20, "it goes back"),
    ][seed]


@pytest.mark.parametrize("strength", [0.95, 0.6, 0.2])
def test_it_is_the_packages_analyzer(strength: float) -> None:
    generator = torch.Generator().manual_seed(int(strength * 100))
    texts = [20, 20, 20, 20, 20, 20, 8, 30, 6]
    frames = [*(schedules(n)[0] for n in range(6)), *([n // 4 for n in range(50)] for _ in range(3))]
    rows = [spoken(text, places, generator, strength) for text, places in zip(texts, frames, strict=True)]
    got = ours(rows, texts)
    for row, text, found in zip(rows, texts, got, strict=True):
        wanted = theirs(row, text)
        # Its end is made where STOP is held back, too: made wins.
        assert [(early and not late, late) for early, late in found] == wanted


def test_ends_are_held_back_and_made() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = [spoken(20, schedules(n)[0], generator) for n in range(6)]
    found = ours(rows, [20] * 6)
    assert [early for early, _ in found[0]].index(False) == 51  # the 17th token, 3 frames each
    assert [any(late for _, late in row) for row in found] == [False, True, True, False, False, True]


@pytest.mark.parametrize("text", [1, 2, 3, 4, 5])
def test_short_texts_end_when_they_like_and_not_for_ever(text: int) -> None:
    row = torch.full((60, text), 0.9 / text)
    row[:, -1] += 0.1 + 0.9 * (1 - 1 / text)
    (found,) = ours([row.clamp(max=1.0)], [text])
    assert not any(early for early, _ in found)
    assert not any(late for _, late in found[:15])
    assert found[-1][1]


def test_attention_is_torchs() -> None:
    generator = torch.Generator().manual_seed(2)
    queries, keys = torch.randn(3, 16, generator=generator), torch.randn(3, 50, 16, generator=generator)
    lengths = torch.tensor([50, 33, 41])
    got = text_attention(queries, keys, lengths, 4, 20)
    for n in range(3):
        row = (keys[n, : lengths[n]] @ queries[n] / 4).softmax(-1)
        torch.testing.assert_close(got[n], row[4:24])
