"""The table of languages: for each, who hears it, who speaks it, and in which script it is written.

The seventeen of the original system, and those that Chatterbox speaks beyond them. docs/languages.md shows the table.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Script:
    """How a script is written. ``ends``, ``stops``: its own signs at the end of a sentence and inside one, that need
    no space after them; beside these, every script may use the Latin ones. ``spaced``: words are parted by spaces."""

    name: str
    ends: str = ""
    stops: str = ""
    spaced: bool = True


LATIN = Script("Latin")
CYRILLIC = Script("Cyrillic")
GREEK = Script("Greek")
HEBREW = Script("Hebrew")
ARABIC = Script("Arabic", "؟۔", "،؛")
DEVANAGARI = Script("Devanagari", "।॥")
BENGALI = Script("Bengali", "।॥")
TAMIL = Script("Tamil", "।॥")
TELUGU = Script("Telugu", "।॥")
KANNADA = Script("Kannada", "।॥")
MALAYALAM = Script("Malayalam", "।॥")
HANGUL = Script("Hangul", "。！？", "、，")
HAN = Script("Han", "。！？．｡", "、，；：､", spaced=False)
KANA = Script("Kanji and kana", "。！？．｡", "、，；：､", spaced=False)


@dataclass(frozen=True, slots=True)
class Language:
    """One language. ``name``: in English. ``voxtral``: Voxtral hears it; what it does not hear goes through whisper
    and then to Voxtral as text. ``base``: whisper-base makes usable text of it; large-v3-turbo does of all of them.

    ``voices``: the engines that speak it, the best first. ``iso3``: its ISO 639-3 code."""

    name: str
    voxtral: bool
    base: bool
    script: Script
    iso3: str
    voices: tuple[str, ...]


_EUROPE = ("chatterbox", "kokoro", "mms", "espeak")
_INDIA = ("indic", "mms", "espeak")
_MORE = ("chatterbox",)

LANGUAGES: dict[str, Language] = {
    "en": Language("English", True, True, LATIN, "eng", ("chatterbox", "hibari", "kokoro", "dia", "mms", "espeak")),
    "hi": Language("Hindi", True, True, DEVANAGARI, "hin", ("chatterbox", "indic", "kokoro", "mms", "espeak")),
    "es": Language("Spanish", True, True, LATIN, "spa", _EUROPE),
    "fr": Language("French", True, True, LATIN, "fra", _EUROPE),
    "de": Language("German", True, True, LATIN, "deu", ("chatterbox", "mms", "espeak")),
    "it": Language("Italian", True, True, LATIN, "ita", ("chatterbox", "kokoro", "espeak")),
    "pt": Language("Portuguese", True, True, LATIN, "por", _EUROPE),
    "ja": Language("Japanese", False, True, KANA, "jpn", ("chatterbox", "espeak")),
    "ko": Language("Korean", False, True, HANGUL, "kor", ("chatterbox", "espeak")),
    "zh": Language("Chinese", False, True, HAN, "zho", ("chatterbox", "espeak")),
    "ms": Language("Malay", False, True, LATIN, "zlm", ("chatterbox", "dia", "mms", "espeak")),
    "ta": Language("Tamil", False, False, TAMIL, "tam", _INDIA),
    "te": Language("Telugu", False, False, TELUGU, "tel", _INDIA),
    "mr": Language("Marathi", False, False, DEVANAGARI, "mar", _INDIA),
    "kn": Language("Kannada", False, False, KANNADA, "kan", _INDIA),
    "ml": Language("Malayalam", False, False, MALAYALAM, "mal", _INDIA),
    "bn": Language("Bengali", False, False, BENGALI, "ben", _INDIA),
}
"""By ISO 639-1 code: the seventeen languages of the original system. Voxtral's are those of its model card
(Voxtral-Mini-3B-2507), Chatterbox's those of its (ResembleAI/chatterbox, multilingual)."""

MORE: dict[str, Language] = {
    "ar": Language("Arabic", True, False, ARABIC, "ara", _MORE),
    "da": Language("Danish", False, False, LATIN, "dan", _MORE),
    "el": Language("Greek", False, False, GREEK, "ell", _MORE),
    "fi": Language("Finnish", False, False, LATIN, "fin", _MORE),
    "he": Language("Hebrew", False, False, HEBREW, "heb", _MORE),
    "nl": Language("Dutch", True, False, LATIN, "nld", _MORE),
    "no": Language("Norwegian", False, False, LATIN, "nor", _MORE),
    "pl": Language("Polish", False, False, LATIN, "pol", _MORE),
    "ru": Language("Russian", False, False, CYRILLIC, "rus", _MORE),
    "sv": Language("Swedish", False, False, LATIN, "swe", _MORE),
    "sw": Language("Swahili", False, False, LATIN, "swa", _MORE),
    "tr": Language("Turkish", False, False, LATIN, "tur", _MORE),
}
"""What Chatterbox speaks beyond the seventeen; whisper-large-v3-turbo hears all of these."""

NAMES: dict[str, str] = {code: language.name for code, language in LANGUAGES.items()}
"""Code to English name, of the seventeen."""

ALL: dict[str, Language] = LANGUAGES | MORE

SCRIPTS = frozenset(language.script for language in ALL.values())
ENDS = "".join(sorted({sign for script in SCRIPTS for sign in script.ends}))
"""Signs that end a sentence, in any script but Latin: no space need follow them."""
STOPS = "".join(sorted({sign for script in SCRIPTS for sign in script.stops}))
"""Signs that part clauses, in the same way."""


def primary(code: str) -> str:
    """The language of a tag that may name a region or a script, too (BCP 47, or a locale): "pt" of "pt-BR", "PT" and
    "pt_BR.UTF-8". What is no tag, as "auto", stays as it is, in lower case."""
    return re.split(r"[-_.@]", code.strip().lower(), maxsplit=1)[0]


def voxtral_hears(code: str) -> bool:
    """Whether the sound of this language may go to Voxtral; else whisper hears it."""
    return code in ALL and ALL[code].voxtral


def spoken_by(engine: str) -> tuple[str, ...]:
    """Codes of the languages that ``engine`` speaks, in the table's order."""
    return tuple(code for code, language in ALL.items() if engine in language.voices)


def weight(text: str) -> int:
    """How long ``text`` takes to say, in letters of the Latin script: a Chinese character is a syllable, and most
    Japanese and Korean ones are, while accents and what mutes a vowel (the virama) add nothing."""
    if text.isascii():
        return len(text)
    return sum(map(letters, text))


@lru_cache(4096)
def letters(sign: str) -> int:
    """``weight`` of one character: 3 for Han, 2 for kana and Hangul, 0 for combining marks but vowels, else 1."""
    code = ord(sign)
    if 0x3400 <= code <= 0x9FFF or 0xF900 <= code <= 0xFAFF or 0x20000 <= code <= 0x3134F:
        return 3
    if 0x3041 <= code <= 0x30FF or 0xAC00 <= code <= 0xD7A3:
        return 2
    return 0 if unicodedata.combining(sign) or unicodedata.category(sign) == "Cf" else 1


def unspaced(sign: str) -> bool:
    """Whether ``sign`` is of a script that puts no spaces between words (Han, kana)."""
    return letters(sign) > 1 and not "가" <= sign <= "힣"
