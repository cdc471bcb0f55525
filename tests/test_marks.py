"""Marks of the language model, taken out of its text wherever that is cut into pieces."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxrtc.marks import LONGEST, Marked, Marks, unmarked, words
from voxrtc.settings import EMOTIONS


def in_pieces(text: str, size: int) -> str:
    marks = Marks()
    return "".join(marks.feed(text[at : at + size]) for at in range(0, len(text), size)) + marks.finish()


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("[happy] Great!", "Great!"),
        ("[Happy]Great!", "Great!"),
        ("[ very  HAPPY ] Great!", "Great!"),
        ("[very happy!] Great!", "Great!"),
        ("[Happy]: Great!", "Great!"),
        ("[Happy]：Great!", "Great!"),
        ("Yes. [sad]: No.", "Yes. No."),
        ("[happy, excited] Great!", "Great!"),
        ("[happy and very excited] Great!", "Great!"),
        ("[happy/excited] Great!", "Great!"),
        ("[cheerful] Great!", "Great!"),
        ("[a little sad] Oh.", "Oh."),
        ("[emotion: sad] Oh.", "Oh."),
        ("(happy) Great!", "Great!"),
        ("<happy> Great!", "Great!"),
        ("<happy>Great!</happy> It is.", "Great! It is."),
        ("[happily] Great!", "Great!"),
        ("[glücklich] Toll!", "Toll!"),
        ("[sehr traurig] Oh.", "Oh."),
        ("[दुखी] ओह।", "ओह।"),
        ("【happy】 Great!", "Great!"),
        ("I am [sad] sorry.", "I am sorry."),
        ("I am[sad] sorry.", "I am sorry."),
        ("Yes. [happy][sad] No.", "Yes. No."),
        ("Yes. [happy] [sad] No.", "Yes. No."),
        ("[laughs] Oh dear.", "Oh dear."),
        ("[laughs softly] Oh dear.", "Oh dear."),
        ("(laughing) Oh dear.", "Oh dear."),
        ("Well [clears throat] yes.", "Well yes."),
        ("*smiles* Hello!", "Hello!"),
        ("Hello! *smiles warmly*", "Hello! "),
        ("one\n*sighs* two", "one\ntwo"),
        ("one [happy]\ntwo", "one \ntwo"),
        ("[happy]", ""),
        ("{happy} Great!", "Great!"),
        ("I am {very sad} sorry.", "I am sorry."),
        ("[concerned] Oh. [Sarcastic] Sure.", "Oh. Sure."),
        ("[hopeful, reassuring] It will be fine.", "It will be fine."),
        ('"(happy)Great!" (sad) Oh.', '"Great!" Oh.'),
        ("Yes.) (pause) No.", "Yes.) No."),
        ("<happy>That is great</happy> and fine.", "That is great and fine."),
        ("（高兴）（happy）好。（sad）唉", "（高兴）（happy）好。唉"),
        # cut off by the end of the answer
        ("[happy", ""),
        ("Oh no. [sad", "Oh no. "),
        ("Oh no. [hap", "Oh no. "),
        ("Oh no. [very sa", "Oh no. "),
        ("Oh no. (laug", "Oh no. "),
        ("Oh no. *sig", "Oh no. "),
        ("Oh no. {excited, ", "Oh no. "),
        # these are text
        ("See [1] and [sic].", "See [1] and [sic]."),
        ("Dear [your name],", "Dear [your name],"),
        ("It is in [the book] (the old one).", "It is in [the book] (the old one)."),
        ("[not happy] at all", "[not happy] at all"),
        ("[happy?] no", "[happy?] no"),
        ("[very] much", "[very] much"),
        ("[emotion] and (a)", "[emotion] and (a)"),
        ("[throat] and [clears]", "[throat] and [clears]"),
        ("[happy)", "[happy)"),
        ("[happy as can be, he said]", "[happy as can be, he said]"),
        ("[" + "a" * 100 + "]", "[" + "a" * 100 + "]"),
        ("[" + "happy " * 30 + "]", "[" + "happy " * 30 + "]"),
        ("[]", "[]"),
        ("[ ]", "[ ]"),
        ("a[0] = b[i], a < b > c", "a[0] = b[i], a < b > c"),
        ("[[happy]]", "[]"),
        ("I am *happy* and **sad**", "I am *happy* and **sad**"),
        ("*Happy* people laugh.", "*Happy* people laugh."),
        ("**laughs**", "**laughs**"),
        ("It never *smiles* at 2 * 3 * 4.", "It never *smiles* at 2 * 3 * 4."),
        ("* smile at all\n* sigh", "* smile at all\n* sigh"),
        ("]happy[", "]happy["),
        (":-) (: [x]: y", ":-) (: [x]: y"),
        ("See [", "See ["),
        ("It is [not", "It is [not"),
        ("In Spanish, 'triste' (sad) is not 'feliz' (happy).", "In Spanish, 'triste' (sad) is not 'feliz' (happy)."),
        ("Dogs (playful, friendly) are great.", "Dogs (playful, friendly) are great."),
        ("The word (happy) means glad.", "The word (happy) means glad."),
        ("I use <sad> and <happy> tags.", "I use <sad> and <happy> tags."),
        ("He said nothing (pause) and left.", "He said nothing (pause) and left."),
        ("I close </happy> what is open.", "I close </happy> what is open."),
        ("As {name} and {i} in {happy_path}", "As {name} and {i} in {happy_path}"),
        ("He spoke of “joy” (happiness) then", "He spoke of “joy” (happiness) then"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
def test_what_is_a_mark_and_what_is_text(text: str, rest: str, pieces: int) -> None:
    assert in_pieces(text, pieces) == rest


@pytest.mark.parametrize(
    ("mark", "emotion", "intensity"),
    [
        ("[happy, excited]", "happy", 1.0),
        ("[cheerful]", "happy", 1.0),
        ("[furious!]", "angry", 1.0),
        ("[thrilled]", "excited", 1.0),
        ("[calm]", "neutral", 1.0),
        ("[calm, warm]", "happy", 1.0),
        ("[really very sad]", "sad", 1.25 * 1.3),
        ("(a bit annoyed)", "angry", 0.7),
        ("[tone: SALTY, sad]", "", 0.0),
        ("[concerned]", "sad", 1.0),
        ("[sarcastic]", "neutral", 1.0),
        ("{excited}", "excited", 1.0),
        ("[laughs happily]", "happy", 1.0),
        ("*sighs sadly*", "sad", 1.0),
        ("[laughs]", "", 0.0),
        ("</happy>", "", 0.0),
    ],
)
def test_what_a_mark_asks_for(mark: str, emotion: str, intensity: float) -> None:
    marks = Marks()
    marks.feed(f"{mark} Then")
    found = marks.take(1)
    assert found == (Marked(0, emotion, pytest.approx(intensity)) if emotion else None)


def test_text_is_held_back_only_as_long_as_it_may_become_a_mark() -> None:
    marks = Marks()
    assert marks.feed("Take [") == "Take "
    assert marks.feed("1") == "[1"
    assert marks.feed("] now [hap") == "] now "
    assert marks.feed("pening") == "[happening"
    assert marks.feed(" (so") == " (so"
    assert marks.feed(". (so ") == ". "
    assert marks.feed("i") == ""
    assert marks.feed("t is") == "(so it is"
    assert marks.feed(" [happy" + "," * LONGEST) == " [happy" + "," * LONGEST
    assert marks.feed(" a *") == " a *"
    assert marks.feed(" [") == " "
    assert marks.finish() == "["


MARKS = [f"{a}{name}{b}" for name in words().emotions for a, b in ("[]", "{}")]
MARKS += [f"[{name}]" for name in words().directions] + [f"[{word} sad]:" for word in words().degrees]
TEXT = st.lists(
    st.sampled_from([*MARKS, *(mark.replace("[", "(").replace("]", ")") for mark in MARKS), "<happy>", "<sad>"])
    | st.sampled_from(["[", "]", "(", ">", "*", "[1]", "(so", ":", " ", "\n", ". ", ", ", "happy", "not", "😀", "好。"])
    | st.sampled_from(
        ["*smiles*", "*sighs deeply* ", "</happy>", "very", "[hap", "py]", "<", "…", "nuk\u0301ta", "{", "'"]
    ),
    max_size=30,
).map("".join)


@settings(deadline=None)
@given(TEXT, st.lists(st.integers(1, 9), min_size=1))
@example("[happy[sad] a", [1])
@example("[happy]: a", [7, 1, 1])
def test_how_it_arrives_does_not_matter(text: str, sizes: list[int]) -> None:
    cut, whole = Marks(), Marks()
    given, at = "", 0
    for number in range(len(text)):
        size = sizes[number % len(sizes)]
        given += cut.feed(text[at : at + size])
        at += size
    assert given + cut.finish() == whole.feed(text) + whole.finish()
    for end in range(len(given) + 1):
        assert cut.take(int(end > 0)) == whole.take(int(end > 0))


@settings(deadline=None)
@given(st.lists(st.sampled_from([*MARKS, "[1] ", "yes ", ". ", "[the book] ", "好。"]), max_size=20).map("".join))
def test_no_mark_is_left_and_no_text_is_lost(text: str) -> None:
    known = "|".join(re.escape(mark) for mark in sorted(MARKS, key=len, reverse=True))
    expected = re.sub(rf"(?:{known}):?", "", text)
    assert re.sub(r"\s", "", unmarked(text)) == re.sub(r"\s", "", expected)


@settings(deadline=None)
@given(st.text(max_size=200), st.integers(1, 20))
def test_any_text_without_brackets_stays(text: str, pieces: int) -> None:
    if not re.search(r"[\[{(<*（【]", text):
        assert in_pieces(text, pieces) == text


def test_the_words() -> None:
    table = tomllib.loads((files("voxrtc") / "marks.toml").read_text(encoding="utf-8"))
    assert set(table["emotions"]) == set(EMOTIONS)
    every = [word for said in table["emotions"].values() for word in said]
    every += [*table["degrees"], *table["others"]["directions"], *table["others"]["fillers"]]
    assert len(every) == len(set(every)), "no word has two meanings"
    assert all(word == word.casefold() and unicodedata.is_normalized("NFC", word) for word in every if word != "ß")
    assert all(re.fullmatch(r"[^\W\d_]+(?: [^\W\d_]+)*", re.sub("[\u0900-\u0963]", "x", word)) for word in every)
    assert all(0.5 <= factor <= 2.0 for factor in table["degrees"].values())
