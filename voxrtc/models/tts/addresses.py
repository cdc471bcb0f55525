"""What is written alike in every language, and not to be read as it stands: addresses of the web and of mail, marks of
markdown, emoji.

Of a web address only the domain is read; where the language's file has a word for its dots, with that: "example dot
com". Of markdown and emoji nothing is.
"""

from __future__ import annotations

import re

from voxrtc.models.tts import numerals
from voxrtc.models.tts.reading import Reading, replaced
from voxrtc.models.tts.readings import Readings
from voxrtc.speakable import EMOJI

_SITE = r"(?:[A-Za-z0-9-]+\.)+(?:com|org|net|edu|gov|io|dev|ai|info|eu|co\.uk|de|fr|ch)(?![\w-]|\.\w)"
_REST = r"[^\s<>()\[\]\"'“”‘’«»*`，。、]"
_FOUND = re.compile(
    r"(?P<opens>!?\[(?=[^\[\]\n]+\]\([^()\s]+\)))"
    r"|(?P<target>\]\([^()\s]*[./#:][^()\s]*\))"
    r"|(?P<line>^[ \t]*(?:#{1,6}|[-*•>])[ \t]+(?=\S))"
    r"|(?P<mail>(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+)"
    rf"|(?P<web>(?<!\w)(?:(?:https?|ftp)://|www\.){_REST}*[\w/=&#%+-])"
    rf"|(?P<site>(?<![\w.@/-]){_SITE}(?:[/?#](?:{_REST}*[\w/=&#%+-])?)?)"
    r"|(?P<ip>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?(?![\w-]|\.\d))"
    r"|(?P<tag>(?<![\w#])#(?=[^\W\d_])(?![A-Z]{1,4}-?(?:\d{3}|\d+-\d)))"
    r"|(?P<emphasis>[*_~]{2,}|`+|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])|(?<=[^\W\d_])\*(?=[^\W\d_])"
    r"|(?<!\w)_(?=\w)|(?<=[^\W_])_(?!\w))"
    rf"|(?P<emoji>[ ]?{EMOJI})",
    re.MULTILINE,
)
_MAYBE = re.compile(rf"[@*_`~#\[\]•>]|://|www\.|\w\.[A-Za-z]|\d\.\d+\.|^[ \t]*-|{EMOJI}", re.MULTILINE)
"""What at least one of these begins with, or has. Most clauses have nothing of it."""
_HOST = re.compile(r"(?:\w+://)?(?:[^/?#@]*@)?(?:www\.)?([^/?#:]*)")
_SPELLED = {".": "dot", "_": "underscore", "-": "dash", "+": "plus"}


def without_addresses(text: str, language: str, table: Readings | None) -> Reading:
    """``text`` with what is to be read for them. ``table``: the words of ``language``, None where there are none."""
    if _MAYBE.search(text) is None:
        return Reading(text)
    reader = _Reader(language, table)
    return replaced(text, _FOUND, lambda match: getattr(reader, match.lastgroup or "")(match), reader.spaced)


class _Reader:
    """What is said for each kind; None to leave it."""

    def __init__(self, language: str, table: Readings | None) -> None:
        self._language = language
        self._words = table.address if table is not None else {}
        self._groups = table is not None and table.group == "."
        self.spaced = table is None or table.spaced

    def opens(self, match: re.Match[str]) -> str:
        return ""

    target = line = opens

    def emphasis(self, match: re.Match[str]) -> str | None:
        before, after = _around(match)
        return None if before.isdigit() and after.isdigit() else ""

    def emoji(self, match: re.Match[str]) -> str:
        before, after = _around(match)
        return " " if self.spaced and before.isalnum() and after.isalnum() else ""

    def tag(self, match: re.Match[str]) -> str:
        return f"{self._words['hashtag']} " if "hashtag" in self._words else ""

    def mail(self, match: re.Match[str]) -> str | None:
        if "at" not in self._words:
            return None
        name, _, host = match[0].rpartition("@")
        return f"{self._spelled(name)} {self._words['at']} {self._spelled(host)}"

    def web(self, match: re.Match[str]) -> str | None:
        host = _HOST.match(match[0])
        return self._spelled(host[1]) if host is not None and host[1] else None

    site = web

    def ip(self, match: re.Match[str]) -> str | None:
        address, _, port = match[0].partition(":")
        parts = address.split(".")
        numbers = self._groups and all(len(part) == 3 for part in parts[1:])  # 1.234.567.890, where that is a number
        if "dot" not in self._words or numbers or any(int(part) > 255 for part in parts):
            return None
        said = f" {self._words['dot']} ".join(self._counted(part) for part in parts)
        return f"{said} {self._words.get('port', '')} {self._counted(port)}" if port else said

    def _counted(self, number: str) -> str:
        return " ".join(numerals.digits(number, self._language))

    def _spelled(self, name: str) -> str:
        """With its signs as words, as far as there are any."""
        said = "".join(f" {self._words[_SPELLED[c]]} " if _SPELLED.get(c) in self._words else c for c in name)
        return " ".join(said.split())


def _around(match: re.Match[str]) -> tuple[str, str]:
    """The characters before and after; empty at an end."""
    return match.string[: match.start()][-1:], match.string[match.end() :][:1]
