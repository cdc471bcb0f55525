"""What follows from attention to the text, against what chatterbox's AlignmentStreamAnalyzer decided
(golden.py)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the gpu extra is not installed")

from tests.models.chatterbox import alignment_stock, golden  # noqa: E402 - needs torch
from tests.models.chatterbox.t3_stock import CPU  # noqa: E402
from voxrtc.models.chatterbox.t3_alignment import Places, text_attention  # noqa: E402

WIDTH = 30


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


@pytest.mark.parametrize("strength", alignment_stock.STRENGTHS)
def test_it_is_the_packages_analyzer(strength: float) -> None:
    rows, theirs = alignment_stock.rows(strength), golden.kept("alignment")
    golden.same_weights(theirs, {str(n): row for n, row in enumerate(rows)}, f"attention {strength}")
    for n, found in enumerate(ours(rows, alignment_stock.TEXTS)):
        # Its end is made where STOP is held back, too: made wins.
        decided = [[early and not late, late] for early, late in found]
        assert decided == theirs[f"decided {strength} {n}"].tolist()


def test_ends_are_held_back_and_made() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = [alignment_stock.spoken(20, alignment_stock.schedules(n)[0], generator) for n in range(6)]
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
