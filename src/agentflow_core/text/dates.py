"""Read the dates that stand in an English text, so that ``5 January 2010`` and ``2010-01-05`` are one."""

from __future__ import annotations

import re

from attrs import frozen

__all__ = ["Date", "dates"]

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = r"(?P<month{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DATE = re.compile(
    rf"""\b(?:
      (?P<iso_y>\d{{4}})-(?P<iso_m>\d{{2}})-(?P<iso_d>\d{{2}})
    | (?P<day1>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH.format(1)}(?:,?\s(?P<year1>\d{{4}}))?
    | {_MONTH.format(2)}\s(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,?\s(?P<year2>\d{{4}}))?
    | {_MONTH.format(3)},?\s(?P<year3>\d{{4}})
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)


@frozen
class Date:
    """A day, or a month of a year (no day), or a day of a year that is not said (no year)."""

    year: int | None
    month: int
    day: int | None


def dates(text: str) -> list[Date]:
    """The dates of ``text`` in order; a bare year is none. Forms that mix day and month (``5/1/2010``) are not read."""
    found = []
    for match in _DATE.finditer(text):
        parts = {name: value for name, value in match.groupdict().items() if value is not None}
        if "iso_y" in parts:
            year, month, day = int(parts["iso_y"]), int(parts["iso_m"]), int(parts["iso_d"])
        else:
            form = next(number for number in "123" if f"month{number}" in parts)
            month = _month(parts[f"month{form}"])
            years, days = parts.get(f"year{form}"), parts.get(f"day{form}")
            year, day = int(years) if years else 0, int(days) if days else 0
        if 1 <= month <= 12 and day <= 31:
            found.append(Date(year or None, month, day or None))
    return found


def _month(name: str) -> int:
    prefix = name.lower()[:3]
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(prefix))
