"""Words after which nobody ends a turn, and their like that do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxrtc.endpointing.words import hangs


@pytest.mark.parametrize(
    "text",
    [
        "I went to the shop and",
        "I went to the shop and...",
        "Can you tell me the",
        "THE MAN WHOSE",
        "Well, because",
        "It would have been",
        "I'd like to, um",
        "Um.",
        "Hmm",
    ],
)
def test_nobody_ends_a_turn_so(text: str) -> None:
    assert hangs(text, "en")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "No.",
        "Who?",
        "I went to the shop.",
        "Here I am.",
        "I know what that is. Yes, it is.",
        "What can I do?",
        "What about that?",
        "I've been there, too.",
    ],
)
def test_a_turn_may_end_so(text: str) -> None:
    assert not hangs(text, "en")


@pytest.mark.parametrize(
    "text", ["Where are you from?", "I think so.", "Not really.", "Oh, no.", "Can you help me with this?"]
)
def test_who_has_read_it_knows_better_than_a_list_of_last_words(text: str) -> None:
    assert hangs(text, "en")
    assert not hangs(text, "en", complete=True)


@pytest.mark.parametrize("text", ["I want um", "My number is five five five", "Yes, er"])
def test_but_not_about_fillers_and_numbers(text: str) -> None:
    assert hangs(text, "en", complete=True)


@pytest.mark.parametrize(
    ("text", "hanging"),
    [
        ("My phone number is 555", True),
        ("My phone number is 555-12", True),
        ("My phone number is 555-1234", False),
        ("It is account four two seven oh", True),
        ("It is account four two seven oh one one nine", False),
        ("My zip code is 90", True),
        ("My zip is nine oh two one", True),
        ("My zip is 90210", False),
        ("My pin is 12", True),
        ("The code is 1234.", False),
        ("You can call me at five five five one", True),
        ("I have two", False),
        ("I am forty two", False),
        ("What is your number?", False),
        ("My number is 555 1234, but my card is 42", True),
    ],
)
def test_a_number_that_has_too_few_digits(text: str, hanging: bool) -> None:
    assert hangs(text, "en") == hanging


@pytest.mark.parametrize(
    ("text", "language", "hanging"),
    [
        ("Ich habe einen Hund und", "de", True),
        ("Wo ist er", "de", False),
        ("Ich weiß nicht, ähm", "de", True),
        ("Je voudrais une", "fr", True),
        ("Je voudrais une pomme", "fr", False),
        ("Quiero este", "es", True),
        ("Vorrei un caffè con", "it", True),
        ("Eu gosto de", "pt", True),
        ("My phone number is 555", "de", False),
        ("I went to the shop and", "ja", False),
        ("私は", "ja", False),
        ("anything and", "", False),
        ("anything, um", "", True),
    ],
)
def test_other_languages(text: str, language: str, hanging: bool) -> None:
    assert hangs(text, language) == hanging


@given(st.text(max_size=60), st.sampled_from(["en", "de", "zh", "", "xx"]), st.booleans())
def test_anything_may_be_asked(text: str, language: str, complete: bool) -> None:
    """And a model's word for it that a turn is whole never makes it hang."""
    assert hangs(text, language) or not hangs(text, language, complete)
