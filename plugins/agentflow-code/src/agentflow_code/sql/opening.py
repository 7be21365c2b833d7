"""Which database a call means, and the connections that are kept from call to call."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.engine import Connection, Database
from agentflow_code.sql.kinds import kind_of
from agentflow_code.sql.names import nearest, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["FILES", "Place", "connect", "found_path", "opened", "table_files"]

#: What the tables of the session's data files are called together.
FILES: Final = "files"
_TABLES: Final = ("csv", "parquet", "json")

_kept: dict[tuple[str, str, bool], tuple[Connection, tuple[int, int]]] = {}
_used: list[tuple[str, str, bool]] = []
_KEPT: Final = 8


class Place:
    """The data of the session and the bounds of a call, as the payload of every call tells them."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.workspace = str(payload["workspace"])
        self.databases: dict[str, Database] = {
            name: Database(name, one.get("path", ""), url=one.get("url"), writable=bool(one.get("writable")))
            for name, one in payload["databases"].items()
        }
        self.files: Mapping[str, str] = payload["files"]
        self.data_paths = [*self.files.values(), *(one.path for one in self.databases.values() if one.path)]
        self.memory_bytes: int | None = payload.get("memory_bytes")
        self.threads: int = payload.get("threads") or 1
        self.seconds: float = payload.get("timeout_s") or 60.0


@contextmanager
def opened(place: Place, name: str | None) -> Iterator[tuple[str, Connection]]:
    """The database of that name, or the only one; what it is called, and the connection.

    Raises:
        Refused: there is none, there are several, or it cannot be opened.
    """
    if name is None:
        name = _only(place)
    if name in place.databases:
        yield name, _connection(place, place.databases[name])
    elif name == FILES:
        yield name, _files(place)
    else:
        connection = connect(place, Database(name, found_path(place, name)))
        try:
            yield name, connection
        finally:
            connection.close()  # code of the user may want to write the file


def _only(place: Place) -> str:
    if len(place.databases) == 1:
        return next(iter(place.databases))
    if not place.databases:
        return FILES
    hint = f"database is one of: {', '.join(sorted(place.databases))}" + (f", {FILES}" if place.files else "")
    raise Refused(
        "invalid_argument", "there are several databases", hint=hint, data={"databases": sorted(place.databases)}
    )


def found_path(place: Place, name: str) -> str:
    """The path of a file that is named by its name among the files, or by a path in the workspace.

    Raises:
        Refused: it is somewhere else, or not there.
    """
    if name in place.files:
        return str(place.files[name])
    path = os.path.join(place.workspace, name)
    if "\0" in path:
        raise Refused("invalid_argument", "the name of the database or tables holds a NUL character")
    real = os.path.realpath(path)
    data = [os.path.realpath(each) for each in place.data_paths]
    within = [os.path.realpath(place.workspace), *(each for each in data if os.path.isdir(each))]
    if real in data or any(os.path.commonpath([real, folder]) == folder for folder in within):
        if os.path.exists(real):
            return path
        known = sorted({*place.databases, *place.files})
        near = nearest(name, known)
        hint = f"did you mean {near[0]!r}?" if near else "code:list_databases shows what there is"
        raise Refused("not_found", f"no database or file {name!r}", hint=hint, data={"nearest": near})
    if os.sep in name:
        raise Refused(
            "policy_denied", f"{name} is outside of the workspace", hint="only the session's data can be read"
        )
    raise unknown_name("database", name, sorted({*place.databases, *place.files}))


def _connection(place: Place, database: Database) -> Connection:
    """The connection to a configured database, kept while its file stays as it is."""
    path = database.path
    return _keep((database.name, path, database.writable), _mark(path), lambda: connect(place, database))


def connect(place: Place, database: Database) -> Connection:
    """A new connection to a database, or to the one table of a CSV, Parquet or JSON file; who opens it closes it.

    Raises:
        Refused: it cannot be opened.
    """
    if database.url is not None:
        from agentflow_code.sql.postgres import Postgres

        return Postgres(database.name, database.url, seconds=place.seconds, writable=database.writable)
    kind = kind_of(database.path, os.path.basename(database.path))
    if kind in _TABLES:
        return _tables(place, {_table_name(database.name): database.path}, writable=database.writable)
    if kind == "sqlite":
        from agentflow_code.sql.lite import Lite

        return Lite(database, place.workspace, place.memory_bytes)
    from agentflow_code.sql.duck import Duck
    from agentflow_code.sql.engine import own_copy

    path = own_copy(database, place.workspace, "duckdb") if database.writable else database.path
    connection = Duck(memory_bytes=place.memory_bytes, threads=place.threads, writable=database.writable)
    try:
        connection.attach(_catalogue_name(database.name), path)
        connection.lock()
    except BaseException:
        connection.close()
        raise
    return connection


def _files(place: Place) -> Connection:
    """The tables of the session's files, and the files of the workspace by path."""
    tables = table_files(place)
    mark = tuple(sum(pair) for pair in zip(*map(_mark, tables.values()), strict=True)) if tables else (0, 0)
    key = (FILES, "\n".join(f"{name}={path}" for name, path in tables.items()), False)
    return _keep(key, (mark[0], mark[1]), lambda: _tables(place, tables, workspace=place.workspace))


def table_files(place: Place) -> dict[str, str]:
    """The session's files that hold a table, by the name of the table."""
    found: dict[str, str] = {}
    for name, path in sorted(place.files.items()):
        try:
            if kind_of(path, os.path.basename(path)) in _TABLES:
                found[_table_name(name)] = path
        except Refused:  # it is no table; code:run may read it
            continue
    return found


def _tables(
    place: Place, tables: Mapping[str, str], *, workspace: str | None = None, writable: bool = False
) -> Connection:
    from agentflow_code.sql.duck import Duck

    connection = Duck(memory_bytes=place.memory_bytes, threads=place.threads, workspace=workspace, writable=writable)
    try:
        if workspace is not None:  # what stands in it are links to these
            connection.allow(path for path in place.data_paths if os.path.exists(path))
        for table, path in tables.items():
            connection.add_file(table, path, kind_of(path, os.path.basename(path)))
        connection.lock()
    except BaseException:
        connection.close()
        raise
    return connection


def _keep(key: tuple[str, str, bool], mark: tuple[int, int], make: Any) -> Connection:
    kept = _kept.get(key)
    if kept is not None and kept[1] == mark and getattr(kept[0], "is_open", True):
        _used.remove(key)
        _used.append(key)
        return kept[0]
    if kept is not None:
        _forget(key)
    connection: Connection = make()
    _kept[key] = (connection, mark)
    _used.append(key)
    if len(_used) > _KEPT:
        _forget(_used[0])
    return connection


def _forget(key: tuple[str, str, bool]) -> None:
    connection, _ = _kept.pop(key)
    _used.remove(key)
    connection.close()


def _mark(path: str) -> tuple[int, int]:
    try:
        info = os.stat(path)
    except OSError:
        return (0, 0)
    return (info.st_size, info.st_mtime_ns)


def _table_name(name: str) -> str:
    """The name of a file as that of a table: without folder and ending, with underscores for what SQL would quote."""
    stem = os.path.basename(name)
    while "." in stem and stem.rpartition(".")[2].lower() in _ENDINGS:
        stem = stem.rpartition(".")[0]
    return re.sub(r"\W+", "_", stem).strip("_") or "data"


def _catalogue_name(name: str) -> str:
    found = re.sub(r"\W+", "_", name).strip("_").lower() or "data"
    return f"{found}_" if found in ("memory", "main", "temp", "system", "pg_catalog", "information_schema") else found


_ENDINGS: Final = frozenset({"csv", "tsv", "txt", "parquet", "json", "jsonl", "ndjson", "gz", "zst"})
