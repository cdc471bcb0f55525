"""The table of languages: who hears each one of the seventeen. Who speaks it is a matter of the voice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """One language. ``name``: in English. ``voxtral``: Voxtral hears it; what it does not hear goes through whisper
    and then to Voxtral as text. ``base``: whisper-base makes usable text of it; large-v3-turbo does of all of them."""

    name: str
    voxtral: bool
    base: bool


LANGUAGES: dict[str, Language] = {
    "en": Language("English", voxtral=True, base=True),
    "hi": Language("Hindi", voxtral=True, base=True),
    "es": Language("Spanish", voxtral=True, base=True),
    "fr": Language("French", voxtral=True, base=True),
    "de": Language("German", voxtral=True, base=True),
    "it": Language("Italian", voxtral=True, base=True),
    "pt": Language("Portuguese", voxtral=True, base=True),
    "ja": Language("Japanese", voxtral=False, base=True),
    "ko": Language("Korean", voxtral=False, base=True),
    "zh": Language("Chinese", voxtral=False, base=True),
    "ms": Language("Malay", voxtral=False, base=True),
    "ta": Language("Tamil", voxtral=False, base=False),
    "te": Language("Telugu", voxtral=False, base=False),
    "mr": Language("Marathi", voxtral=False, base=False),
    "kn": Language("Kannada", voxtral=False, base=False),
    "ml": Language("Malayalam", voxtral=False, base=False),
    "bn": Language("Bengali", voxtral=False, base=False),
}
"""By ISO 639-1 code: the seventeen languages of the original system. Voxtral's are those of its model card
(Voxtral-Mini-3B-2507)."""

NAMES: dict[str, str] = {code: language.name for code, language in LANGUAGES.items()}
"""Code to English name."""

ALSO_HEARD = frozenset({"nl", "ar"})
"""Languages that Voxtral hears beyond the seventeen: Dutch, and Arabic, which its makers count in one place."""


def voxtral_hears(code: str) -> bool:
    """Whether the sound of this language may go to Voxtral; else whisper hears it."""
    return code in ALSO_HEARD or (code in LANGUAGES and LANGUAGES[code].voxtral)
