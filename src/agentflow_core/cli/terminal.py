"""Print text from outside: what would steer a terminal is shown instead, tables are aligned."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["printable", "printable_line", "table"]

# C0 without tab and newline, DEL, C1, bidirectional overrides and isolates, lone surrogates
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""``text`` with control characters written out (``\x1b``); newlines and tabs stay."""
    return _STEERING.sub(_written_out, text)


def printable_line(text: str) -> str:
    """``text`` on one line: runs of white space become one space, the rest as `printable` does."""
    return printable(" ".join(text.split()))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def table(header: Sequence[str], rows: Iterable[Iterable[str]], *, indent: int = 0) -> str:
    """Aligned plain columns, each cell on one line and `printable`; without rows only the header, or nothing."""
    lines = [[printable_line(cell) for cell in row] for row in rows]
    if header:
        lines.insert(0, list(header))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        (" " * indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))).rstrip()
        for line in lines
    )
