"""Cutting replies in other scripts than the Latin one."""

from __future__ import annotations

import pytest

from voxrtc.dialogue.clauses import ClauseCutter, read_aloud
from voxrtc.languages import ALL, weight


def cut(text: str, pieces: int = 1, first: int = 12, longest: int = 220, breath: int = 0) -> list[str]:
    cutter = ClauseCutter(first, longest, breath)
    found = [clause for at in range(0, len(text), pieces) for clause in cutter.feed(text[at : at + pieces])]
    return [clause.text for clause in found + cutter.finish()]


@pytest.mark.parametrize(
    ("script", "text", "clauses"),
    [
        ("Han", "今天天气很好，我们可以去公园。你想去吗？", ["今天天气很好，", "我们可以去公园。", "你想去吗？"]),
        ("Han", "你好!我是助手。有什么可以帮你?", ["你好!我是助手。", "有什么可以帮你?"]),
        ("Han", "一共3,500元，不含税。", ["一共3,500元，", "不含税。"]),
        (
            "Kanji and kana",
            "はい、もちろんです。「どうぞ。」と言いました。",
            ["はい、もちろんです。", "「どうぞ。」", "と言いました。"],
        ),
        (
            "Hangul",
            "네, 물론입니다. 무엇을 도와드릴까요? 말씀해 주세요.",
            ["네, 물론입니다.", " 무엇을 도와드릴까요?", " 말씀해 주세요."],
        ),
        ("Devanagari", "जी हाँ, बिल्कुल। मैं आपकी मदद करूँगा। बताइए॥", ["जी हाँ, बिल्कुल।", " मैं आपकी मदद करूँगा।", " बताइए॥"]),
        ("Devanagari", "कृपया डॉ. शर्मा से मिलिए। धन्यवाद।", ["कृपया डॉ. शर्मा से मिलिए।", " धन्यवाद।"]),
        ("Bengali", "হ্যাঁ, অবশ্যই পারি। আপনি কেমন আছেন? বলুন।", ["হ্যাঁ, অবশ্যই পারি।", " আপনি কেমন আছেন?", " বলুন।"]),
        ("Tamil", "ஆமாம், கண்டிப்பாக. எப்படி இருக்கிறீர்கள்?", ["ஆமாம், கண்டிப்பாக.", " எப்படி இருக்கிறீர்கள்?"]),
        ("Telugu", "అవును, తప్పకుండా. మీరు ఎలా ఉన్నారు?", ["అవును, తప్పకుండా.", " మీరు ఎలా ఉన్నారు?"]),
        ("Kannada", "ಹೌದು, ಖಂಡಿತವಾಗಿ. ನೀವು ಹೇಗಿದ್ದೀರಿ?", ["ಹೌದು, ಖಂಡಿತವಾಗಿ.", " ನೀವು ಹೇಗಿದ್ದೀರಿ?"]),
        ("Malayalam", "അതെ, തീർച്ചയായും. സുഖമാണോ?", ["അതെ, തീർച്ചയായും.", " സുഖമാണോ?"]),
        (
            "Arabic",
            "نعم، بالتأكيد يا صديقي. كيف حالك؟ أخبرني؛ أنا هنا.",
            ["نعم، بالتأكيد يا صديقي.", " كيف حالك؟", " أخبرني؛ أنا هنا."],
        ),
        ("Latin", "Wir sehen uns am 3. Mai um zehn. Bis dann!", ["Wir sehen uns am 3. Mai um zehn.", " Bis dann!"]),
        (
            "Latin",
            "Das ist z. B. der 2. Weltkrieg. Es waren 3. Genau.",
            ["Das ist z. B. der 2. Weltkrieg.", " Es waren 3.", " Genau."],
        ),
        ("Latin", "I am 30. And you are older.", ["I am 30. And you are older."]),
        ("Latin", "El Sr. López y la Sra. Díaz llegan. ¿Vamos?", ["El Sr. López y la Sra. Díaz llegan.", " ¿Vamos?"]),
    ],
)
@pytest.mark.parametrize("pieces", [1, 4, 1000])
def test_examples(script: str, text: str, clauses: list[str], pieces: int) -> None:
    assert script in {language.script.name for language in ALL.values()}
    assert cut(text, pieces) == clauses


def test_a_character_counts_as_it_takes_time_to_say() -> None:
    assert weight("hello") == 5
    assert weight("你好") == 6
    assert weight("もの") == 4
    assert weight("안녕") == 4
    assert weight("नमस्ते") == 5  # the virama adds nothing
    assert weight("é") == weight("e\u0301") == 1
    clauses = cut("没有标点的很长的一句话" * 30)
    assert all(weight(clause) <= 220 for clause in clauses)
    assert "".join(clauses) == "没有标点的很长的一句话" * 30


def test_a_vowel_is_not_parted_from_its_consonant() -> None:
    text = "कि" * 60
    clauses = cut(text, longest=31)
    assert "".join(clauses) == text
    assert all(not clause.startswith("ि") for clause in clauses)


def test_korean_may_draw_breath_at_a_space() -> None:
    clauses = cut("저는 오늘 아침에 일찍 일어나서 공원에 가서 친구들을 만났습니다.", breath=12)
    assert len(clauses) == 2
    assert weight(clauses[0]) >= 30


@pytest.mark.parametrize(
    ("clause", "read"),
    [("今天天气很好", "今天天气很好，"), ("그리고", "그리고,"), ("मैं आपकी", "मैं आपकी,"), ("はい。", "はい。"), ("", "")],
)
def test_what_was_cut_inside_a_sentence_does_not_fall(clause: str, read: str) -> None:
    assert read_aloud(clause) == read
