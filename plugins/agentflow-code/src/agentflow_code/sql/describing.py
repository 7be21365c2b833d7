"""What a table holds, in figures from which queries can be made: counts, distinct values, ranges, samples, keys.

The functions ask by ``yield``: an SQL query out, its rows in; so they serve every engine, here and on the server.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.sql.names import quoted
from agentflow_code.sql.values import plain

if TYPE_CHECKING:
    from agentflow_code.sql.engine import Table

__all__ = ["Asking", "describe", "infer_keys"]

#: A query out, its rows in; at the end what was found.
Asking = Generator[str, Sequence[Sequence[Any]], dict[str, Any]]

COUNTED_ROWS: Final = 1_000_000  # larger tables are not read whole
SAMPLES: Final = 5
ROWS: Final = 3
SAMPLE_CHARS: Final = 80
_OF_LARGE: Final = 1000  # rows of a large table that samples are taken from
_NO_ORDER: Final = re.compile(r"json|xml|blob|bytea|bool|uuid|\[\]|struct|map|union|point|polygon|array", re.IGNORECASE)
_NO_VALUES: Final = re.compile(r"blob|bytea|json|xml|\[\]|struct|map|union|point|polygon|array", re.IGNORECASE)
_INFERRED_TABLES: Final = 30


def describe(table: Table) -> Asking:
    """The table with ``row_count``, sample ``rows``, and of each column ``distinct``, ``nulls``, ``min``, ``max``, ``samples``.

    Of a table of more than a million rows the figures of columns are left out, and samples come from its first rows.
    """
    name = quoted(table["name"])
    [[count]] = yield f"SELECT COUNT(*) FROM {name}"
    is_large = count > COUNTED_ROWS
    columns = [dict(column) for column in table["columns"]]
    if not is_large and columns:
        for start in range(0, len(columns), 50):
            part = columns[start : start + 50]
            [figures] = yield f"SELECT {', '.join(_figures(column) for column in part)} FROM {name}"
            for at, column in enumerate(part):
                filled, distinct, low, high = figures[4 * at : 4 * at + 4]
                column |= {"nulls": count - filled, "distinct": distinct}
                if low is not None:
                    column |= {"min": plain(low, SAMPLE_CHARS), "max": plain(high, SAMPLE_CHARS)}
    for column in columns:
        if not _NO_VALUES.search(column["type"]):
            found = yield _samples(name, quoted(column["name"]), is_large=is_large)
            shown = [value for (value, *_) in found if not isinstance(value, bytes)]
            column["samples"] = [plain(value) for value in shown if len(str(value)) <= SAMPLE_CHARS]
    order = f" ORDER BY {', '.join(map(quoted, table['primary_key']))}" if table["primary_key"] else ""
    rows = yield f"SELECT * FROM {name}{order} LIMIT {ROWS}"
    return {
        **table,
        "row_count": count,
        "columns": columns,
        "rows": [[plain(cell, SAMPLE_CHARS) for cell in row] for row in rows],
    }


def _figures(column: Mapping[str, Any]) -> str:
    name = quoted(column["name"])
    compared = f"CAST({name} AS TEXT)" if _NO_VALUES.search(column["type"]) else name
    bounds = "NULL, NULL" if _NO_ORDER.search(column["type"]) else f"MIN({name}), MAX({name})"
    return f"COUNT({name}), COUNT(DISTINCT {compared}), {bounds}"


def _samples(table: str, column: str, *, is_large: bool) -> str:
    """The commonest values, the least of equally common ones first; of a large table some of its first rows."""
    if is_large:
        some = f"SELECT {column} AS v FROM {table} WHERE {column} IS NOT NULL LIMIT {_OF_LARGE}"
        return f"SELECT DISTINCT v FROM ({some}) AS s ORDER BY v LIMIT {SAMPLES}"
    return (
        f"SELECT {column}, COUNT(*) AS n FROM {table} WHERE {column} IS NOT NULL "
        f"GROUP BY {column} ORDER BY n DESC, {column} LIMIT {SAMPLES}"
    )


def infer_keys(tables: Sequence[Table]) -> Asking:
    """Keys that are not declared but hold in the data, marked ``inferred``; for table files, which declare none.

    A primary key is the first column that is unique, never null, and named as one (``id``, ``…_id``, ``…Id``, ``…code``).
    A foreign key is a column whose values all stand in a unique column of the same name of another table.
    """
    tables = [table for table in tables if "row_count" in table][:_INFERRED_TABLES]
    keys: dict[str, list[str]] = {}
    uniques: dict[str, list[tuple[str, str]]] = {}
    for table in tables:
        unique = [column for column in table["columns"] if _is_unique(column, table["row_count"])]
        if not table["primary_key"]:
            named = [column["name"] for column in unique if _is_key_name(column["name"], table["name"])]
            keys[table["name"]] = named[:1]
        for column in unique:
            uniques.setdefault(column["name"].lower(), []).append((table["name"], column["name"]))
    references: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        taken = {key["columns"][0] for key in table["foreign_keys"] if len(key["columns"]) == 1}
        for column in table["columns"]:
            own = column["name"]
            if own in taken or not column.get("distinct") or not _is_key_name(own, table["name"]):
                continue
            for other, key in uniques.get(own.lower(), []):
                if other == table["name"] or (_is_unique(column, table["row_count"]) and other > table["name"]):
                    continue
                [[lonely]] = yield (
                    f"SELECT COUNT(*) FROM {quoted(table['name'])} AS a WHERE a.{quoted(own)} IS NOT NULL AND NOT EXISTS "
                    f"(SELECT 1 FROM {quoted(other)} AS b WHERE b.{quoted(key)} = a.{quoted(own)})"
                )
                if not lonely:
                    found = {"columns": [own], "table": other, "references": [key], "inferred": True}
                    references.setdefault(table["name"], []).append(found)
                    break
    return {"primary": keys, "foreign": references}


def _is_unique(column: Mapping[str, Any], rows: int) -> bool:
    return bool(rows) and column.get("distinct") == rows


def _is_key_name(name: str, table: str) -> bool:
    low = name.lower()
    return low in ("id", "key", "code") or low.endswith(("_id", "_key", "_code", "id")) or low == table.lower()
