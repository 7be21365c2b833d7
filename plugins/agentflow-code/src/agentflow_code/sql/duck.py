"""DuckDB, in the session's process: its own files, tables in CSV, Parquet and JSON files, and the user's DataFrames."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import duckdb

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.engine import READ_ONLY, Params, Rows, Table, refused_by_time, too_large
from agentflow_code.sql.kinds import Kind, not_a_database
from agentflow_code.sql.names import quoted, unknown_column, unknown_table
from agentflow_code.sql.running import TimedOut, bounded, memory_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["Duck", "literal"]

T = TypeVar("T")

_READING: Final = frozenset({"SELECT", "EXPLAIN", "MULTI"})  # MULTI is what PIVOT is made of
_CHANGING: Final = frozenset({"INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "MERGE_INTO"})
_EXPLAIN: Final = re.compile(r"\s*explain\b(\s*\([^)]*\)|\s*analyze\b)*", re.IGNORECASE)
_MATERIALIZED: Final = 32 << 20  # files that are read again for each query cost more than their memory up to here
_SHARE: Final = 0.5  # of the session's memory, for what DuckDB itself counts
_EXECUTING: Final = frozenset({"query", "json_execute_serialized_sql"})
_BEGINS_COPY: Final = re.compile(r"[\w\"(]")
_COMMENTS: Final = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_TABLE: Final = re.compile(r"Table with name (.+?) does not exist|Referenced table \"(.+?)\" not found")
_COLUMN: Final = re.compile(
    r"Referenced column \"(.+?)\" (?:was )?not found|does not have a column named \"(.+?)\"|"
    r"Values list \"[^\"]*\" does not have a column named \"(.+?)\""
)
_READERS: Final[Mapping[str, str]] = {
    "csv": "read_csv({path}, sample_size=-1)",
    "parquet": "read_parquet({path})",
    "json": "read_json({path}, sample_size=-1)",
}


class Duck:
    """A connection that sees nothing but the tables that it was given, and the files of the workspace.

    Args:
        memory_bytes: of the session; None: not bounded.
        threads: how many to compute with.
        workspace: a folder whose files may be read by path; None: none may.
        writable: whether statements may change the tables, which are then the session's own.
    """

    dialect = "duckdb"

    def __init__(
        self, *, memory_bytes: int | None, threads: int, workspace: str | None = None, writable: bool = False
    ) -> None:
        self._memory_bytes = memory_bytes
        self._writable = writable
        self._workspace = workspace
        config: dict[str, Any] = {
            "threads": str(threads),
            "temp_directory": "",
            "python_enable_replacements": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        if memory_bytes is not None:
            config["memory_limit"] = f"{int(memory_bytes * _SHARE)}B"
        self._connection = duckdb.connect(":memory:", config=config)
        self._main = "memory"
        self._paths: list[str] = []
        self._folders: list[str] = [] if workspace is None else [workspace]
        self.is_open = True

    # ---- what it sees

    def attach(self, name: str, path: str) -> None:
        """Show the tables of a DuckDB file."""
        mode = "" if self._writable else " (READ_ONLY)"
        self._set_up(name, f"ATTACH {literal(path)} AS {quoted(name)}{mode}")
        self._set_up(name, f"USE {quoted(name)}")
        self._main = name

    def add_file(self, table: str, path: str, kind: Kind) -> None:
        """Show a CSV, Parquet or JSON file as a table; it is read now if it is small, else at each query."""
        reader = _READERS[kind].format(path=literal(path))
        is_kept = self._writable or (kind != "parquet" and os.path.getsize(path) <= _MATERIALIZED)
        self._set_up(table, f"CREATE {'TABLE' if is_kept else 'VIEW'} {quoted(table)} AS FROM {reader}")
        if not is_kept:
            self._paths.append(path)

    def allow(self, paths: Iterable[str]) -> None:
        """Let files, and what is in folders, be read by path."""
        for path in paths:
            real = os.path.realpath(path)
            (self._folders if os.path.isdir(real) else self._paths).extend(dict.fromkeys((path, real)))

    def lock(self) -> None:
        """Let nothing more be attached, read or set."""
        run = self._connection.execute
        run(f"SET allowed_paths = [{', '.join(map(literal, self._paths))}]")
        run(f"SET allowed_directories = [{', '.join(map(literal, self._folders))}]")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")

    def _set_up(self, name: str, statement: str) -> None:
        try:
            with memory_bounded(self._memory_bytes):
                bounded(lambda: self._connection.execute(statement), self._connection.interrupt, 600)
        except (duckdb.Error, MemoryError, TimedOut) as error:
            raise _unreadable(name, str(error)) from None

    # ---- statements

    def run(self, query: str, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        """See `Connection`."""
        try:
            statement = self._statement(query)
            with memory_bounded(self._memory_bytes):
                return self._run(statement, params, seconds, take)
        except TimedOut as error:
            raise refused_by_time(error, seconds) from error
        except MemoryError:
            raise too_large("an allocation failed") from None
        except (duckdb.Error, RuntimeError, ValueError) as error:
            raise self._refusal(error) from None

    def _statement(self, query: str) -> Any:
        """The one statement of the query, if it may run."""
        if "\0" in query:
            raise Refused("invalid_argument", "the query holds a NUL character", hint="leave it out, or use chr(0)")
        statements = duckdb.extract_statements(query)
        if len(statements) != 1:
            said = "more than one statement" if statements else "there is no statement"
            raise Refused("invalid_argument", said, hint="send one statement a call")
        kind = statements[0].type.name
        if (hidden := _hidden(query)) is not None:
            raise Refused("policy_denied", f"{hidden} is not allowed here", hint="one SELECT reads what is needed")
        if kind == "EXPLAIN":
            self._statement(_EXPLAIN.sub("", query, count=1))
        if kind not in _READING and not (self._writable and kind in _CHANGING):
            is_change = kind in _CHANGING
            said = f"{kind.replace('_', ' ')} is not allowed here"
            raise Refused(
                "policy_denied",
                said,
                hint=READ_ONLY if is_change else "one SELECT reads what is needed; see code:schema",
            )
        return statements[0]

    def _run(self, statement: Any, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        connection = self._connection

        def work() -> T:
            if not self._writable:  # a SELECT may hold an INSERT, UPDATE or DELETE
                connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                cursor = connection.execute(statement, params or None)
                described = cursor.description or ()
                names, types = [one[0] for one in described], [str(one[1]) for one in described]
                return take(Rows(names, types, cursor.fetchmany))
            finally:
                if not self._writable:
                    connection.execute("ROLLBACK")

        with _inside(self._workspace):
            return bounded(work, connection.interrupt, seconds)

    def with_frames(self, frames: Mapping[str, Any]) -> list[str]:
        """Show DataFrames under the names of their variables; which ones are shown."""
        shown = []
        for name, frame in frames.items():
            with suppress(duckdb.Error):  # a frame that DuckDB cannot read is no table
                self._connection.register(name, frame)
                shown.append(name)
        return shown

    def without(self, names: Sequence[str]) -> None:
        """Forget DataFrames."""
        for name in names:
            with suppress(duckdb.Error):
                self._connection.unregister(name)

    def _refusal(self, error: Exception) -> Refused:
        said = _first_paragraph(str(error))
        if isinstance(error, duckdb.OutOfMemoryException):
            return too_large(said.partition("\n")[0])
        if isinstance(error, duckdb.PermissionException):
            return Refused("policy_denied", said, hint="only the session's data and its workspace can be read")
        if isinstance(error, duckdb.TransactionException) and "read-only" in said:
            return Refused("policy_denied", "the statement would change the data", hint=READ_ONLY)
        if "pytz" in str(error):
            hint = "cast it: column::TIMESTAMP, or column::VARCHAR"
            return Refused("invalid_argument", "times with a zone need the package pytz in the interpreter", hint=hint)
        if isinstance(error, duckdb.CatalogException) and (found := _TABLE.search(said)):
            return unknown_table(next(filter(None, found.groups())), self._names())
        if isinstance(error, duckdb.BinderException):
            if found := _TABLE.search(said):
                return unknown_table(next(filter(None, found.groups())), self._names())
            if found := _COLUMN.search(said):
                return unknown_column(next(filter(None, found.groups())), self._names())
        if isinstance(error, duckdb.IOException):
            code = "not_found" if "No files found" in said else "invalid_argument"
            return Refused(code, f"DuckDB: {said}", hint="paths are below the workspace; see code:list_databases")
        if isinstance(error, duckdb.InternalException | duckdb.FatalException):
            self.close()
            return Refused("internal", f"DuckDB: {said}", hint="write the query another way")
        return Refused("invalid_argument", f"DuckDB: {said}")

    # ---- the catalogue

    def catalogue(self) -> list[Table]:
        """See `Connection`."""
        columns: dict[str, list[dict[str, Any]]] = {}
        for table, name, kind, nullable in self._rows(
            "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() WHERE database_name = ? "
            "AND schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
        ):
            columns.setdefault(table, []).append({"name": name, "type": kind, "nullable": bool(nullable)})
        views = {row[0] for row in self._rows("SELECT view_name FROM duckdb_views() WHERE database_name = ?")}
        keys = self._rows(
            "SELECT table_name, constraint_type, constraint_column_names, referenced_table, referenced_column_names "
            "FROM duckdb_constraints() WHERE database_name = ? ORDER BY table_name, constraint_index"
        )
        tables = []
        for name in sorted(columns):
            own = [key for key in keys if key[0] == name]
            primary = next((list(key[2]) for key in own if key[1] == "PRIMARY KEY"), [])
            for column in columns[name]:
                column["nullable"] = column["nullable"] and column["name"] not in primary
            tables.append(
                {
                    "name": name,
                    "kind": "view" if name in views and self._main != "memory" else "table",
                    "columns": columns[name],
                    "primary_key": primary,
                    "foreign_keys": [
                        {"columns": list(key[2]), "table": key[3], "references": list(key[4])}
                        for key in own
                        if key[1] == "FOREIGN KEY"
                    ],
                    "unique": sorted(list(key[2]) for key in own if key[1] == "UNIQUE"),
                }
            )
        return tables

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(query, [self._main]).fetchall()
        return found

    def _names(self) -> dict[str, list[str]]:
        return {table["name"]: [column["name"] for column in table["columns"]] for table in self.catalogue()}

    def close(self) -> None:
        """See `Connection`."""
        self.is_open = False
        self._connection.close()


@contextmanager
def _inside(folder: str | None) -> Iterator[None]:
    """Let relative paths be those of the folder; None: of the folder in which the user's code is."""
    before = None
    with suppress(OSError):  # it may have been removed
        before = os.getcwd()
    if folder is not None:
        os.chdir(folder)
    try:
        yield
    finally:
        if folder is not None and before is not None:
            os.chdir(before)


def _hidden(query: str) -> str | None:
    """What a SELECT holds that is none: COPY as the body of a WITH, which writes files, or a query in a text."""
    raw = query.encode()  # its offsets are of bytes
    starts = [start for start, _ in duckdb.tokenize(query)]
    words = [raw[start:end].decode() for start, end in zip(starts, [*starts[1:], len(raw)], strict=True)]
    words = [_COMMENTS.sub("", word).strip().lower() for word in words]
    words = [word for word in words if word]
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word.strip('"') in _EXECUTING and following.startswith("("):
            return word
        if word == "copy" and at and words[at - 1].endswith("(") and _BEGINS_COPY.match(following):
            return "COPY"
    return None


def literal(text: str) -> str:
    """The text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _first_paragraph(said: str) -> str:
    """What DuckDB says without its advice on settings, and with the place in the query."""
    lines = [line for line in said.splitlines() if line.strip()]
    cut = next((at for at, line in enumerate(lines) if line.startswith("Possible solutions")), len(lines))
    return "\n".join(lines[: min(cut, 8)])[:1500]


def _unreadable(name: str, said: str) -> Refused:
    said = _first_paragraph(said)
    if "not a valid DuckDB database" in said or "orrupt" in said or "ncrypt" in said:
        return not_a_database(name)
    hint = (
        "code:run can read the file with pandas, which takes an encoding" if "nicode" in said or "utf" in said else ""
    )
    return Refused("invalid_argument", f"{name} cannot be read: {said}", hint=hint)
