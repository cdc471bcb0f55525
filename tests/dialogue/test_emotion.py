"""The emotion of a clause, by its words."""

from __future__ import annotations

import time
import tomllib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrtc.dialogue.emotion import LEAST, MOST, NEUTRAL, Mood, marked, read
from voxrtc.dialogue.lexicon import LANGUAGES, TOKEN, emoji, fold, lexicon, plain_sign, read_table, word_of
from voxrtc.settings import EMOTIONS


def emotion(text: str, language: str = "en") -> str:
    return read(text, language).emotion


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("That is wonderful.", "happy"),
        ("I love it", "happy"),
        ("What a terrible, lonely night.", "sad"),
        ("He was furious and hostile.", "angry"),
        ("This is amazing.", "excited"),
        ("I can't wait.", "excited"),
        ("I can’t wait.", "excited"),
        ("Okay, that is fine.", "neutral"),
        ("The train leaves at nine.", "neutral"),
        ("", "neutral"),
        # whole words only
        ("unhappy", "sad"),
        ("sadly", "sad"),
        ("classic", "neutral"),
        ("Glad tidings", "happy"),
        ("Gladstone", "neutral"),
        ("The crusade made Madrid a Saddler's town.", "neutral"),
        ("HAPPY", "happy"),
        ("ｈａｐｐｙ", "happy"),
        ("**happy**", "happy"),
        ("_happy_", "happy"),
        ("snake_happy_case", "happy"),
        ("'happy'", "happy"),
        ("“glad”", "happy"),
        ("well-loved", "happy"),
        # who asks does not feel
        ("Are you sad?", "neutral"),
        ("I am glad. Are you angry?", "happy"),
        ("Isn't it wonderful?", "neutral"),
        ("Isn't it wonderful!", "happy"),
        ("I understand how frustrating that is.", "neutral"),
        # what disagrees is nothing
        ("I am happy, she is sad.", "neutral"),
        ("I am so happy and excited", "happy"),
        # sorry is politeness, sympathy is not
        ("Sorry, I did not catch that.", "neutral"),
        ("I'm sorry to hear that.", "sad"),
        ("I mean, the fine print is out of order.", "neutral"),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert emotion(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am not happy.", "sad"),
        ("I don't love it.", "sad"),
        ("I don’t love it.", "sad"),
        ("Nobody is happy here.", "sad"),
        ("I never was happy.", "sad"),
        ("I am not sad.", "neutral"),
        ("No, I am happy.", "happy"),
        ("It was not raining, and I was happy.", "happy"),
        ("Not a word of what was said was happy.", "happy"),
        ("I am not sad but happy.", "happy"),
        ("never a sad or angry word", "neutral"),
        ("neither happy nor glad", "sad"),
        ("neither sad nor angry", "neutral"),
        ("not sad happy", "happy"),
        ("I am never not happy.", "happy"),
        ("not very happy", "sad"),
        ("not only happy", "happy"),
        ("no doubt a wonderful day", "happy"),
        ("No problem, glad to help.", "happy"),
        ("nothing but joy", "happy"),
        ("not bad", "happy"),
        ("I hate to say it", "neutral"),
    ],
)
def test_negators(text: str, expected: str) -> None:
    assert emotion(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I have never been happier.", "happy"),
        ("I have never been happy.", "sad"),
        ("I could not be happier.", "happy"),
        ("I couldn't be more pleased.", "happy"),
        ("I couldn't be pleased.", "sad"),
        ("I have never felt so sad.", "sad"),
        ("I am not so happy.", "sad"),
        ("I am no more happy than you.", "sad"),
        ("neither happy nor sad", "neutral"),
        ("I'm not angry, I'm happy.", "happy"),
        ("No, I'm really sad.", "sad"),
        ("I'm mad about you.", "happy"),
        ("I'm mad about it.", "angry"),
        ("It can't wait.", "neutral"),
        ("I can't wait.", "excited"),
    ],
)
def test_comparisons_and_contrasts(text: str, expected: str) -> None:
    assert emotion(text) == expected


def test_what_there_is_no_more_of_is_strong() -> None:
    assert read("I have never been happier.", "en").intensity > read("I am happy.", "en").intensity
    assert read("मैं इतना खुश कभी नहीं था।", "hi").intensity > read("मैं खुश था।", "hi").intensity


SENTENCES = tomllib.loads(Path(__file__).with_name("sentences.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("unseen", [False, True])
def test_sentences_as_people_say_them(language: str, unseen: bool) -> None:
    groups = (SENTENCES["unseen"] if unseen else SENTENCES)[language]
    said = [(text, expected) for expected, texts in groups.items() for text in texts]
    wrong = [(text, expected) for text, expected in said if emotion(text, language) != expected]
    assert set(groups) == set(EMOTIONS)
    assert len(said) >= (40 if language == "en" else 10)
    assert len(wrong) <= 0.1 * len(said), wrong


def test_facts_have_no_mood() -> None:
    texts = SENTENCES["facts"]["en"]
    wrong = [text for text in texts if emotion(text) != "neutral"]
    assert len(texts) == 25
    assert len(wrong) <= 2, wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("That is great.", "neutral"),
        ("That is great!", "happy"),
        ("That is really great.", "happy"),
        ("That is great 😀", "happy"),
        ("That is great and nice.", "happy"),
        ("Great, fun!", "happy"),
        ("It is slightly cool.", "neutral"),
        ("WONDERFUL NEWS, I LOVE IT", "happy"),
        ("We saw The Amazing Race.", "neutral"),
        ("Happy birthday, Anna.", "happy"),
        ("Happy Birthday, Anna.", "happy"),
        ("Sadly John died.", "sad"),
        ("Well, Wonderful news.", "happy"),
    ],
)
def test_what_may_mean_something_else_and_names(text: str, expected: str) -> None:
    assert emotion(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "I'm not sad, angry, or lonely.", "neutral"),
        ("en", "I'm not sad, very angry or lonely.", "neutral"),
        ("en", "I'm not angry, I'm happy.", "happy"),
        ("en", "I'm not happy, sad really.", "sad"),
        ("en", "Neither he nor I was angry or sad.", "neutral"),
        ("en", "Nobody here is ever going to be sad.", "neutral"),
        ("en", "Nothing beats a beautiful day.", "happy"),
        ("en", "No one is happier than me.", "happy"),
        ("en", "There is nothing I love more.", "happy"),
        ("en", "I can't believe how happy I am!", "happy"),
        ("en", "I can't tell you how happy I am.", "happy"),
        ("en", "I'm barely happy.", "sad"),
        ("en", "Not a single person was happy.", "sad"),
        ("en", "No one was ever so sad, but I am happy.", "happy"),
        ("es", "No estoy nada contenta.", "sad"),
        ("es", "No estoy nunca feliz.", "sad"),
        ("es", "No hay nadie feliz.", "sad"),
        ("es", "No estoy para nada contento.", "sad"),
        ("es", "No fue nada terrible.", "neutral"),
        ("es", "No estoy triste, enfadado ni deprimido.", "neutral"),
        ("fr", "Je ne suis pas du tout en colère.", "neutral"),
        ("fr", "Personne n'aime rien.", "sad"),
        ("fr", "Je ne suis pas du tout heureux.", "sad"),
        ("de", "Niemand hier wird jemals wieder traurig sein.", "neutral"),
    ],
)
def test_how_far_negators_reach_and_which_agree(language: str, text: str, expected: str) -> None:
    assert emotion(text, language) == expected


def test_what_is_turned_is_weaker() -> None:
    plain, turned = read("I am happy", "en"), read("I am not happy", "en")
    assert turned.intensity < plain.intensity
    assert turned.confidence < plain.confidence


def test_every_negator_and_word_of_degree_of_the_original() -> None:
    for word in ("not", "no", "never", "neither", "nobody"):
        assert emotion(f"{word} happy") == "sad"
    for word in ("very", "extremely", "incredibly", "absolutely", "really"):
        assert read(f"{word} happy", "en").intensity > 1.0


def test_words_of_degree() -> None:
    def strength(text: str) -> float:
        return read(text, "en").intensity

    assert strength("happy") == 1.0
    assert strength("very happy") == 1.3
    assert strength("really very happy") == pytest.approx(1.62)
    assert strength("extremely, happy") == 1.0, "punctuation parts them"
    assert strength("very very very very happy") == MOST
    assert strength("a little sad") == 0.7
    assert strength("slightly mildly sad") == LEAST
    assert strength("really do love") == 1.25
    assert strength("very much as I once was happy") == 1.0
    assert strength("very old, and happy") == 1.0
    assert strength("very happy and sad to say happy") == pytest.approx(1.15), "each word has its own"


def test_exclamation_marks() -> None:
    assert read("Hello!", "en") == NEUTRAL
    assert read("Hello!!", "en") == Mood("excited", 0.75, 0.5)
    assert read("はい！！", "ja").emotion == "excited"
    assert read("I am glad!", "en").intensity == 1.15
    assert read("I am glad!!!", "en").intensity == read("I am glad!!", "en").intensity == 1.3
    assert read("I am glad!", "en").confidence > read("I am glad", "en").confidence
    assert emotion("Okay!!") == "neutral"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("😀", "happy"),
        ("👍🏽 yes", "happy"),
        ("👍🏿👍🏻", "happy"),
        ("❤️", "happy"),
        ("❤", "happy"),
        ("☺️ good", "happy"),
        ("❤️‍🔥", "excited"),
        ("❤️‍🩹", "sad"),
        ("😮‍💨", "neutral"),
        ("😶‍🌫️", "neutral"),
        ("👨‍👩‍👧‍👦", "neutral"),
        ("🤦🏽‍♀️", "neutral"),
        ("🏳️‍🌈", "neutral"),
        ("🇫🇷", "neutral"),
        ("1️⃣", "neutral"),
        ("🙌🏾 done", "excited"),
        ("😡", "angry"),
        ("\u200d\ufe0f🏽", "neutral"),
        ("🏻\ufe0e", "neutral"),
        ("😭😭😭", "sad"),
    ],
)
def test_emoji(text: str, expected: str) -> None:
    assert emotion(text, "ja") == expected, "of any language"


@pytest.mark.parametrize(
    ("language", "text", "expected", "intensity"),
    [
        ("es", "Estoy muy feliz.", "happy", 1.3),
        ("es", "¡Qué alegría!", "happy", 1.15),
        ("es", "No estoy feliz.", "sad", 0.7),
        ("es", "ni triste ni enfadado", "neutral", 1.0),
        ("es", "no solo feliz", "happy", 1.0),
        ("es", "Lo siento mucho.", "sad", 1.0),
        ("fr", "Je suis très heureuse.", "happy", 1.3),
        ("fr", "J’adore ça.", "happy", 1.0),
        ("fr", "Je n'aime pas ça.", "sad", 0.7),
        ("fr", "Je ne suis pas heureux.", "sad", 0.7),
        ("fr", "Je ne suis pas triste, je suis ravi.", "happy", 1.0),
        ("fr", "Pas de problème, d'accord.", "neutral", 1.0),
        ("de", "Ich bin sehr traurig.", "sad", 1.3),
        ("de", "Ich freue mich nicht.", "sad", 0.7),
        ("de", "Ich bin nicht glücklich.", "sad", 0.7),
        ("de", "Ich bin glücklich und nicht traurig.", "happy", 1.0),
        ("de", "Das ist ja GROSSARTIG, herzlichen Glückwunsch.", "happy", 1.0),
        ("de", "nicht nur froh", "happy", 1.0),
        ("hi", "मैं बहुत खुश हूँ।", "happy", 1.3),
        ("hi", "मैं खुश नहीं हूँ।", "sad", 0.7),
        ("hi", "यह बहुत दुखद है।", "sad", 1.3),
        ("hi", "कोई बात नहीं, ठीक है।", "neutral", 1.0),
        ("hi", "खुशबू बहुत अच्छा शब्द", "happy", 1.04),  # of "fragrance" only the weak word after it counts
        ("it", "Sono molto felice", "neutral", 1.0),
        ("xx", "happy", "neutral", 1.0),
    ],
)
def test_languages(language: str, text: str, expected: str, intensity: float) -> None:
    for form in ("NFC", "NFD"):
        mood = read(unicodedata.normalize(form, text), language)
        assert (mood.emotion, mood.intensity) == (expected, pytest.approx(intensity, abs=0.01))


def test_a_mark_wins_and_the_words_say_how_strong() -> None:
    assert marked("sad", 1.0, "I am very happy.", "en") == Mood("sad", 1.0, 1.0)
    assert marked("happy", 1.0, "I am very happy.", "en") == Mood("happy", 1.3, 1.0)
    assert marked("happy", 1.6, "I am very happy!", "en") == Mood("happy", MOST, 1.0)
    assert marked("neutral", 1.3, "I am very happy!", "en") == NEUTRAL


WORDS = [word for name in LANGUAGES for word in lexicon(name).starts]
TEXT = (
    st.text(max_size=300)
    | st.lists(st.sampled_from([*WORDS, *emoji(), ",", ".", "!", "?", "\u200d", "🏽", "n't", "'"]), max_size=40).map(
        " ".join
    )
    | st.text(st.sampled_from("no t'veryhapd!?.\u200d\ufe0f😀🏽❤दुखी़्\u0301ſßİ"), max_size=80)
)


@settings(deadline=None)
@given(TEXT, st.sampled_from([*LANGUAGES, "ja", ""]))
def test_any_text_has_a_mood_in_range(text: str, language: str) -> None:
    mood = read(text, language)
    assert mood.emotion in EMOTIONS
    assert LEAST <= mood.intensity <= MOST
    assert 0.0 <= mood.confidence <= 1.0
    assert mood.emotion != "neutral" or mood.intensity == 1.0
    assert marked("sad", 1.6, text, language).emotion == "sad"


@settings(deadline=None)
@given(TEXT)
def test_case_and_form_do_not_matter(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC"):
        assert read(unicodedata.normalize(form, text), "en") == read(text, "en")


def test_its_time_grows_with_the_text_and_no_faster() -> None:
    def taken(text: str) -> float:
        began = time.perf_counter()
        read(text, "en")
        return time.perf_counter() - began

    for piece in ("not very happy! ", "'", "a'", "😀\u200d", "não ", "!?", "\u0301"):
        taken(piece)
        assert taken(piece * 20_000) < 5.0


# -- the data -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_entry_has_two_meanings(language: str) -> None:
    table = read_table(language)
    elisions = frozenset(table["elisions"])
    seen: dict[tuple[str, ...], str] = {}
    for key, entries in table.items():
        if key in ("reach", "endings", "elisions", "joiners", "comparers", "concord", "names", "openers", "far"):
            continue  # a joiner may be a negator as well, a comparer a feeling
        assert key in ("negators", "peaks", "breakers", "plain", "degrees") or key.removesuffix("_weak") in EMOTIONS, (
            key
        )
        for entry in entries:
            words = tuple(word_of(match[0], elisions) for match in TOKEN.finditer(fold(entry)))
            assert words, entry
            assert words not in seen, f"{entry} is in {key} and in {seen[words]}"
            seen[words] = key


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_files_are_whole(language: str) -> None:
    table = read_table(language)
    for name in EMOTIONS:
        assert len(table[name]) >= 5
        assert len(table[f"{name}_weak"]) >= 2
    assert all(0.5 <= factor <= 2.0 for factor in table["degrees"].values())
    assert table["negators"]
    for key, entries in table.items():
        if key not in ("reach", "concord", "names"):
            for entry in entries:
                assert unicodedata.is_normalized("NFC", entry), entry
                assert entry == entry.strip().casefold() or "ß" in entry, entry


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_files_is_found(language: str) -> None:
    table = read_table(language)
    for name in EMOTIONS[1:]:
        for entry in table[name]:
            assert read(entry, language).emotion == name, entry
            assert read(entry.upper(), language).emotion == name, entry


def test_no_emoji_has_two_meanings() -> None:
    table = read_table("emoji")
    signs = [sign for entries in table.values() for sign in entries]
    assert len(signs) == len(set(signs)) == len(emoji())
    assert set(table) == set(EMOTIONS)
    assert all(plain_sign(sign) == sign for sign in signs)
