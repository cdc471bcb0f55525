"""Abbreviations whose reading depends on what stands around them: St., a.m., months, days of the week."""

from __future__ import annotations

import re

from voxrtc.models.tts.readings import Readings

HALF = r"(?P<half{0}>[AaPp])(?:\.[Mm]\b\.?|[Mm]\b)"
"""Of the day; a full stop is its own only after "a.m", not after "AM"."""
CLOSING = frozenset({"a.m.", "p.m.", "etc."})
"""Of the abbreviations, those that a sentence may end with."""
_ZONE = re.compile(r"[A-Z]{2,4}(?!\w)|(?:Eastern|Central|Mountain|Pacific)(?!\w)")
_STARTERS = r"(?:I|It|The|You|We|He|She|They|There|This|That|Then|And|But|Turn|Take|Go|See|Is|Are)(?!\w)"
_STREET = re.compile(r"(?:[A-Z][\w'’]+|\d+(?:st|nd|rd|th))\s$")
_NUMBERED = re.compile(r"\d\w*\s(?:[A-Z][\w.'’]*\s)*$")
_WORD = re.compile(r"\s+([A-Z]\w*)")


def ends(match: re.Match[str]) -> bool:
    """Whether the full stop that ``match`` ends with is the last of the text, and so ends a sentence as well."""
    return match[0].endswith(".") and not match.string[match.end() :].strip(" \"'”’»)")


def closes(match: re.Match[str], table: Readings) -> bool:
    """Whether the full stop of an "a.m." ends a sentence: also before a word that begins one, which names of days,
    months and time zones do not."""
    if not match[0].endswith("."):
        return False
    word = _WORD.match(match.string, match.end())
    if word is None:
        return ends(match)
    return word[1] not in (*table.months, *table.weekdays.values()) and _ZONE.match(word[1]) is None


def street(match: re.Match[str]) -> str:
    """What "St." stands for: Street after a name, Saint before one."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    named = _STREET.search(before) is not None
    if re.match(rf"\s{_STARTERS}", after) and named:
        return "Street." if match[0].endswith(".") else "Street"
    if re.match(r"\s[A-Z]", after):
        return "Street" if named and _NUMBERED.search(before) else "Saint"
    return ("Street." if ends(match) else "Street") if named else "Saint"


def month(written: str, table: Readings) -> str:
    """A month's whole name."""
    return table.short_months.get(written.rstrip("."), written)


def patterns(table: Readings) -> dict[str, str]:
    """The rules "short" and "weekday", as regular expressions; a day that is a word as well ("sun.") only before what
    follows a date."""
    if not table.weekdays:
        return {}
    months, days = "|".join(table.short_months), "|".join(sorted(table.weekdays, key=len, reverse=True))
    return {
        "short": rf"(?P<short>{months})(?:\.(?!\w)|(?=\s\d{{4}}(?!\d)))",
        "weekday": rf"(?P<from>{days})\.?\s?[-–]\s?(?P<till>{days})(?!\w)\.?"
        rf"|(?P<weekday>(?!Sat|Sun)(?:{days})\.(?!\w)|(?:Sat|Sun)\.(?=,?\s(?:\d|at\s|{months})))",
    }


def weekday(match: re.Match[str], table: Readings) -> str:
    """The words for what "weekday" found."""
    if match["from"]:
        said = f"{table.weekdays[match['from']]} {table.to} {table.weekdays[match['till']]}"
    else:
        said = table.weekdays[match["weekday"].rstrip(".")]
    return said + "." if ends(match) else said
