"""Word errors: what counts as the same word, and how errors are counted."""

import pytest

from voxrtc.bench.wer import Errors, count_errors, normalise


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("And Mr. John Dashwood had, then, leisure!", "and mister john dashwood had then leisure"),
        ("He was not an ill-disposed young man.", "he was not an ill disposed young man"),
        ("I can't; they won't — we’re done", "i cannot they will not we are done"),
        ("don't isn't", "do not is not"),
        ("In 1811 she had 3.5 of 1,000.", "in 1811 she had 3.5 of 1,000"),
        ("John's", "johns"),
        ("'quoted' \"words\" (here)", "quoted words here"),
        ("", ""),
        (" … ", ""),
    ],
)
def test_normalised(text: str, alike: str):
    assert normalise(text) == alike


def test_spacing_inside_words_is_an_error():
    assert count_errors("ill disposed", "ill dis posed") == Errors(2, 2)


def test_errors_are_substitutions_deletions_insertions():
    assert count_errors("one two three", "One, two, three.") == Errors(0, 3)
    assert count_errors("one two three", "one too") == Errors(2, 3)
    assert count_errors("one two", "well one two") == Errors(1, 2)
    assert count_errors("one two", "") == Errors(2, 2)
    assert count_errors("", "one two") == Errors(2, 0)


def test_errors_add_up_over_turns():
    total = Errors(1, 3) + Errors(0, 7)
    assert total.rate == pytest.approx(0.1)
    assert Errors(0, 0).rate is None
