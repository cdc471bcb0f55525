"""Cutting a reply into clauses, as it is written."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voxrtc.dialogue.clauses import ClauseCutter, Cut, begins_line, ends_sentence, read_aloud
from voxrtc.speakable import speakable

FIRST, LONGEST = 12, 220


def cut(text: str, pieces: int = 1, first: int = FIRST, longest: int = LONGEST) -> list[str]:
    """The clauses of ``text``, fed ``pieces`` characters at a time."""
    cutter = ClauseCutter(first, longest)
    found = [clause for at in range(0, len(text), pieces) for clause in cutter.feed(text[at : at + pieces])]
    return texts(found + cutter.finish())


def texts(cuts: list[Cut]) -> list[str]:
    return [clause.text for clause in cuts]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Yes.", ["Yes."]),
        ("Yes. I can do that.", ["Yes. I can do that."]),
        ("Yes, of course. I can.", ["Yes, of course.", " I can."]),
        ("Well, if you ask me, yes.", ["Well, if you ask me,", " yes."]),
        ("The answer is 3.5 metres, give or take.", ["The answer is 3.5 metres,", " give or take."]),
        ("It costs 3,500 euros a year.", ["It costs 3,500 euros a year."]),
        ("The train leaves at 12:30 sharp.", ["The train leaves at 12:30 sharp."]),
        ("You should see Dr. Smith about it.", ["You should see Dr. Smith about it."]),
        ("Take something light, e.g. soup. Or rice.", ["Take something light,", " e.g. soup.", " Or rice."]),
        ("J. R. R. Tolkien wrote it. I am sure.", ["J. R. R. Tolkien wrote it.", " I am sure."]),
        ('She said "come in." Then she left.', ['She said "come in."', " Then she left."]),
        ("Are you sure?! I am not... really.", ["Are you sure?!", " I am not...", " really."]),
        ("I have an idea — listen to this. Good.", ["I have an idea —", " listen to this.", " Good."]),
        ("**Bold** and _soft_ `code` here. 😀 Fine.", ["Bold and soft code here.", " Fine."]),
        ("# Title\n- one thing\n- another thing", ["Title", " one thing", " another thing"]),
        ("1. First do this. 2. Then do that.", ["1. First do this.", " 2. Then do that."]),
        ("私は元気です。あなたはどうですか？はい。", ["私は元気です。", "あなたはどうですか？", "はい。"]),
        ("मैं ठीक हूँ। आप कैसे हैं? अच्छा।", ["मैं ठीक हूँ।", " आप कैसे हैं?", " अच्छा।"]),
        ("   ", []),
        ("", []),
        ("...", ["..."]),
    ],
)
@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_examples(text: str, clauses: list[str], pieces: int) -> None:
    assert cut(text, pieces) == clauses


def test_a_clause_is_given_as_soon_as_it_is_sure() -> None:
    cutter = ClauseCutter(FIRST, LONGEST)
    assert texts(cutter.feed("Of course I can, my")) == ["Of course I can,"]
    assert texts(cutter.feed(" friend. And")) == [" my friend."]
    assert texts(cutter.feed(" more.")) == []
    assert texts(cutter.finish()) == [" And more."]


def test_later_clauses_end_at_a_comma_only_when_long() -> None:
    text = "This is first. " + "word " * 14 + "here, and then it goes on, and on it goes. Last."
    assert cut(text) == [
        "This is first.",
        " " + "word " * 14 + "here, and then it goes on,",
        " and on it goes.",
        " Last.",
    ]


def test_a_clause_never_gets_too_long() -> None:
    clauses = cut("word " * 100, longest=50)
    assert all(len(c) <= 50 for c in clauses)
    assert "".join(clauses).split() == ["word"] * 100
    assert [len(c) for c in cut("無" * 50, longest=60)] == [19, 20, 11]


TEXT = st.text(st.sampled_from("ab Z9.,;:!?—-*_#`\n\"')(。、！👍éह।"), max_size=200) | st.text(max_size=80)
IGNORED = re.compile(
    r"[\s*_`~|#>+•-]|[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2b00-\u2bff\ufe00-\ufe0f\u200d\u20e3]|[\U000e0020-\U000e007f]"
)


@given(TEXT, st.integers(1, 20), st.integers(1, 30), st.integers(20, 60))
@example("1. a. b", 1, 1, 20)
def test_nothing_is_lost(text: str, pieces: int, first: int, longest: int) -> None:
    clauses = cut(text, pieces, first, longest)
    assert IGNORED.sub("", "".join(clauses)) == IGNORED.sub("", text)
    assert all(len(c) <= longest + 1 for c in clauses)
    assert all(c.strip() for c in clauses)


@given(TEXT, st.integers(1, 20))
def test_how_it_arrives_does_not_matter(text: str, pieces: int) -> None:
    assert cut(text, pieces) == cut(text, 1)


@given(TEXT)
def test_only_the_last_clause_may_be_without_words(text: str) -> None:
    for clause in cut(text)[:-1]:
        assert any(c.isalnum() for c in clause)


def test_speakable() -> None:
    assert speakable("a  *b*\n\tc 👍🏽 ") == "a b c "
    assert speakable("_it_ is __so__, ~~not~~ a_b@c.org, ~5") == "it is so, not a_b@c.org, ~5"
    assert speakable("snow — and 2 > 1") == "snow — and 2 > 1"


def cut_early(text: str, first: int = 12, breath: int = 16) -> list[str]:
    """The clauses of ``text``, fed a word at a time, each with the space before it, as a model writes it."""
    cutter = ClauseCutter(first, LONGEST, breath)
    return [clause for word in re.findall(r"\s?\S+", text) for clause in texts(cutter.feed(word))] + texts(
        cutter.finish()
    )


def test_a_comma_after_a_word_needs_no_waiting() -> None:
    cutter = ClauseCutter(FIRST, LONGEST)
    assert texts(cutter.feed("If he had married,")) == ["If he had married,"]
    numbers = ClauseCutter(FIRST, LONGEST)
    assert texts(numbers.feed("It had cost him 3,")) == []
    assert texts(numbers.feed("500 pounds.") + numbers.finish()) == ["It had cost him 3,500 pounds."]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Mr. Dashwood had leisure to think about it for a long while.", "Mr. Dashwood had leisure"),
        ("He was not an ill disposed young man.", "He was not an ill disposed young man."),
        ("I think that is right, and so do they.", "I think that is right,"),
        ("Paris is the capital of France.", "Paris is the capital of France."),
        (
            "Extraordinarily uncompromising grandmothers everywhere applauded.",
            "Extraordinarily uncompromising grandmothers",
        ),
        ("To be or not to be that is the question.", "To be or not to be"),
        ("The elder Mr. John Dashwood had leisure for it.", "The elder Mr. John Dashwood"),
        ("One long sentence is said.", "One long sentence is said."),
    ],
)
def test_the_first_clause_may_end_in_a_breath(text: str, first: str) -> None:
    clauses = cut_early(text)
    assert clauses[0] == first
    assert "".join(clauses) == text


@pytest.mark.parametrize(
    ("language", "text", "first"),
    [
        (
            "de",
            "Der nächste Zug nach Hamburg fährt heute um 10:30 Uhr ab.",
            "Der nächste Zug nach Hamburg fährt heute um 10:30 Uhr",
        ),
        ("de", "Ich komme heute Abend und bringe Kuchen.", "Ich komme heute Abend"),
        ("de", "Sind Sie noch immer da?", "Sind Sie noch immer da?"),
        (
            "de",
            "Extraordinär Abfahrtszeitpunkt morgen 10:30 Uhr dann.",
            "Extraordinär Abfahrtszeitpunkt morgen 10:30 Uhr",
        ),
        ("fr", "Notre représentation commence à 14 h 30 demain soir.", "Notre représentation commence"),
        ("fr", "La représentation exceptionnellement commence 14 h 30 ce soir.", None),
        ("es", "El tren de Barcelona llega esta tarde a las cinco.", "El tren de Barcelona llega esta tarde"),
        ("es", "Le quiero enseñar este libro nuevo y otro.", "Le quiero enseñar este libro nuevo"),
        ("it", "Il prossimo treno arriva domani mattina con ritardo.", "Il prossimo treno arriva domani mattina"),
        ("pt", "O próximo trem chega amanhã cedo com atraso.", "O próximo trem chega amanhã cedo"),
        ("de", "Da war ich in Berlin so gern gewesen.", "Da war ich in Berlin so gern gewesen."),
        ("en", "The whole old population is 5 million people.", "The whole old population"),
        ("en", "Extraordinarily uncompromising was 5 million people.", None),
    ],
)
def test_breaths_by_language_and_never_beside_a_number(language: str, text: str, first: str | None) -> None:
    cutter = ClauseCutter(12, LONGEST, 16)
    clauses = [clause for word in re.findall(r"\s?\S+", text) for clause in texts(cutter.feed(word, language))]
    clauses += texts(cutter.finish())
    assert first is None or clauses[0] == first
    assert "".join(clauses) == text
    assert not any(one[-1].isdigit() or two.lstrip()[0].isdigit() for one, two in pairwise(clauses))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("It is open from 5 – 7 on Mondays.", ["It is open from 5 – 7 on Mondays."]),
        ("He came at nine — then he left.", ["He came at nine —", " then he left."]),
        ("It was in 1990 — then he left.", ["It was in 1990 —", " then he left."]),
    ],
)
@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_a_dash_between_numbers_parts_nothing(text: str, clauses: list[str], pieces: int) -> None:
    assert cut(text, pieces) == clauses


def test_a_clause_that_is_too_long_is_not_cut_beside_a_number() -> None:
    assert cut("word word word word at 10 o'clock or so it goes", first=40, longest=26)[0] == "word word word word"


def test_only_the_first_clause_ends_in_a_breath() -> None:
    text = "Yes, certainly. The ship went on and on to the far end of the world."
    assert cut_early(text) == ["Yes, certainly.", " The ship went on and on to the far end of the world."]


def test_a_breath_is_never_taken_where_it_is_off() -> None:
    text = "Mr. Dashwood had leisure to think about it for a long while."
    assert cut_early(text, breath=0) == [text]


def test_what_was_cut_inside_a_sentence_does_not_fall() -> None:
    assert read_aloud(" Mr. Dashwood had leisure") == "Mr. Dashwood had leisure,"
    assert read_aloud(" to think.") == "to think."


@given(TEXT, st.integers(1, 20))
@example("- 9", 1)
@example("\u2776", 1)
def test_as_it_was_written_nothing_is_lost_at_all(text: str, first: int) -> None:
    cutter = ClauseCutter(first, 60)
    cuts = cutter.feed(text) + cutter.finish()
    whole = "".join(clause.raw for clause in cuts)
    assert text.startswith(whole)
    assert not any(c.isalnum() for c in speakable(text[len(whole) :]))  # U+2776 is a digit, and one of the emoji
    written = [clause.raw if number else f"\n{clause.raw}" for number, clause in enumerate(cuts)]
    assert [speakable(raw).strip() for raw in written] == [clause.text.strip() for clause in cuts]


@pytest.mark.parametrize(
    ("raw", "ends", "begins"),
    [
        (" I am.", True, False),
        (' "Yes!" ', True, False),
        (" well,", False, False),
        ("\n- one", False, True),
        ("好。", True, False),
    ],
)
def test_where_sentences_and_lines_end(raw: str, ends: bool, begins: bool) -> None:
    assert (ends_sentence(raw), begins_line(raw)) == (ends, begins)
