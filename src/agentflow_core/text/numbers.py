"""Read the numbers that stand in a text: signs, separators, currency, percent, magnitudes, scientific notation."""

from __future__ import annotations

import re
from decimal import Decimal

from attrs import frozen

__all__ = ["Number", "numbers"]

_MAGNITUDES = {
    "k": 3,
    "thousand": 3,
    "m": 6,
    "mn": 6,
    "mio": 6,
    "million": 6,
    "millions": 6,
    "b": 9,
    "bn": 9,
    "billion": 9,
    "billions": 9,
    "trillion": 12,
    "trillions": 12,
    "hundred": 2,
}
_CURRENCY = "$€£¥₹₩₽¢"
#: Letters that may follow a number directly: ordinals and units. ``3D`` and ``7zip`` are names, not numbers.
_UNITS = (
    "st|nd|rd|th|km|m|cm|mm|nm|mi|ft|in|yd|kg|g|mg|lb|lbs|oz|l|ml|ms|min|h|hr|hrs|mph|kmh|hz|khz|mhz|ghz|kb|mb|gb|tb"
    "|kw|mw|gw|v|w|x|usd|eur|gbp|pp"
)
_SPACES = "\u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"""
    (?<![\w.]) (?<![A-Za-z]-)                       # not inside a word, an identifier (F-15) or a version
    (?P<open>\(\s*)?
    (?P<sign>(?<!\d)(?<!\d\ )[+\-\u2212](?=[{_CURRENCY}\d.]))?
    (?P<currency>(?:US|CA|AU|NZ|HK)?[{_CURRENCY}]\s?(?P<sign2>[+\-\u2212])?)?
    (?P<digits>
        \d{{1,3}}(?:\.\d{{3}})+,\d+                # 1.234,56
      | \d{{1,3}}(?:\.\d{{3}}){{2,}}               # 1.234.567
      | \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?           # 1,234.56
      | \d{{1,3}}(?:[{_SPACES}]\d{{3}})+(?:[.,]\d+)?
      | \d{{1,3}}(?:'\d{{3}})+(?:\.\d+)?
      | \d+(?:\.\d+)?
      | \.\d+
    )
    (?P<exponent>[eE][+\-\u2212]?\d+ | \s?[x×*]\s?10(?:\^|\*\*)[{{(]?[+\-\u2212]?\d+[)}}]?)?
    (?:
        (?P<percent>\s?%|\s(?:percent|per\ cent)\b)
      | [\s-]?(?P<word>thousand|hundred|millions?|mn|mio|billions?|bn|trillions?)\b
      | (?P<letter>[kKMB])\b
      | (?:{_UNITS})\b
      | (?!\w)
    )
    (?!\.\d)
    (?P<currency2>\s?[{_CURRENCY}])?
    (?P<close>\s*\))?
    """,
    re.VERBOSE,
)
_EXPONENT = re.compile(r"[+\-\u2212]?\d+(?=[)}]?$)")


@frozen(kw_only=True)
class Number:
    """One number of a text."""

    value: Decimal  #: with magnitude; of ``5 %`` it is 5
    percent: bool = False
    text: str  #: as it stands there
    start: int
    end: int


def numbers(text: str) -> list[Number]:
    """The numbers of ``text`` in order.

    ``1,234.5``, ``1.234,5``, ``1 234`` (with a no-break space) and ``1'234`` are one number each; ``(5)`` in
    accounting style is -5 only with a currency sign inside, or as the whole text; ``-`` is a sign only
    where no word or digit stands before it (``1986-2013`` are two numbers); ``F-15``, ``MP3``, ``3D``, ``1980s``
    and ``1.2.3`` hold none. A comma before other than three digits separates two numbers.
    """
    found: list[Number] = []
    for match in _NUMBER.finditer(text):
        value = _value(match)
        if value is None:
            continue
        start, end = match.span()
        if _is_accounting(match, text):
            value = -value
        else:
            start += len(match["open"] or "")
            end -= len(match["close"] or "")
        found.append(
            Number(value=value, percent=match["percent"] is not None, text=text[start:end], start=start, end=end)
        )
    return found


def _is_accounting(match: re.Match[str], text: str) -> bool:
    """Whether the parentheses around a number mean that it is negative."""
    if match["open"] is None or match["close"] is None or match["sign"] or match["sign2"]:
        return False
    return bool(match["currency"] or match["currency2"]) or match[0].strip() == text.strip()


def _value(match: re.Match[str]) -> Decimal | None:
    digits = match["digits"]
    for separator in (*_SPACES, "'"):
        if separator in digits:
            digits = digits.replace(separator, "").replace(",", ".")
    last_comma, last_dot = digits.rfind(","), digits.rfind(".")
    if last_comma > last_dot >= 0:
        digits = digits.replace(".", "").replace(",", ".")
    elif digits.count(".") > 1:
        digits = digits.replace(".", "")
    else:
        digits = digits.replace(",", "")
    value = Decimal(digits)
    power = 0
    if match["exponent"]:
        exponent = _EXPONENT.search(match["exponent"].strip())
        if exponent is None or len(exponent[0]) > 5:
            return None
        power = int(exponent[0].replace("\u2212", "-"))
    word = match["word"] or (match["letter"] or "").lower()
    power += _MAGNITUDES.get(word, 0)
    if power:
        value = value.scaleb(power)
    if (match["sign"] or match["sign2"] or "+") in "-\u2212":
        value = -value
    return value
