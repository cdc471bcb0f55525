"""The table of languages: code and name. Who hears and who speaks each one is a matter of the profile."""

from __future__ import annotations

NAMES: dict[str, str] = {
    "en": "English",
    "hi": "Hindi",
    "es": "Spanish",
    "fr": "French",
    "de": "German",
    "it": "Italian",
    "pt": "Portuguese",
    "ja": "Japanese",
    "ko": "Korean",
    "zh": "Chinese",
    "ms": "Malay",
    "ta": "Tamil",
    "te": "Telugu",
    "mr": "Marathi",
    "kn": "Kannada",
    "ml": "Malayalam",
    "bn": "Bengali",
}
"""ISO 639-1 code to English name: the seventeen languages of the original system."""
