"""Numbers that belong together, or with what stands beside them: fractions and scores ("3/4", "1 1/2", "10/10",
"24/7"), feet and inches, versions, verses, decades, codes, numbers that are dialled, and counters."""

from __future__ import annotations

import re
from collections.abc import Callable

from voxrtc.models.tts.readings import Readings

VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
FRACTION = (
    r"(?<![\w./,:-])(?:(?P<whole>\d{1,3})[ ])?(?P<over>\d{1,3})[/⁄](?P<under>\d{1,3})(?![\w/:-]|[.,]\d)"
    rf"|(?:(?P<whole2>\d{{1,3}})[ ]?)?(?P<vulgar>[{''.join(VULGAR)}])"
)
HEIGHT = r"(?<![\w./,:-])(?P<feet>[3-8])['’′](?P<inches>\d|1[01])(?:[\"”″]|''|(?!['’\w]))"
VERSION = r"(?:v(?=\d)|V(?=\d+\.\d))(?P<numbers>\d+(?:\.\d+)*)(?!\w)"

VERSE = r"(?<![\w.,:/-])(?P<chapter>\d{1,3}):(?P<first>[1-9]\d{0,2})[-–](?P<last>\d{1,3})(?![\w:-])"
"""Also a time with an hour: "10:30-11" reads alike."""
DECADE = (
    r"(?P<decade>\d{2,3}0|(?:(?<=the )|(?<=late )|(?<=early )|(?<=mid[ -])|(?<=his )|(?<=her )|(?<=their )|(?<=my )"
    r"|(?<=your )|(?<=our )|(?<=['’]))[2-9]0)s\b"
)
"""Two digits without one of these words before them are seconds."""
CODE = r"#(?P<letters>[A-Z]{1,4})-?(?P<code>\d{3,}(?:-\d+)*|\d+(?:-\d+)+)(?!\w)"
COUNTERS = {
    "ko": r"(?P<count>\d{1,2})\s?(?=시(?!속)|개(?!월)|명|살|마리|권|잔|병|번)",
    "zh": r"(?<![\d.,:/])(?P<count>2)\s?"
    r"(?=[个個位只隻条條本张張杯件次天名家种種块瓶岁碗台辆双对遍座间部周人年公米升斤倍]"
    r"|小时|分钟|点)",
}
"""Numbers that are said in another way before these words."""
LIANG = "两"
"""Two of something, in Chinese."""
NEXT = re.compile(r"\s(\w+)")
_DIALLED = re.compile(r"(?:^|\W)(?:call(?:s|ed|ing)?|dial(?:s|ed|led|ing|ling)?|ring|phone)\s$", re.IGNORECASE)

OUT_OF = ("10", "100")
"""Denominators of scores, rather than of fractions."""

Count = Callable[[str], str]
"""A whole number in words."""


def fraction(match: re.Match[str], table: Readings, count: Count) -> str:
    """The words for what FRACTION found; two numbers where it is none ("24/7")."""
    over, _, under = VULGAR.get(match["vulgar"] or "", f"{match['over']}/{match['under']}").partition("/")
    whole = match["whole"] or match["whole2"]
    names = table.fractions.get(under)
    if under in OUT_OF and int(over) <= int(under):
        said = table.out_of.format(part=count(over), whole=count(under))
    elif names is None or int(over) == 0 or over == under:
        said = f"{count(over)} {count(under)}"
    elif whole and (over, under) == ("1", "2"):
        said = table.half
    else:
        said = f"{'a' if whole and over == '1' else count(over)} {names[over != '1']}"
    if not whole:
        return said
    return table.mixed.format(whole=count(whole), part=said) if names else f"{count(whole)} {said}"


def height(match: re.Match[str], table: Readings, count: Count) -> str:
    """The words for what HEIGHT found."""
    return table.height.format(feet=count(match["feet"]), inches=count(match["inches"]))


def version(match: re.Match[str], table: Readings, count: Count) -> str:
    """The words for what VERSION found."""
    return f"{table.version} " + f" {table.point} ".join(count(number) for number in match["numbers"].split("."))


def verse(match: re.Match[str], table: Readings, count: Count) -> str:
    """The words for what VERSE found."""
    return f"{count(match['chapter'])} {count(match['first'])} {table.to} {count(match['last'])}"


def code(match: re.Match[str], table: Readings, spell: Count) -> str:
    """The words for what CODE found: letter by letter, digit by digit."""
    groups = ", ".join(spell(group) for group in match["code"].split("-"))
    return f"{table.words['#']} {' '.join(match['letters'])} {groups}"


def dialled(match: re.Match[str]) -> bool:
    """Whether ``match`` is a number that the words before it say to call."""
    return _DIALLED.search(match.string, 0, match.start()) is not None
