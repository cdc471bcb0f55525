"""The words that signs are read as, by language: ``CODE.toml`` beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from voxrtc.languages import ALL

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Readings:
    """One language's.

    ``decimal``, ``group``: the signs in numbers. ``point``, ``minus``, ``percent``, ``to`` (as in "5 to 7"): words.
    ``order``, ``date``, ``day``, ``months``: of dates. ``clock``, ``clock_whole`` (without minutes), ``clock_zero``
    (less than ten of them): of times. ``ordinal``: a regular expression of the endings of ordinals, ``ordinals``: the
    first ones, where no rules have them. ``units``: by sign, one and several. ``currencies``: by sign, one and several,
    and of its hundredth part; ``money`` joins both. ``magnitudes``: words that may stand behind a sum of money.
    ``words``: abbreviations and signs. ``address``: the words for signs in addresses (dot, at, dash, underscore, plus),
    for a ``port`` and before a ``hashtag``. ``fractions``: by denominator, one and several; ``mixed``: a whole number
    and a fraction; ``half``: of the first of them, one alone; ``out_of``: ten out of ten. ``version``: the word for a v
    before numbers. ``height``: in feet and inches. ``scales``: letters for magnitudes. ``short_months``, ``weekdays``:
    whole names by short ones. ``feminine``: words for what is counted that take a feminine number. ``emergency``:
    numbers that are read digit by digit after a word like "call". ``spaced``: words are parted by spaces."""

    decimal: str
    group: str
    point: str
    minus: str
    percent: str
    to: str
    order: str
    date: str
    day: str
    clock: str
    clock_whole: str
    money: str
    clock_zero: str = ""
    ordinal: str = ""
    months: list[str] = field(default_factory=list)
    magnitudes: list[str] = field(default_factory=list)
    ordinals: dict[str, str] = field(default_factory=dict)
    units: dict[str, list[str]] = field(default_factory=dict)
    currencies: dict[str, list[str]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    fractions: dict[str, list[str]] = field(default_factory=dict)
    mixed: str = ""
    half: str = ""
    out_of: str = ""
    version: str = ""
    height: str = ""
    scales: dict[str, str] = field(default_factory=dict)
    short_months: dict[str, str] = field(default_factory=dict)
    weekdays: dict[str, str] = field(default_factory=dict)
    feminine: list[str] = field(default_factory=list)
    emergency: list[str] = field(default_factory=list)
    spaced: bool = True


@lru_cache(len(ALL))
def readings(language: str) -> Readings | None:
    """None for a language without a file."""
    if language not in ALL:
        return None
    file = FOLDER / f"{language}.toml"
    if not file.exists():
        return None
    return Readings(**tomllib.loads(file.read_text(encoding="utf-8")), spaced=ALL[language].script.spaced)
