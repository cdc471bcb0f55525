"""What a language's rules of reading look for: one regular expression, with a group for each rule (r_NAME)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from voxrtc.languages import ALL, LATIN
from voxrtc.models.tts import parts, shortened
from voxrtc.models.tts.readings import Readings

SIGNS = {"US$": "$", "USD": "$", "EUR": "€", "GBP": "£", "INR": "₹", "Rs.": "₹", "Rs": "₹", "JPY": "¥", "KRW": "₩"} | {
    "CNY": "¥",
    "MYR": "RM",
    "BRL": "R$",
    "BDT": "৳",
}
"""Codes and other signs of currencies, and those that the tables have them under."""
PHONE = (
    r"\+\d{1,3}(?:[ .\-/]?\(?\d+\)?){2,6}|\(\d{2,5}\)[ -]?\d{3,4}[ -]?\d{3,4}"
    r"|(?<![\d.,])(?:\d{3}[ -]\d{3}[ -]\d{4}|0\d{2,4}[ /-]\d{3,8}(?:[ -]\d{2,4})*|0\d(?:[ .]\d\d){4})(?!\d)"
)
DATE = (
    r"(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)(?!\d)"
    r"|(?P<d2>\d{1,2})(?P<sep>[./])(?P<mo2>\d{1,2})(?P=sep)(?P<y2>\d{4})(?!\d)"
)
TIME = (
    r"(?P<h>[01]?\d|2[0-4])(?::|\s?h\s?(?=\d\d))(?P<m>[0-5]\d)(?::[0-5]\d)?(?!\d)"
    rf"(?:\s?{shortened.HALF.format('')}|\s(?:Uhr|heures|h|बजे|वाजता)(?!\w))?"
    rf"|(?P<h2>1?\d)\s?{shortened.HALF.format('2')}(?!\w)"
)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Of one language's expressions: alternations, unless they are lists."""

    group: str
    number: str
    named: str
    """Names of months."""
    magnitude: str
    """With @ for the prefix of its groups."""
    symbols: list[str]
    """Signs of currencies that are no letters, and those that are."""
    letters: list[str]
    signs: list[str]
    """The table's words that are no letters, and abbreviations."""
    abbreviations: list[str]


def pattern(language: str, table: Readings) -> re.Pattern[str]:
    """Of ``language``, for the words of ``table``."""
    pieces = _pieces(language, table)
    words = [*pieces.letters, *table.months, *pieces.abbreviations, *table.weekdays, *(table.version and ("v", "V"))]
    firsts = "".join(sorted({word[0] for word in words}))
    others = "".join(sorted({word[0] for word in [*pieces.symbols, *pieces.signs]}))
    # What nothing begins with is passed over at once: this is most of a clause.
    return re.compile(
        rf"(?=[\d(+\-−½⅓⅔¼¾⅛⅜⅝⅞第제{re.escape(others)}])(?:{_rules(_numeric(language, table, pieces))})"
        rf"|(?<!\w)(?=[{re.escape(firsts)}])(?:{_rules(_wordy(table, pieces))})"
    )


def _pieces(language: str, table: Readings) -> _Pieces:
    group, decimal = re.escape(table.group) + "\u00a0\u202f", re.escape(table.decimal)
    if language == "fr":
        group += " "
    named = _any(table.months) + (rf"|(?:{_any(table.short_months)})\.?" if table.short_months else "")
    symbols, letters = _split_by_letter([*table.currencies, *SIGNS])
    signs, abbreviations = _split_by_letter(list(table.words))
    magnitude = rf"(?:\s?(?P<@magnitude>{_any(table.magnitudes)})(?!\w)|(?P<@scale>{_any(table.scales)})(?!\w))?"
    return _Pieces(group, _number(group, decimal, table), named, magnitude, symbols, letters, signs, abbreviations)


def _number(group: str, decimal: str, table: Readings) -> str:
    # Groups of three, or (in India) of two before the last three; else a decimal point or comma, whichever.
    return (
        rf"\d{{1,3}}(?:[{group}]\d{{2,3}})*[{group}]\d{{3}}(?!\d)(?:{decimal}\d+)?"
        rf"|\d+(?:{decimal if table.decimal == '.' else '[.,]'}\d+)?"
    )


def _numeric(language: str, table: Readings, pieces: _Pieces) -> dict[str, str]:
    """Rules for what begins with a digit or a sign."""
    number, group = pieces.number, pieces.group
    magnitude, named = pieces.magnitude, pieces.named
    symbols, letters = pieces.symbols, pieces.letters
    latin = ALL[language].script is LATIN
    ends = r"(?!\w)" if latin else r"(?![A-Za-z])"  # endings and particles may follow at once
    return {
        "phone": PHONE,
        "date": DATE,
        "day": rf"(?P<od>\d{{1,2}})(?:\.|st|nd|rd|th)?\s(?:of\s)?(?P<om>{named})(?!\w)"
        r"(?:,?\s(?P<oy>\d{4})(?!\d))?",
        "fraction": parts.FRACTION if table.fractions else "(?!)",
        "height": parts.HEIGHT if table.height else "(?!)",
        "verse": parts.VERSE if language == "en" else "(?!)",
        "time": TIME,
        "decade": parts.DECADE if language == "en" else "(?!)",
        "sum": rf"(?P<b_sum>{number}){magnitude.replace('@', 'b_')}\s?"
        rf"(?P<b_sign>{_any(symbols + letters)})(?![A-Za-z])",
        "percent": rf"(?P<share>[-−+]?(?:{number}))\s?[%％]",
        "unit": rf"(?P<amount>(?:(?<![A-Za-z\d-])[-−])?(?:{number}))\s?(?P<unit>{_any(table.units)}){ends}",
        "nth": rf"(?P<nth>\d{{1,3}}(?:[{group}]\d{{3}})+|\d+)(?:{table.ordinal or '(?!)'})(?![^\W\d_])"
        if language != "de"
        else r"(?P<nth>\d{1,2})\.(?=\s\w)",
        "range": rf"(?<![\w.,-])(?P<low>{number})(?:\s?[–—]\s?|-)(?P<high>{number})(?P<rate>\s?[%％])?(?![\w-])",
        "counter": parts.COUNTERS.get(language, "(?!)"),
        "version": rf"(?!\d{{1,3}}(?:[{group}]\d{{3}})+(?!\d))\d+(?:\.\d+){{2,}}",
        "number": rf"(?:(?<![\w)\-])[-−](?=\d))?(?:{number})",
        "spread": rf"(?P<d_sign>{_any(symbols)})\s?(?P<d_low>{number})\s?[-–—]\s?(?:(?P=d_sign)\s?)?"
        rf"(?P<d_sum>{number}){magnitude.replace('@', 'd_')}(?![\w-])",
        "money": rf"(?P<a_sign>{_any(symbols)})\s?(?P<a_sum>{number}){magnitude.replace('@', 'a_')}",
        "counted": r"(?:第|제\s?)(?P<nth2>\d+)",
        "code": parts.CODE if language == "en" else "(?!)",
        "symbol": _any(pieces.signs),
    }


def _wordy(table: Readings, pieces: _Pieces) -> dict[str, str]:
    """Rules for what begins with a letter."""
    number, named = pieces.number, pieces.named
    return {
        "coded": rf"(?P<c_sign>{_any(pieces.letters)})\s?(?P<c_sum>{number}){pieces.magnitude.replace('@', 'c_')}",
        "month": rf"(?P<nm>{named})\s(?P<nd>\d{{1,2}})(?:st|nd|rd|th)?(?!\w|[:.,]\d)(?:,?\s(?P<ny>\d{{4}})(?!\d))?",
        "versioned": parts.VERSION if table.version else "(?!)",
        **shortened.patterns(table),
        "word": rf"(?:{_any(pieces.abbreviations)})(?!\w)",
    }


def _any(words: Iterable[str]) -> str:
    """An alternation of ``words``, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) or "(?!)"


def _rules(rules: dict[str, str]) -> str:
    return "|".join(f"(?P<r_{name}>{rule})" for name, rule in rules.items())


def _split_by_letter(words: list[str]) -> tuple[list[str], list[str]]:
    """Those that begin with no letter, and those that do."""
    return [word for word in words if not word[0].isalpha()], [word for word in words if word[0].isalpha()]
