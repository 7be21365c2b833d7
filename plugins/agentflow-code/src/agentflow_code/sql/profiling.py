"""The profile of a table: what types its columns have, what is missing, how values spread, which are common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.names import quoted
from agentflow_code.sql.values import plain

if TYPE_CHECKING:
    from agentflow_code.sql.engine import Rows
    from agentflow_code.sql.kinds import Kind
    from agentflow_code.sql.opening import Place

__all__ = ["profiled"]

COLUMNS: Final = 200
TOP: Final = 5
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_EXACT_ROWS: Final = 2_000_000  # beyond, distinct values are estimated
_NUMBERS: Final = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL")
_TIMES: Final = ("DATE", "TIMESTAMP", "TIME")
_NESTED: Final = ("[", "STRUCT", "MAP", "UNION", "BLOB")
_CELL: Final = 200


def profiled(
    place: Place, name: str, *, path: str | None = None, kind: Kind | None = None, frame: Any = None
) -> dict[str, Any]:
    """Rows, columns and duplicate rows of the table, and of each column: type, nulls, distinct, min, max, top values;
    of numbers also mean, std and quantiles, of times quantiles, of texts their lengths.
    """
    from agentflow_code.sql.duck import Duck

    deadline = time.monotonic() + place.seconds
    connection = Duck(memory_bytes=place.memory_bytes, threads=place.threads)

    def ask(query: str) -> list[Any]:
        return connection.run(query, None, max(0.1, deadline - time.monotonic()), _all)

    try:
        if path is not None and kind is not None:
            connection.add_file("data", path, kind)
        connection.lock()
        original: dict[str, str] = {}
        if frame is not None:
            plain_frame, original = _flattened(frame)
            connection.with_frames({"data": plain_frame})
        described = ask("DESCRIBE data")
        [[count]] = ask("SELECT COUNT(*) FROM data")
        columns = [_column(ask, row[0], row[1], count) for row in described[:COLUMNS]]
    finally:
        connection.close()
    for column in columns:
        if column["name"] in original:
            column["dtype"] = original[column["name"]]
    return {
        "name": name,
        "row_count": count,
        "column_count": len(described),
        "columns": columns,
        "left_out": [row[0] for row in described[COLUMNS:]],
    }


def _all(rows: Rows) -> list[Any]:
    return list(rows)


def _flattened(frame: Any) -> tuple[Any, dict[str, str]]:
    """The frame with plain column names and without an index, mixed columns as texts; and the dtypes it had."""
    flat = frame.copy(deep=False)
    names: list[str] = []
    for label in flat.columns:
        name = ".".join(map(str, label)) if isinstance(label, tuple) else str(label)
        while name.lower() in (each.lower() for each in names):
            name += "_"
        names.append(name)
    flat.columns = names
    flat = flat.reset_index(drop=True)
    for name in names:
        column = flat[name]
        if str(column.dtype) == "object":
            kinds = {type(value) for value in column.dropna()}
            if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
                flat[name] = column.map(str, na_action="ignore")
        elif str(column.dtype).startswith(("complex", "interval", "period", "Sparse")):
            flat[name] = column.map(str, na_action="ignore")
    if not names:
        raise Refused("invalid_argument", "it has no columns", hint="code:inspect shows what it is")
    return flat, {name: str(kind) for name, kind in zip(names, frame.dtypes, strict=True)}


def _column(ask: Any, name: str, kind: str, count: int) -> dict[str, Any]:
    column = quoted(name)
    is_nested = any(part in kind for part in _NESTED)
    is_number = kind.startswith(_NUMBERS) or kind.lstrip("UH").startswith(_NUMBERS) or "INT" in kind.split("(")[0]
    is_number = is_number and not is_nested and not kind.startswith("INTERVAL")
    is_time = kind.startswith(_TIMES) and not is_nested
    distinct = f"COUNT(DISTINCT {column})" if count <= _EXACT_ROWS else f"approx_count_distinct({column})"
    wanted = [f"COUNT({column})", "NULL" if is_nested else distinct]
    wanted += ["NULL", "NULL"] if is_nested or kind == "BOOLEAN" else [f"MIN({column})", f"MAX({column})"]
    wanted += _spread(column, is_number=is_number, is_time=is_time, is_text=kind == "VARCHAR")
    [[filled, different, low, high, one, two, quantiles]] = ask(f"SELECT {', '.join(wanted)} FROM data")
    told: dict[str, Any] = {
        "name": name,
        "type": kind,
        "nulls": count - filled,
        "null_share": round((count - filled) / count, 6) if count else 0.0,
        "distinct": different,
    }
    if count > _EXACT_ROWS:
        told["distinct_is_estimate"] = True
    if low is not None:
        told |= {"min": plain(low, _CELL), "max": plain(high, _CELL)}
    if is_number:
        told |= {"mean": plain(one), "std": plain(two)}
    elif kind == "VARCHAR":
        told |= {"shortest": one, "longest": two}
    if quantiles is not None:
        told["quantiles"] = {f"{share:g}": plain(value) for share, value in zip(QUANTILES, quantiles, strict=True)}
    if not is_nested:
        top = ask(
            f"SELECT {column}, COUNT(*) AS n FROM data WHERE {column} IS NOT NULL "
            f"GROUP BY {column} ORDER BY n DESC, {column} LIMIT {TOP}"
        )
        told["top"] = [{"value": plain(value, _CELL), "count": times} for value, times in top]
    return told


def _spread(column: str, *, is_number: bool, is_time: bool, is_text: bool) -> list[str]:
    shares = f"[{', '.join(map(str, QUANTILES))}]"
    if is_number:
        real = f"CASE WHEN isfinite({column}::DOUBLE) THEN {column}::DOUBLE END"
        return [f"AVG({real})", f"STDDEV_SAMP({real})", f"quantile_cont({real}, {shares})"]
    if is_time:
        return ["NULL", "NULL", f"quantile_disc({column}, {shares})"]
    return [f"MIN(length({column}))", f"MAX(length({column}))", "NULL"] if is_text else ["NULL", "NULL", "NULL"]
