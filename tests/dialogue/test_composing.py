"""Marks of the language model, taken out of its text wherever that is cut into pieces; the moods of clauses."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxrtc.dialogue.clauses import ClauseCutter
from voxrtc.dialogue.composing import Composer
from voxrtc.marks import words
from voxrtc.settings import EMOTIONS


def composed(text: str, pieces: int = 1000, language: str = "en", feels: bool = True) -> list[tuple[str, str]]:
    """(text, emotion) of each clause of ``text``, fed ``pieces`` characters at a time."""
    composer = Composer(ClauseCutter(12, 220), feels)
    found = [c for at in range(0, len(text), pieces) for c in composer.feed(text[at : at + pieces], language)]
    return [(clause, mood.emotion) for clause, mood in found + composer.finish(language)]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("[happy] The train leaves at nine.", [("The train leaves at nine.", "happy")]),
        ("[sad] I am so very happy today.", [("I am so very happy today.", "sad")]),
        ("[neutral] I am so very happy today.", [("I am so very happy today.", "neutral")]),
        # to the end of the sentence, over its clauses
        (
            "[sad] If you ask me now, it is over. The train has left.",
            [("If you ask me now,", "sad"), (" it is over.", "sad"), (" The train has left.", "neutral")],
        ),
        # in the middle of a clause: all of it
        ("The train has [angry] left again.", [("The train has left again.", "angry")]),
        ("The train has left[angry].", [("The train has left.", "angry")]),
        ("The train has left [angry]", [("The train has left", "angry")]),
        # after the full stop: of what follows
        (
            "The train has left. [sad] The next is late.",
            [("The train has left.", "neutral"), (" The next is late.", "sad")],
        ),
        (
            "The train has left.[sad] The next is late.",
            [("The train has left.", "neutral"), (" The next is late.", "sad")],
        ),
        ("The train has left. [sad]", [("The train has left.", "neutral")]),
        # of several in a clause the last one
        ("[happy] Yes. [sad] But it left.", [("Yes. But it left.", "sad")]),
        # a line ends it as well
        (
            "[happy] one thing here\n- another thing here",
            [("one thing here", "happy"), (" another thing here", "neutral")],
        ),
        ("[very happy] Hi.", [("Hi.", "happy")]),
        ("[laughs] That is terrible news.", [("That is terrible news.", "sad")]),
        ("[happy]", []),
        ("Wonderful, we go. 😭 The train has left.", [("Wonderful, we go.", "happy"), (" The train has left.", "sad")]),
        ("This is great 😀 fun. It is.", [("This is great fun.", "happy"), (" It is.", "neutral")]),
    ],
)
@pytest.mark.parametrize("pieces", [1, 4, 1000])
def test_clauses_and_their_moods(text: str, clauses: list[tuple[str, str]], pieces: int) -> None:
    assert composed(text, pieces) == clauses


def test_a_degree_in_a_mark_is_its_intensity() -> None:
    for word, factor in words().degrees.items():
        composer = Composer(ClauseCutter(12, 220))
        ((_, mood),) = composer.feed(f"[{word} sad] The train left.", "en") + composer.finish("en")
        assert (mood.emotion, mood.intensity, mood.confidence) == ("sad", factor, 1.0)


def test_who_does_not_feel_still_says_no_marks() -> None:
    assert composed("[happy] I am very glad.", feels=False) == [("I am very glad.", "neutral")]


MARKS = [f"[{name}]" for name in (*EMOTIONS, *words().directions)] + [f"[{word} sad]" for word in words().degrees]
TEXT = st.lists(
    st.sampled_from(
        [*MARKS, "[", "]", "[1]", "[sic]", " ", "\n", ". ", ", ", "! ", "happy", "not", "yes", "😀", "好。"]
    ),
    max_size=30,
).map("".join)


@given(TEXT, st.lists(st.integers(1, 9), min_size=1))
@example("[happy[sad] a", [1])
def test_how_it_arrives_does_not_matter(text: str, sizes: list[int]) -> None:
    composer = Composer(ClauseCutter(12, 60))
    found, at = [], 0
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        found += composer.feed(text[at : at + size], "en")
        at += size
    found += composer.finish("en")
    whole = Composer(ClauseCutter(12, 60))
    assert found == whole.feed(text, "en") + whole.finish("en")


@given(st.text(max_size=200), st.integers(1, 20))
def test_any_text(text: str, pieces: int) -> None:
    assert all(clause and emotion in EMOTIONS for clause, emotion in composed(text, pieces, "hi"))
