"""Tell what a data file is: by its first bytes, and where these say nothing by its name."""

from __future__ import annotations

import os
from typing import Final, Literal

from agentflow_code.inside.calls import Refused

__all__ = ["Kind", "kind_of"]

Kind = Literal["sqlite", "duckdb", "csv", "parquet", "json"]

_BY_NAME: Final[dict[str, Kind]] = {
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "parquet": "parquet",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
}
_DATABASES: Final = frozenset({"db", "db3", "sqlite", "sqlite3", "duckdb", "ddb"})


def kind_of(path: str, name: str = "") -> Kind:
    """What the file is.

    Raises:
        Refused: it is not there, is no file, or is none of the kinds.
    """
    shown = name or os.path.basename(path)
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise Refused("not_found", f"no such file: {shown}", hint="code:list_databases shows what there is") from None
    except IsADirectoryError:
        raise Refused(
            "invalid_argument", f"the database or file {shown!r} is a folder", hint="name a file in it"
        ) from None
    except (OSError, ValueError) as error:
        raise Refused("invalid_argument", f"{shown} cannot be read: {error}") from None
    if head.startswith(b"SQLite format 3\x00"):
        return "sqlite"
    if head[8:12] == b"DUCK":
        return "duckdb"
    if head.startswith((b"PAR1", b"PARE")):
        return "parquet"
    parts = shown.lower().split(".")
    if parts[-1] in ("gz", "zst") and len(parts) > 2:
        parts.pop()
    if parts[-1] in _DATABASES:
        if not head:
            return "duckdb" if parts[-1] in ("duckdb", "ddb") else "sqlite"
        raise not_a_database(shown)
    found = _BY_NAME.get(parts[-1])
    if found == "parquet":
        raise Refused("invalid_argument", f"{shown} is not a Parquet file, or not a whole one")
    if found is None:
        raise Refused(
            "invalid_argument",
            f"{shown} is neither a database nor a table file",
            hint="SQLite, DuckDB, CSV, TSV, Parquet, JSON and JSON lines can be queried",
        )
    return found


def not_a_database(name: str) -> Refused:
    """A file whose name promises a database that it does not hold."""
    return Refused(
        "invalid_argument",
        f"{name} is not a database, or it is encrypted or damaged",
        hint="code:run can look at the file as it is",
    )
