"""What cells show: MIME bundles made small enough to send, tables as columns and rows, images apart."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Shown", "limited", "table_of"]

#: Of one text of a bundle, of all bundles of a cell, and how many of them; what is beyond is left out and counted.
TEXT_CHARS: Final = 64 * 1024
ALL_BYTES: Final = 12 * 1024 * 1024
BUNDLES: Final = 50
TABLE_ROWS, TABLE_COLUMNS = 50, 50
CELL_CHARS: Final = 500
_KEPT: Final = ("text/plain", "text/html", "text/markdown", "text/latex", "application/json", "image/svg+xml")
_IMAGES: Final = ("image/png", "image/jpeg")


class Shown:
    """The bundles of one cell, in the order in which they were shown."""

    def __init__(self) -> None:
        self.bundles: list[dict[str, Any]] = []
        self.dropped = 0
        self._bytes = 0

    def add(self, kind: str, data: Mapping[str, Any], table: dict[str, Any] | None = None) -> None:
        """Keep a bundle: ``result`` (a cell's last value) or ``display``."""
        bundle: dict[str, Any] = {"kind": kind, "mime": limited(data)}
        if table is not None:
            bundle["table"] = table
            bundle["mime"].pop("text/html", None)  # the same again, five times as long
        size = sum(len(value) for value in bundle["mime"].values() if isinstance(value, str))
        if len(self.bundles) >= BUNDLES or self._bytes + size > ALL_BYTES:
            self.dropped += 1
            return
        self._bytes += size
        self.bundles.append(bundle)

    def clear(self) -> None:
        """Forget what was shown so far."""
        self.bundles.clear()


def limited(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a bundle that are sent: texts cut, images as base64, JSON as it is."""
    kept: dict[str, Any] = {}
    for mime, value in data.items():
        if mime in _IMAGES:
            raw = base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)
            kept[mime] = raw.replace("\n", "")
        elif mime == "application/json":
            kept[mime] = plain(value)
        elif mime in _KEPT:
            text = str(value)
            limit = ALL_BYTES if mime.startswith("image/") else TEXT_CHARS
            if len(text) > limit and mime != "text/plain":
                continue
            kept[mime] = text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} characters more)"
    return kept


def table_of(value: Any) -> dict[str, Any] | None:
    """A DataFrame or Series of pandas as columns and its first rows; None for everything else."""
    if type(value).__module__.partition(".")[0] != "pandas":
        return None
    import pandas  # it is imported already: the value is its

    frame = value.to_frame() if isinstance(value, pandas.Series) else value
    if not isinstance(frame, pandas.DataFrame):
        return None
    head = frame.iloc[:TABLE_ROWS, :TABLE_COLUMNS]
    columns = [{"name": str(name), "type": str(kind)} for name, kind in zip(head.columns, head.dtypes, strict=True)]
    rows = [[plain(cell, CELL_CHARS) for cell in row] for row in head.itertuples(index=False, name=None)]
    return {
        "columns": columns,
        "rows": rows,
        "index": [plain(label, CELL_CHARS) for label in head.index],
        "row_count": len(frame),
        "column_count": len(frame.columns),
        "truncated": head.shape != frame.shape,
    }


def plain(value: Any, chars: int = TEXT_CHARS, depth: int = 8) -> Any:
    """The value as JSON; what has no form there as its text, and what is missing as null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and type(value) is int:
        return value if -(2**63) <= value < 2**63 else str(value)[:chars]
    if isinstance(value, float) and type(value) is float:
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, str):
        return str(value)[:chars]
    if isinstance(value, Mapping) and depth:
        return {str(key)[:chars]: plain(each, chars, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [plain(each, chars, depth - 1) for each in value]
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        item = value.item()
        return plain(item, chars, depth) if type(item) is not type(value) else str(item)[:chars]
    return str(value)[:chars]
