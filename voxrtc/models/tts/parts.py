"""Numbers that belong together: fractions and scores ("3/4", "1 1/2", "10/10", "24/7"), feet and inches, versions."""

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
