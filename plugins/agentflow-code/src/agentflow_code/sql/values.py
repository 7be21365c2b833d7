"""Turn the values of databases into JSON, the same for the same value, and keep of a result what fits.

=====================  ============================================================================================
NULL                   null
boolean                true, false
integer                a number; of more than 64 bits, text
floating point         a number; ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` as text
decimal                a number, which reads back exactly, up to 15 significant digits; beyond that, text
text                   text; what is not UTF-8 in it is replaced by U+FFFD, NUL stays
blob                   text in SQL's form: ``x'CAFE'``
date, time, timestamp  text in ISO 8601: ``2024-02-29``, ``13:05:00``, ``2024-02-29T13:05:00``; with a zone, in UTC
interval               text: ``1 day, 2:00:00``
list, struct, map      a list; an object with text keys
everything else        its text, such as a UUID's
=====================  ============================================================================================
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

__all__ = ["COUNTED", "Window", "collect", "plain"]

#: Rows are counted up to here; of a longer result it is only said that there are more.
COUNTED: Final = 2_000
_EXACT_DIGITS: Final = 15
_DEEPEST: Final = 20

Row = Sequence[Any]


class Window:
    """Which part of a result is kept: ``limit`` rows from ``offset`` on, of ``max_bytes`` in all, each cell cut."""

    def __init__(self, limit: int = 200, offset: int = 0, max_bytes: int = 1 << 20, cell_chars: int = 4000) -> None:
        self.limit = limit
        self.offset = offset
        self.max_bytes = max_bytes
        self.cell_chars = cell_chars

    @property
    def counted(self) -> int:
        """Up to which number the rows are counted."""
        return max(COUNTED, self.offset + self.limit)


def plain(value: Any, chars: int = 4000, depth: int = 0) -> Any:
    """The value as JSON, as the module says; texts are cut after ``chars`` characters, which ends in an ellipsis."""
    if value is None or value is True or value is False:
        return value
    kind = type(value)
    if kind is str:
        return value if len(value) <= chars else f"{value[:chars]}…"
    if kind is int:
        return value if -(2**63) <= value < 2**63 else plain(str(value), chars)
    if kind is float:
        return value if math.isfinite(value) else _not_finite(value)
    if kind is Decimal:
        return _decimal(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return plain(f"x'{bytes(value[: chars + 1]).hex().upper()}'", chars)
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.timezone.utc) if value.tzinfo else value).isoformat()  # noqa: UP017
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key)[:chars]: plain(each, chars, depth + 1) for key, each in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple):
        return [plain(each, chars, depth + 1) for each in value]
    if isinstance(value, int | float | str) or hasattr(value, "item"):  # a subclass, or numpy's
        base = value.item() if hasattr(value, "item") else str(value)
        return plain(base, chars, depth) if type(base) is not kind else str(value)[:chars]
    return plain(str(value), chars)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimal(value: Decimal) -> Any:
    if value.is_nan():
        return "NaN"
    if value.is_infinite():
        return _not_finite(float(value))
    if len(value.as_tuple().digits) <= _EXACT_DIGITS and abs(value.adjusted()) <= _EXACT_DIGITS:
        return float(value) if value != value.to_integral_value() else int(value)
    return str(value)


def collect(
    names: Sequence[str], types: Sequence[str] | None, batches: Iterable[Sequence[Row]], window: Window
) -> dict[str, Any]:
    """The part of a result that the window keeps, as JSON: columns, rows, row_count (None beyond what is counted).

    Args:
        names: of the columns.
        types: of the columns; None takes them from the values, as SQLite has no others.
        batches: the rows of the whole result, read no further than they are counted.
        window: what is kept.
    """
    kept: list[list[Any]] = []
    seen: list[set[str]] = [set() for _ in names]
    count = size = 0
    is_full = False
    for batch in batches:
        for row in batch[max(0, window.offset - count) :]:
            if is_full:
                break
            cells = [plain(cell, window.cell_chars) for cell in row]
            size += sum(map(_size, cells))
            if kept and size > window.max_bytes:
                is_full = True
                break
            kept.append(cells)
            is_full = len(kept) == window.limit
            if types is None:
                for kinds, cell in zip(seen, row, strict=True):
                    kinds.add(_TYPE_NAMES.get(type(cell), type(cell).__name__))
        count += len(batch)
        if count > window.counted:
            return _told(names, types or _types(seen), kept, None, window)
    return _told(names, types or _types(seen), kept, count, window)


_TYPE_NAMES: Final = {type(None): "NULL", int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}


def _types(seen: Sequence[set[str]]) -> list[str]:
    """Of each column, the type of the values that were kept, without that of NULLs unless there is no other."""
    return ["/".join(sorted(kinds - {"NULL"})) or "NULL" for kinds in seen]


def _size(cell: Any) -> int:
    if isinstance(cell, str):
        return len(cell)
    return len(json.dumps(cell)) if isinstance(cell, list | dict) else 8


def _told(
    names: Sequence[str], types: Sequence[str], kept: list[list[Any]], count: int | None, window: Window
) -> dict[str, Any]:
    return {
        "columns": [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)],
        "rows": kept,
        "row_count": count,
        "offset": window.offset,
        "truncated": count is None or window.offset + len(kept) < count,
    }
