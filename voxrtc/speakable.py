"""What no voice should read of a written text: markdown's marks, emoji, white space of more than one."""

from __future__ import annotations

import re

EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2190-\u21ff\u2b00-\u2bff\ufe00-\ufe0f\u200d\u20e3\U000e0020-\U000e007f]+"
"""A regular expression of runs of emoji, and of what joins and varies them."""

_MARKS = re.compile(r"[*`|]+|~{2,}|(?<![^\W_])_+|_+(?![^\W_])|(?<=\n)[ \t]*(?:#+|[-+•>])[ \t]+")
"""Emphasis (not what joins a_b), code and tables anywhere; headings, bullets and quotes where a line begins."""
_EMOJI = re.compile(EMOJI)
_SPACE = re.compile(r"\s+")


def speakable(text: str) -> str:
    """``text`` without markdown's marks and emoji, every run of white space one space. A line begins after a newline,
    so put one before a text that begins one."""
    return _SPACE.sub(" ", _EMOJI.sub("", _MARKS.sub("", text)))
