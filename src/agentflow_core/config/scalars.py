"""Read plain scalars by the core schema of YAML 1.2.2 (§10.3.2): ``no`` and ``12:30`` are text, ``1e-6`` is a number."""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["check_number", "is_text", "parse_scalar"]

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCT: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[-+]?(?:\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
#: Longer than any 64-bit number in any base; Python refuses to read 4,300 digits.
_MOST_DIGITS: Final = 400
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def parse_scalar(text: str) -> bool | int | float | str | None:
    """What an unquoted scalar means.

    Raises:
        ValueError: a number that JSON cannot carry: infinite, not a number, or an integer of more than 64 bits.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _SPECIAL.fullmatch(text):
        raise ValueError("not a finite number; quote it if it is text")
    for pattern, base in ((_INT, 10), (_OCT, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            if len(text) > _MOST_DIGITS:
                raise ValueError("a number of more than 64 bits; quote it if it is text")
            number = int(text if base == 10 else text[2:], base)
            check_number(number)
            return number
    if _FLOAT.fullmatch(text):
        return check_number(float(text))
    return text


def check_number(number: float) -> float:
    """Return the number if JSON can carry it exactly; else raise ValueError with the reason."""
    if isinstance(number, int):
        if not _INT_MIN <= number <= _INT_MAX:
            raise ValueError("a number of more than 64 bits; quote it if it is text")
    elif not math.isfinite(number):
        raise ValueError("not a finite number; quote it if it is text")
    return number


def is_text(text: str) -> bool:
    """Whether the text stays text when it stands unquoted."""
    try:
        return isinstance(parse_scalar(text), str)
    except ValueError:
        return False
