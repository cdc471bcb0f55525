"""The rules alone: lengths and words in, verdicts out."""

from __future__ import annotations

from typing import cast

import pytest

from voxrtc.dialogue.reply import Reply
from voxrtc.dialogue.yielding import SETTLED_MS, TAKEN_MS, Held, Verdict


def held(asked: bool = False) -> Held:
    return Held(cast(Reply, None), since=0, asked=asked, backchannel_ms=600)  # the rules do not look at the reply


@pytest.mark.parametrize(
    ("words", "voice_ms", "verdict"),
    [
        ("Yeah.", 300, "backchannel"),
        ("Yeah.", 601, "interrupts"),
        ("Yeah, but", 300, "interrupts"),
        ("stop", 200, "interrupts"),
        ("", 300, "no words"),
        ("", 5000, "no words"),
        ("[applause]", 2000, "no words"),
    ],
)
def test_what_a_voice_was(words: str, voice_ms: float, verdict: Verdict) -> None:
    assert held().judge(voice_ms, words) == verdict


def test_yes_to_a_question_is_an_answer() -> None:
    assert held(asked=True).judge(300, "Yes.") == "interrupts"
    assert held(asked=True).judge(300, "") == "no words"


def test_while_the_voice_goes_on() -> None:
    assert not held().while_speaking(1000, "")
    assert not held().while_speaking(500, "yeah")
    assert held().while_speaking(700, "yeah")
    assert held().while_speaking(500, "yeah I")
    assert held().while_speaking(TAKEN_MS, "")


def test_in_a_pause() -> None:
    assert held().in_pause(300, 2 * SETTLED_MS, None) is None
    assert held().in_pause(300, SETTLED_MS - 20, "mhm") is None
    assert held().in_pause(300, SETTLED_MS, "mhm") == "backchannel"
    assert held().in_pause(300, SETTLED_MS, "") == "no words"
    assert held().in_pause(300, 20, "stop") == "interrupts"
    assert held().in_pause(1500, SETTLED_MS, "") is None  # a soft voice may have been missed: its turn's end decides
