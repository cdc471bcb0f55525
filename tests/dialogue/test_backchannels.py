from __future__ import annotations

import pytest

from voxrtc.dialogue.backchannels import PHRASES, is_backchannel, words_of
from voxrtc.languages import NAMES


@pytest.mark.parametrize(
    "text",
    [
        "Mhm.", "mm-hmm", "Mm-hmm.", "Mmhmm", "Mm.", "Hmm.", "Hm", "Uh-huh.", "Uh huh", "uhhuh", "Yeah.",
        "Yeah, yeah.", "Yes.", "Ok", "Okay.", "O.K.", "Right.", "Sure.", "I see.", "Go on.", "Got it.",
        "Oh, okay.", "Ah.", "Aha", "Of course!", "Yeah, right.", "That's right.", "All right.", "Ja, genau.",
        "Sí, claro.", "d'accord", "Oui, oui.", "はい。", "そうですね。", "네, 네.", "对对。", "हाँ जी",
        "ठीक है।", "হ্যাঁ", "சரி", "అవును.", "ಹೌದು", "അതെ", "ya, betul",
    ],
)  # fmt: skip
def test_words_that_show_attention(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "  ", "...", "[coughing]", "(applause)", "Stop.", "stop", "Wait.", "No.", "no no", "Yeah, but",
        "Yes, please stop.", "Hello?", "What?", "Huh?", "Okay, so what about Tuesday?", "Right turn",
        "Hold on.", "I see a problem", "Go", "Nein.", "Non", "Warte", "Para", "いいえ", "아니요", "不对",
        "Yeah yeah yeah yeah yeah yeah", "Sure thing boss", "Sorry", "human", "hum a tune", "ahead", "am",
    ],
)  # fmt: skip
def test_words_that_do_not(text: str) -> None:
    assert not is_backchannel(text)


def test_every_language_of_the_table_has_some() -> None:
    assert set(PHRASES) == set(NAMES)
    for phrases in PHRASES.values():
        for phrase in phrases.split():
            assert is_backchannel(phrase.replace("_", " "))


def test_what_a_recogniser_remarks_is_no_word() -> None:
    assert words_of("[BLANK_AUDIO] (coughs) *sighs* ♪") == []
    assert words_of("It's Tuesday.") == ["it", "s", "tuesday"]
