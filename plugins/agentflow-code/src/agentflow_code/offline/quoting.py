"""Quote from observations what a query rests on: the lines about its columns, and what it returned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["about_columns", "result_quote"]

_LONGEST: Final = 240


def about_columns(text: str, table: str, columns: Sequence[str]) -> list[str]:
    """Lines of a schema or profile that tell of the columns of a table, each once; the line of the table if none does."""
    lines = text.splitlines()
    heading = next((number for number, line in enumerate(lines) if _is_heading(line, table)), 0)
    found: list[str] = []
    for column in columns:
        line = next((line for line in lines[heading:] if _holds(line, column)), None)
        if line is not None:
            found.append(_cut(line.strip(), column))
    return list(dict.fromkeys(found)) or [_cut(lines[heading].strip(), table)]


def result_quote(text: str, answer: str) -> str | None:
    """What a query returned: the whole observation where it is short, else the line that the answer stands in."""
    if len(text.strip()) <= _LONGEST:
        return text.strip()
    return next((_cut(line.strip(), answer) for line in text.splitlines() if answer in line), None)


def _is_heading(line: str, table: str) -> bool:
    """``track (3,503 rows)`` of a schema, ``data/track.csv: 3,503 rows`` of a profile."""
    name = re.escape(table)
    return re.match(rf"(?:view )?{name} \(|(?:\S*/)?{name}(?:\.\w+)?: ", line) is not None


def _holds(line: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line) is not None


def _cut(line: str, name: str) -> str:
    if len(line) <= _LONGEST:
        return line
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line)
    start = found.start() if found else 0
    return line[start : start + _LONGEST].strip()
