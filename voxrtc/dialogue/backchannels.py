"""The small words that say "I am listening" and not "let me speak", in the languages of the table.

Only whole utterances count: "yeah" is a backchannel, "yeah but" is not. "No", "stop" and "wait" are none, ever.
"""

from __future__ import annotations

import re
import unicodedata

MOST_WORDS = 5
"""What is longer says something, whatever its words."""

PHRASES = {
    "en": "yeah yep yup ya yes ok okay k right alright sure good great nice cool wow true exactly absolutely indeed "
    "totally definitely really i_see go_on got_it of_course uh_huh oh_okay all_right i_know that_s_right very_good "
    "makes_sense fair_enough sounds_good thanks thank_you please_go_on",
    "es": "sí si vale bueno claro ya bien ajá aja de_acuerdo entiendo exacto por_supuesto",
    "fr": "oui ouais d_accord bien bien_sûr je_vois exactement voilà ok_d_accord tout_à_fait c_est_ça",
    "de": "ja jaja genau gut klar stimmt richtig ach_so achso aha verstehe alles_klar sicher natürlich in_ordnung jep",
    "it": "sì si va_bene certo bene giusto esatto capisco capito ho_capito d_accordo già",
    "pt": "sim tá tá_bom certo claro bom entendi exato isso pois_é pois com_certeza beleza",
    "hi": "हाँ हां जी जी_हाँ जी_हां अच्छा ठीक ठीक_है सही हम्म haan han achha accha theek_hai ji",
    "mr": "हो होय बरं बर ठीक ठीक_आहे बरोबर अच्छा",
    "bn": "হ্যাঁ হ্যা আচ্ছা ঠিক ঠিক_আছে জি হুম",
    "ta": "ஆமா ஆமாம் சரி ஓகே ம்ம்",
    "te": "అవును సరే ఓకే అలాగే హా",
    "kn": "ಹೌದು ಸರಿ ಆಯ್ತು ಓಕೆ ಹಾ",
    "ml": "അതെ ശരി ഓക്കേ ഉം ആ",
    "ms": "ya ye baik okey betul faham boleh",
    "ja": "はい うん ええ そう そうですね そうですか そっか なるほど へえ へー ふーん うんうん はいはい オッケー",
    "ko": "네 예 응 어 그래 그래요 맞아 맞아요 그렇죠 그렇군요 알겠어요 음 아",
    "zh": "嗯 嗯嗯 好 好的 对 對 对对 是 是的 哦 噢 行 明白 知道了 可以 没错",
}
"""By language, ``_`` for a space. All of them count in every call: whoever says "okay" says it in any language."""

_SOUNDS = re.compile(
    r"(?:m+|h+m+|m+h+m*|m+ h+m+|mm ?hu+h?|u+h+|a+h+|o+h*|e+h+|u+m+|e+r+m*|(?:u+h+|a+h+|m+) ?h[ua]+h*|a+ha+)"
)
"""What is no word, however it is spelled: mm, hmm, mhm, mm-hmm, uh-huh, ah, oh, um, er."""
_REMARK = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|♪")
"""What a recogniser writes where it heard no words: "[coughing]", "(applause)"."""


def words_of(text: str) -> list[str]:
    """The words of ``text`` as they are compared: folded, without punctuation and remarks."""
    folded = unicodedata.normalize("NFC", _REMARK.sub(" ", text)).casefold()
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in folded)
    return kept.split()


_KNOWN = frozenset(
    " ".join(words_of(phrase.replace("_", " "))) for phrases in PHRASES.values() for phrase in phrases.split()
)
_LONGEST = max(phrase.count(" ") + 1 for phrase in _KNOWN)


def is_backchannel(text: str) -> bool:
    """Whether ``text``, all that was said, only shows attention. False where there are no words in it."""
    words = words_of(text)
    if not 0 < len(words) <= MOST_WORDS:
        return False
    at = 0
    while at < len(words):
        taken = next((n for n in range(_LONGEST, 0, -1) if _shows_attention(words[at : at + n])), 0)
        if not taken:
            return False
        at += taken
    return True


def _shows_attention(words: list[str]) -> bool:
    phrase = " ".join(words)
    return phrase in _KNOWN or _SOUNDS.fullmatch(phrase) is not None
