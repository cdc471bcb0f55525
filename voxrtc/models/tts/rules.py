"""How one language reads digits, signs and abbreviations: its rules, as one regular expression, and their words."""

from __future__ import annotations

import re
from functools import lru_cache

from voxrtc.languages import ALL
from voxrtc.models.tts import numerals, parts, patterns, shortened
from voxrtc.models.tts.readings import Readings, readings

MOST_DIGITS = 15
"""Numbers with more digits, or with a zero before them, are read digit by digit."""
YEARS = range(1100, 2100)
FIRST = {"fr": "premier", "it": "primo", "pt": "primeiro"}
"""Of a month; its other days are counted."""
GERMAN = dict.fromkeys(("der", "die", "das"), True) | dict.fromkeys(
    ("am", "vom", "zum", "bis", "ab", "dem", "den", "im", "beim", "des"), False
)
"""Words before a number with a full stop that make it an ordinal, and whether in the nominative."""


@lru_cache(len(ALL))
def rules(language: str) -> Rules:
    """Those of a language that has a file of readings."""
    table = readings(language)
    assert table is not None, language
    return Rules(language, table)


class Rules:
    """The rules of one language."""

    def __init__(self, language: str, table: Readings) -> None:
        self._language = language
        self._table = table
        self.pattern = patterns.pattern(language, table)

    def say(self, match: re.Match[str]) -> str | None:
        """The words for what was found; None to leave it."""
        rule = match.lastgroup or ""  # the outermost: r_NAME
        said: str | None = getattr(self, rule[1:])(match)
        return said

    def _sum(self, match: re.Match[str]) -> str | None:
        return self._amount(match["b_sign"], match["b_sum"], match["b_magnitude"] or match["b_scale"])

    def _money(self, match: re.Match[str]) -> str | None:
        return self._amount(match["a_sign"], match["a_sum"], match["a_magnitude"] or match["a_scale"])

    def _spread(self, match: re.Match[str]) -> str | None:
        sign, low, magnitude = match["d_sign"], match["d_low"], match["d_magnitude"] or match["d_scale"]
        first = self._number_of(low) if self._split(low)[1] == "" or magnitude else self._amount(sign, low, None)
        second = self._amount(sign, match["d_sum"], magnitude)
        return self._join([first, self._table.to, second]) if first and second else None

    def _coded(self, match: re.Match[str]) -> str | None:
        return self._amount(match["c_sign"], match["c_sum"], match["c_magnitude"] or match["c_scale"])

    # -- numbers --------------------------------------------------------------------------------------------

    def _number_of(self, written: str, counts: bool = False, of: str = "") -> str:
        """Any number as it is written: with a sign, groups and decimals. ``of``: the word for what it ``counts``."""
        minus = written[0] in "-−"
        whole, fraction = self._split(written.lstrip("-−+"))
        if len(whole) > MOST_DIGITS or (len(whole) > 1 and int(whole[0]) == 0):
            said = self._join(numerals.digits(whole, self._language))
        else:
            feminine = of in self._table.feminine and not fraction
            said = numerals.cardinal(int(whole), self._language, counts and not fraction, feminine)
        if fraction:
            said = self._join([said, self._table.point, *numerals.digits(fraction, self._language)])
        return self._join([self._table.minus, said]) if minus else said

    def _split(self, written: str) -> tuple[str, str]:
        """The digits before and after the decimal sign."""
        table = self._table
        digits = re.sub(r"[ \u00a0\u202f]", "", written)
        if re.fullmatch(rf"\d{{1,3}}(?:{re.escape(table.group)}\d{{2,3}})*{re.escape(table.group)}\d{{3}}", digits):
            return digits.replace(table.group, ""), ""
        head, _, tail = digits.rpartition(table.decimal)
        if not head and "." in digits:
            head, _, tail = digits.rpartition(".")
        return (head.replace(table.group, ""), tail) if head else (digits.replace(table.group, ""), "")

    def _join(self, words: list[str]) -> str:
        return (" " if self._table.spaced else "").join(words)

    def _whole(self, number: str | int) -> str:
        return numerals.cardinal(int(number), self._language)

    def _year_of(self, number: str) -> str:
        return numerals.year(int(number), self._language)

    # -- the rules, by name -----------------------------------------------------------------------------------

    def _phone(self, match: re.Match[str]) -> str:
        groups = re.findall(r"\d+", match[0])
        said = [self._join(numerals.digits(group, self._language)) for group in groups]
        plus = self._table.words.get("+", "") if match[0].startswith("+") else ""
        return f"{plus} {', '.join(said)}".strip() if self._table.spaced else f"{plus}{'，'.join(said)}"

    def _date(self, match: re.Match[str]) -> str | None:
        if match["y"]:
            return self._dated(match["y"], match["mo"], match["d"]) or None
        first, second = match["d2"], match["mo2"]
        if self._table.order == "mdy" and match["sep"] == "/" and int(first) <= 12:
            first, second = second, first
        return self._dated(match["y2"], second, first)

    def _dated(self, year: str, month: str, day: str) -> str | None:
        table = self._table
        if not 1 <= int(month) <= 12 or not 1 <= int(day) <= 31:
            return None
        name = table.months[int(month) - 1] if table.months else self._whole(month)
        return table.date.format(year=self._year_of(year), month=name, day=self._day_of(day))

    def _day_of(self, day: str) -> str:
        if self._table.day != "ordinal":
            return FIRST[self._language] if int(day) == 1 and self._language in FIRST else self._whole(day)
        if self._language == "de":
            return numerals.ordinal_ending(int(day), "n", "de")
        return numerals.ordinal(int(day), self._language)

    def _month(self, match: re.Match[str]) -> str:
        said = f"{shortened.month(match['nm'], self._table)} {self._day_of(match['nd'])}"
        return f"{said}, {self._year_of(match['ny'])}" if match["ny"] else said

    def _day(self, match: re.Match[str]) -> str:
        of = "of " if self._language == "en" else ""
        the = "the " if of and not match.string[: match.start()].lower().endswith("the ") else ""
        said = f"{the}{self._day_of(match['od'])} {of}{shortened.month(match['om'], self._table)}"
        if match["oy"]:
            return f"{said} {self._year_of(match['oy'])}"
        return said + "." if shortened.ends(match) else said

    def _short(self, match: re.Match[str]) -> str:
        return shortened.month(match["short"], self._table) + ("." if shortened.ends(match) else "")

    def _weekday(self, match: re.Match[str]) -> str:
        return shortened.weekday(match, self._table)

    def _verse(self, match: re.Match[str]) -> str:
        return parts.verse(match, self._table, self._whole)

    def _code(self, match: re.Match[str]) -> str:
        return parts.code(match, self._table, lambda digits: self._join(numerals.digits(digits, self._language)))

    def _time(self, match: re.Match[str]) -> str:
        table, half = self._table, match["half"] or match["half2"]
        hour, minute = int(match["h"] or match["h2"]), int(match["m"] or 0)
        h = numerals.native(hour) if self._language == "ko" and 0 < hour < 13 else self._hour(hour)
        stop = "." if half and shortened.closes(match, table) else ""
        ending = f" {half.upper()}M{stop}" if half else ""
        if not minute:
            return f"{h}{ending}" if half else table.clock_whole.format(h=h)
        form = table.clock_zero if minute < 10 and table.clock_zero else table.clock
        return form.format(h=h, m=self._whole(minute)) + ending

    def _hour(self, hour: int) -> str:
        if self._language == "zh" and hour == 2:
            return parts.LIANG
        return numerals.cardinal(hour, self._language, self._language == "de", self._language in ("es", "fr", "pt"))

    def _amount(self, sign: str, amount: str, magnitude: str | None) -> str | None:
        names = self._table.currencies.get(patterns.SIGNS.get(sign, sign))
        if names is None:
            return None
        whole, fraction = self._split(amount)
        magnitude = self._table.scales.get(magnitude or "", magnitude)
        if magnitude or len(fraction) not in (0, 2) or (fraction and len(names) < 4):
            return self._join([self._number_of(amount), *([magnitude] if magnitude else []), names[1]])
        major = self._join([self._number_of(whole, True, names[0]), names[int(whole) != 1]])
        if not int(fraction or 0):
            return major
        minor = self._join([numerals.cardinal(int(fraction), self._language, True), names[2 + (int(fraction) != 1)]])
        return minor if not int(whole) else self._table.money.format(major=major, minor=minor)

    def _percent(self, match: re.Match[str]) -> str:
        number = self._number_of(match["share"])
        if self._language == "zh":
            return self._table.percent + number
        return self._join([number, self._table.percent])

    def _unit(self, match: re.Match[str]) -> str:
        amount = match["amount"]
        one, many = self._table.units[match["unit"]][:2]
        prefix = self._language == "zh" and one.endswith("度") and len(one) > 1
        if self._language == "zh" and one.endswith("度") and amount[0] in "-−":
            return "零下" + self._number_of(amount[1:]) + one
        if prefix:  # 摄氏二十度
            return one[:-1] + self._number_of(amount) + "度"
        if self._language == "zh" and amount == "2":
            return parts.LIANG + one
        return self._join([self._number_of(amount, True, one), one if amount.lstrip("-−") == "1" else many])

    def _nth(self, match: re.Match[str]) -> str | None:
        number = int(re.sub(r"\D", "", match["nth"]))
        if word := self._table.ordinals.get(str(number)):
            return word
        ending = match[0][len(match["nth"]) :].strip()
        if self._language == "de":
            before = match.string[: match.start()].rstrip().rpartition(" ")[2].lower()
            if before not in GERMAN:
                return self._number_of(match["nth"]) + "."
            return numerals.ordinal(number, "de") if GERMAN[before] else numerals.ordinal_ending(number, "n", "de")
        feminine = ending in ("ª", ".ª", "a", "ère", "re", "वीं", "वी")
        word = (
            numerals.ordinal_ending(number, "", self._language)
            if feminine
            else numerals.ordinal(number, self._language)
        )
        return word or self._join([self._whole(number), ending])

    def _counted(self, match: re.Match[str]) -> str:
        return match[0][0] + self._whole(match["nth2"])

    def _range(self, match: re.Match[str]) -> str:
        low, high = match["low"], match["high"]
        if all(len(end) == 4 and int(end) in YEARS for end in (low, high) if end.isdigit()) and low.isdigit():
            said = [self._bare(low), self._table.to, self._bare(high)]
        else:
            said = [self._number_of(low), self._table.to, self._number_of(high)]
        if match["rate"]:
            said = [self._table.percent, *said] if self._language == "zh" else [*said, self._table.percent]
        return self._join(said)

    def _decade(self, match: re.Match[str]) -> str:
        said = self._year_of(match["decade"]) if len(match["decade"]) == 4 else self._whole(match["decade"])
        return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"

    def _counter(self, match: re.Match[str]) -> str:
        if self._language == "zh":
            return parts.LIANG
        return numerals.native(int(match["count"])) + ("" if match[0][-1:].isspace() else " ")

    def _version(self, match: re.Match[str]) -> str:
        first, *more = [self._whole(number) for number in match[0].split(".")]
        return self._join([first, *(word for number in more for word in (self._table.point, number))])

    def _fraction(self, match: re.Match[str]) -> str:
        return parts.fraction(match, self._table, self._whole)

    def _height(self, match: re.Match[str]) -> str:
        return parts.height(match, self._table, self._whole)

    def _versioned(self, match: re.Match[str]) -> str:
        return parts.version(match, self._table, self._whole)

    def _number(self, match: re.Match[str]) -> str:
        following = match.string[match.end() : match.end() + 2]
        if match[0] in self._table.emergency and parts.dialled(match):
            return self._join(numerals.digits(match[0], self._language))
        word = parts.NEXT.match(match.string, match.end()) if self._table.feminine else None
        if word is not None and word[1] in self._table.feminine:
            return self._number_of(match[0], True, word[1])
        if match[0].endswith("1") and following[:1] == " " and following[1:].isalpha():
            return self._number_of(match[0], counts=len(match[0]) != 4)
        return self._bare(match[0], following[:1])

    def _bare(self, written: str, following: str = "") -> str:
        """A number alone: four digits may be a year."""
        apart = self._language in ("en", "de") or following == "年"
        if apart and len(written) == 4 and written.isdigit() and int(written) in YEARS:
            return self._year_of(written)
        return self._number_of(written)

    def _word(self, match: re.Match[str]) -> str | None:
        if match[0] in ("St.", "St") and self._language == "en":
            return shortened.street(match)
        ends = shortened.closes(match, self._table) if match[0] in shortened.CLOSING else shortened.ends(match)
        return self._table.words[match[0]] + ("." if ends else "")

    def _symbol(self, match: re.Match[str]) -> str | None:
        """Only between spaces, numbers, or by itself: not inside a name or an address."""
        before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
        said = self._table.words[match[0]]
        if match[0] in "@&" and before.isalnum() and after.isalnum():
            return f" {said} "
        if match[0] == "@" and after.isalnum():
            return f"{said} "
        if match[0] in "#~" and not after.isdigit():
            return None
        if all(not sign or sign.isspace() or sign.isdigit() for sign in (before, after)) and before + after:
            return f"{'' if before.isspace() or not before else ' '}{said}{'' if after.isspace() or not after else ' '}"
        return None
