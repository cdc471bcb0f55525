"""Numbers as words, in every language of the table.

The rules are Unicode's (CLDR, rule-based number formats) where it has them, by unicode-rbnf (MIT); AI4Bharat's for the
other languages of India, by indic-numtowords (MIT), whose forms are those that people say.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from voxrtc.languages import ALL

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

INDIC = frozenset({"ta", "te", "mr", "kn", "ml", "bn"})
LARGEST = 10**15
"""From this on numbers are read digit by digit, by whoever asks."""

_RULES = {
    "ja": ("spellout-cardinal",) * 2,
    "zh": ("spellout-cardinal",) * 2,
    "ko": ("spellout-cardinal-sinokorean",) * 2,
    "de": ("spellout-numbering", "spellout-cardinal-masculine"),
    "es": ("spellout-numbering", "spellout-cardinal-masculine"),
    "fr": ("spellout-numbering", "spellout-cardinal-masculine"),
    "it": ("spellout-numbering", "spellout-cardinal-masculine"),
    "pt": ("spellout-numbering", "spellout-cardinal-masculine"),
}
"""For counting, and before what is counted; for all others, ``spellout-cardinal``."""
_ORDINALS = (
    "spellout-ordinal-masculine",
    "spellout-ordinal",
    "spellout-ordinal-native-count",
)
_ZERO = {"ja": "ゼロ", "zh": "零"}


def cardinal(number: int, language: str, counts: bool = False, feminine: bool = False) -> str:
    """``number``, 0 .. LARGEST, in words. ``counts``: before what is counted ("ein Euro", not "eins Euro");
    ``feminine``: which is so ("eine Stunde", "duas horas"); of Italian numbers only one has that form in use."""
    if language in INDIC:
        return _indic(number, language)
    counting, counted = _RULES.get(language, ("spellout-cardinal", "spellout-cardinal"))
    rule = counted if counts else counting
    if feminine:
        rule = counting if language == "it" and number != 1 else "spellout-cardinal-feminine"
    kinds = (rule, f"{rule}-masculine", f"{rule}-common", "spellout-numbering")
    return next(filter(None, (_spelled(number, language, kind) for kind in kinds)), "")


def ordinal(number: int, language: str) -> str:
    """As "third"; masculine where that is to be chosen. Empty where the rules have none."""
    if language in INDIC:
        return ""
    for rule in _ORDINALS:
        if word := _spelled(number, language, rule):
            return word
    return ""


def ordinal_ending(number: int, ending: str, language: str) -> str:
    """German: with its ``ending``, as in "am dritten"; Spanish and its sisters: feminine where it is "ª"."""
    rule = {"de": f"spellout-ordinal-{ending}", "hi": "spellout-ordinal-feminine"}.get(language)
    feminine = "spellout-ordinal-feminine"
    return _spelled(number, language, rule or feminine) or ordinal(number, language)


def year(number: int, language: str) -> str:
    """As "nineteen eighty-four"; in Chinese digit by digit, as before 年."""
    if language == "zh":
        return "".join(digits(str(number), "zh"))
    if language not in ("en", "de"):
        return cardinal(number, language)
    return _spelled(number, language, "spellout-numbering-year")


def native(number: int) -> str:
    """Korean's own numerals, as before hours and most counters: 세 시."""
    return _spelled(number, "ko", "spellout-cardinal-native-attributive")


def digits(number: str, language: str) -> list[str]:
    """Each digit in words."""
    return [cardinal(int(digit), language) for digit in number if digit.isdigit()]


@lru_cache(8192)
def _spelled(number: int, language: str, rule: str) -> str:
    """Empty where there is no such rule."""
    if number == 0 and language in _ZERO:
        return _ZERO[language]
    engine = _engine(language)
    if rule not in engine.rulesets:
        return ""
    from unicode_rbnf.engine import NoRuleForNumberError

    try:
        words = str(engine.format_number(number, ruleset_names=[rule]).text)
    except NoRuleForNumberError:
        return ""
    return words.replace("\u00ad", "").replace("〇", _ZERO["zh"] if language == "zh" else "〇")


@lru_cache(8192)
def _indic(number: int, language: str) -> str:
    from indic_numtowords import num2words

    return unicodedata.normalize("NFC", str(num2words(number, lang=language)))


@lru_cache(len(ALL))
def _engine(language: str) -> RbnfEngine:
    from unicode_rbnf import RbnfEngine

    return RbnfEngine.for_language(language)
