"""SQLite files, through the module of the standard library: read-only and without other files, if not said otherwise."""

from __future__ import annotations

import os
import re
import sqlite3
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.engine import (
    READ_ONLY,
    Database,
    Params,
    Rows,
    Table,
    own_copy,
    refused_by_time,
    too_large,
)
from agentflow_code.sql.kinds import not_a_database
from agentflow_code.sql.names import quoted, unknown_column, unknown_table
from agentflow_code.sql.running import TimedOut, bounded, memory_bounded

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lite"]

T = TypeVar("T")

_VALUE_BYTES: Final = 64 << 20  # of one text or blob
_READING: Final = frozenset(
    getattr(sqlite3, name) for name in ("SQLITE_SELECT", "SQLITE_READ", "SQLITE_FUNCTION", "SQLITE_RECURSIVE")
)
_CHANGING: Final = frozenset(
    getattr(sqlite3, name)
    for name in (
        "SQLITE_INSERT",
        "SQLITE_UPDATE",
        "SQLITE_DELETE",
        "SQLITE_CREATE_INDEX",
        "SQLITE_CREATE_TABLE",
        "SQLITE_CREATE_TEMP_TABLE",
        "SQLITE_CREATE_TEMP_VIEW",
        "SQLITE_CREATE_TEMP_INDEX",
        "SQLITE_CREATE_TRIGGER",
        "SQLITE_CREATE_VIEW",
        "SQLITE_CREATE_VTABLE",
        "SQLITE_DROP_INDEX",
        "SQLITE_DROP_TABLE",
        "SQLITE_DROP_TEMP_TABLE",
        "SQLITE_DROP_TEMP_VIEW",
        "SQLITE_DROP_TRIGGER",
        "SQLITE_DROP_VIEW",
        "SQLITE_DROP_VTABLE",
        "SQLITE_ALTER_TABLE",
        "SQLITE_REINDEX",
        "SQLITE_ANALYZE",
        "SQLITE_TRANSACTION",
    )
)
_PRAGMAS: Final = frozenset(
    [
        "table_info",
        "table_xinfo",
        "table_list",
        "foreign_key_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "database_list",
        "collation_list",
        "function_list",
        "module_list",
        "pragma_list",
        "compile_options",
        "encoding",
        "page_count",
        "page_size",
        "user_version",
        "application_id",
        "schema_version",
        "freelist_count",
    ]
)
_WITH_ARGUMENT: Final = frozenset(
    ["table_info", "table_xinfo", "table_list", "foreign_key_list", "index_list", "index_info", "index_xinfo"]
)
_FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer"})
_MISSING: Final = re.compile(r"no such (table|column): (.+)", re.DOTALL)


class Lite:
    """A connection to a SQLite file."""

    dialect = "sqlite"
    decoding = "replace"  #: what becomes of text that is not UTF-8: replace, ignore, or strict, which is an error

    def __init__(self, database: Database, workspace: str, memory_bytes: int | None) -> None:
        self._name = database.name
        self._writable = database.writable
        self._memory_bytes = memory_bytes
        self._denied = ""
        path = own_copy(database, workspace, "sqlite") if database.writable else database.path
        self._connection = self._opened(path)

    def _opened(self, path: str) -> sqlite3.Connection:
        mode = "rw" if self._writable else "ro"
        uri = f"file:{quote(os.path.abspath(path))}?mode={mode}"
        try:
            return self._checked(uri)
        except sqlite3.DatabaseError as error:
            if not self._writable and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
                try:  # a write-ahead log wants files beside it, which a read-only place does not take
                    return self._checked(f"{uri}&immutable=1")
                except sqlite3.DatabaseError as other:
                    error = other
            raise self._unusable(error) from None

    def _unusable(self, error: sqlite3.Error) -> Refused:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return not_a_database(self._name)
        return Refused("invalid_argument", f"{self._name} cannot be opened: {error}")

    def _checked(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=5, check_same_thread=False)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # it is opened lazily
            if not self._writable:
                connection.execute("PRAGMA query_only=ON")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _VALUE_BYTES)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            connection.set_authorizer(self._authorize)
        except BaseException:
            connection.close()
            raise
        return connection

    def _authorize(self, action: int, one: str | None, two: str | None, where: str | None, by: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and two in _FORBIDDEN_FUNCTIONS:
            return self._deny(f"the function {two}")
        if action in _READING or (self._writable and action in _CHANGING):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_UPDATE and one in ("sqlite_master", "sqlite_temp_master"):
            return sqlite3.SQLITE_OK  # how table functions declare themselves; nothing can be written
        if action == sqlite3.SQLITE_PRAGMA:
            name = (one or "").lower()
            if name in (_PRAGMAS if two is None else _WITH_ARGUMENT):
                return sqlite3.SQLITE_OK
            return self._deny(f"PRAGMA {one}")
        return self._deny(_ACTIONS.get(action, "this statement"))

    def _deny(self, what: str) -> int:
        self._denied = self._denied or what
        return sqlite3.SQLITE_DENY

    def run(self, query: str, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        """See `Connection`."""
        try:
            with memory_bounded(self._memory_bytes):
                return self._run(query, params, seconds, take)
        except TimedOut as error:
            raise refused_by_time(error, seconds) from error
        except MemoryError:
            raise too_large("an allocation failed") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise self._refusal(error) from None

    def _run(self, query: str, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        connection = self._connection
        self._denied = ""
        connection.text_factory = str

        def work() -> T:
            cursor = connection.cursor()
            try:
                cursor.execute(query, params or ())
                if cursor.description is None:
                    return take(self._changes(cursor.rowcount))
                return take(Rows([column[0] for column in cursor.description], None, cursor.fetchmany))
            finally:
                cursor.close()

        try:
            return bounded(work, connection.interrupt, seconds)
        except sqlite3.OperationalError as error:
            if "Could not decode to UTF-8" not in str(error) or self.decoding == "strict":
                raise
            connection.text_factory = _lenient if self.decoding == "replace" else _ignoring
            return bounded(work, connection.interrupt, seconds)
        finally:
            if connection.in_transaction:
                connection.rollback()

    def _changes(self, count: int) -> Rows:
        """What a statement without a result has done, as a result."""
        if not self._writable:
            raise Refused("invalid_argument", "there is no statement", hint="send one SELECT")
        batches = [[(max(0, count),)]]
        return Rows(["changes"], ["INTEGER"], lambda _: batches.pop() if batches else [])

    def _refusal(self, error: Exception) -> Refused:
        said = str(error)
        if self._denied:
            what = self._denied
            hint = "one SELECT reads what is needed" if self._writable else READ_ONLY
            return Refused("policy_denied", f"{what} is not allowed here", hint=hint)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_READONLY:
            return Refused("policy_denied", "the statement would change the database", hint=READ_ONLY)
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return not_a_database(self._name)
        if code == sqlite3.SQLITE_FULL:
            return Refused("disk_limit", f"{said}: no room for what the statement keeps beside memory")
        if code in (sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG) or isinstance(error, sqlite3.DataError):
            return too_large(f"a text or blob may have {_VALUE_BYTES >> 20} MiB ({said})")
        if found := _MISSING.match(said):
            tables = {table["name"]: [column["name"] for column in table["columns"]] for table in self.catalogue()}
            return (unknown_table if found[1] == "table" else unknown_column)(found[2], tables)
        if "one statement at a time" in said:
            return Refused("invalid_argument", "more than one statement", hint="send one statement a call")
        if "null character" in said:
            return Refused("invalid_argument", "the query holds a NUL character", hint="leave it out, or use char(0)")
        return Refused("invalid_argument", f"SQLite: {said}", hint=_HINTS.get(_kind(said), ""))

    def catalogue(self) -> list[Table]:
        """See `Connection`."""
        found = self._rows(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' ORDER BY name"
        )
        return [self._table(str(name), str(kind)) for name, kind in found]

    def _table(self, name: str, kind: str) -> Table:
        table: Table = {"name": name, "kind": kind}
        try:
            columns = self._rows(f"PRAGMA table_info({quoted(name)})")
        except sqlite3.Error as error:  # a view on what is no longer there
            return {**table, "columns": [], "primary_key": [], "foreign_keys": [], "unique": [], "error": str(error)}
        table["columns"] = [
            {"name": column, "type": declared or "", "nullable": not not_null and not key}
            for _, column, declared, not_null, _, key in columns
        ]
        keys = sorted((key, column) for _, column, _, _, _, key in columns if key)
        table["primary_key"] = [column for _, column in keys]
        table["foreign_keys"] = self._foreign_keys(name)
        indexes = self._rows(f"PRAGMA index_list({quoted(name)})")
        table["unique"] = sorted(
            [str(row[2]) for row in self._rows(f"PRAGMA index_info({quoted(index[1])})")]
            for index in indexes
            if index[2] and index[3] != "pk" and not (len(index) > 4 and index[4])
        )
        return table

    def _foreign_keys(self, name: str) -> list[dict[str, Any]]:
        keys: dict[int, dict[str, Any]] = {}
        for number, _, target, column, referenced, *_ in self._rows(f"PRAGMA foreign_key_list({quoted(name)})"):
            key = keys.setdefault(number, {"columns": [], "table": target, "references": []})
            key["columns"].append(column)
            key["references"].append(referenced)
        for key in keys.values():
            if None in key["references"]:  # of the primary key
                target = self._rows(f"PRAGMA table_info({quoted(key['table'])})")
                key["references"] = [column for _, column in sorted((row[5], row[1]) for row in target if row[5])]
        return sorted(keys.values(), key=lambda key: (key["columns"], key["table"]))

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        self._connection.text_factory = _lenient
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _ignoring(raw: bytes) -> str:
    return raw.decode("utf-8", "ignore")


def _kind(said: str) -> str:
    return next((part for part in _HINTS if part in said), "")


_HINTS: Final = {
    "syntax error": "check the SQL near the place that is named; the dialect is SQLite's",
    "no such function": "the dialect is SQLite's: see its list of functions, or use code:run",
    "ambiguous column": "name the table of the column, as in table.column",
    "bindings": "params has one value for each ? of the query, or an object for :names",
    "binding": "params has one value for each ? of the query, or an object for :names",
}
_ACTIONS: Final = {
    sqlite3.SQLITE_ATTACH: "ATTACH or VACUUM",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_TRANSACTION: "a transaction",
    sqlite3.SQLITE_SAVEPOINT: "a savepoint",
    sqlite3.SQLITE_INSERT: "changing the database",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
