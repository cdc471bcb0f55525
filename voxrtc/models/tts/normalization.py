"""What a voice is given to read: digits, signs and abbreviations as the words that people say for them.

Text normalization by rule, one pass of one regular expression over the clause, with the words of each language in
``readings/CODE.toml``; before it one for what is alike in all of them (addresses.py). The text that is shown and
remembered stays as it was written: ``Reading`` knows which characters of it each stretch of the words stands for.
"""

from __future__ import annotations

import re

from voxrtc.languages import ALL
from voxrtc.models.tts import numerals
from voxrtc.models.tts.addresses import without_addresses
from voxrtc.models.tts.reading import Reading, replaced
from voxrtc.models.tts.readings import readings
from voxrtc.models.tts.rules import rules

_WHOLE = re.compile(r"(?<![\w.,:/-])\d{1,15}(?![\w:/-]|[.,]\d)")
"""A whole number, and nothing that could be a part of anything else."""


def normalize(text: str, language: str) -> Reading:
    """``text`` as it is to be read in ``language``; as it is, where that is unknown or there is nothing to change."""
    if language not in ALL:
        return Reading(text)
    table = readings(language)
    reading = without_addresses(text, language, table)
    if table is None:  # nothing is known but how to count
        return reading.then(
            lambda text: replaced(text, _WHOLE, lambda match: numerals.cardinal(int(match[0]), language) or None, True)
        )
    reader = rules(language)
    return reading.then(lambda text: replaced(text, reader.pattern, reader.say, table.spaced))
