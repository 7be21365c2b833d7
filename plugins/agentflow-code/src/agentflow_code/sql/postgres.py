"""PostgreSQL by URL, through psycopg (extra ``postgres``). It runs on the server: see `agentflow_code.sql.apart`."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.engine import READ_ONLY, Params, Rows, Table, refused_by_time, too_large
from agentflow_code.sql.names import unknown_column, unknown_table
from agentflow_code.sql.running import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

__all__ = ["Postgres"]

T = TypeVar("T")

_CONNECT_S: Final = 10
_READING: Final = frozenset({"select", "with", "values", "table", "explain", "show"})
_CHANGING: Final = frozenset({"insert", "update", "delete", "merge", "create", "drop", "alter", "truncate", "comment"})
_FIRST_WORD: Final = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*([A-Za-z]*)", re.DOTALL)
_NAMED: Final = re.compile(r"(?:relation|column) \"?([^\"\s]+(?:\.[^\"\s]+)*)\"? (?:of relation \S+ )?does not exist")
_CATALOGUE: Final = """
SELECT c.relname, CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END, a.attname,
       pg_catalog.format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname, a.attnum
"""
_KEYS: Final = """
SELECT c.relname, k.contype::text, f.relname,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(num, pos)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY u.pos),
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(num, pos)
             JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY u.pos)
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid
WHERE n.nspname = current_schema() AND k.contype IN ('p', 'f', 'u')
ORDER BY c.relname, k.conname
"""


class Postgres:
    """A connection to a PostgreSQL server. Each statement has a transaction of its own, read-only if not said otherwise.

    What the role of the URL may do is the bound that holds: give sessions one that may only read.
    """

    dialect = "postgres"

    def __init__(self, name: str, url: str, *, seconds: float, writable: bool = False) -> None:
        try:
            import psycopg
        except ImportError:
            raise Refused(
                "provider_unavailable", "PostgreSQL needs psycopg", hint="pip install 'agentflow-code[postgres]'"
            ) from None
        self._psycopg = psycopg
        self._writable = writable
        try:
            self._connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
                url, autocommit=True, connect_timeout=int(max(1, min(seconds, _CONNECT_S)))
            )
        except psycopg.Error as error:
            said = _without_secret(str(error), url)
            hint = "the operator looks after the server and its URL"
            raise Refused("upstream_error", f"{name} cannot be reached: {said}", hint=hint) from None

    def run(self, query: str, params: Params, seconds: float, take: Callable[[Rows], T]) -> T:
        """See `Connection`. Parameters are a list, for ``$1``, ``$2`` …"""
        word = _first_word(query)
        if not word:
            raise Refused("invalid_argument", "there is no statement", hint="send one SELECT")
        if word not in _READING and not (self._writable and word in _CHANGING):
            hint = READ_ONLY if word in _CHANGING else "one SELECT reads what is needed; see code:schema"
            raise Refused("policy_denied", f"{word.upper()} is not allowed here", hint=hint)
        if isinstance(params, dict):
            raise Refused("invalid_argument", "params are an object", hint="send a list, and write $1, $2 in the query")
        if "\0" in query:
            raise Refused("invalid_argument", "the query holds a NUL character", hint="leave it out")
        try:
            return self._run(query, list(params or ()), seconds, take)
        except self._psycopg.errors.QueryCanceled as error:
            raise refused_by_time(TimedOut(), seconds) from error
        except MemoryError:
            raise too_large("an allocation failed") from None
        except self._psycopg.Error as error:
            raise self._refusal(error) from None

    def _run(self, query: str, params: list[Any], seconds: float, take: Callable[[Rows], T]) -> T:
        connection = self._connection
        connection.execute("BEGIN" if self._writable else "BEGIN READ ONLY")
        done = False
        try:
            connection.execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")
            with self._psycopg.RawCursor(connection) as cursor:
                value = self._read(cursor, query, params, take)
            done = True
            return value
        finally:
            with suppress(self._psycopg.Error):  # a connection that broke has nothing to end
                connection.execute("COMMIT" if done and self._writable else "ROLLBACK")

    def _read(self, cursor: Any, query: str, params: list[Any], take: Callable[[Rows], T]) -> T:
        """The result row by row as it arrives, by the protocol that takes one statement only."""
        if _first_word(query) in _CHANGING:
            cursor.execute(query, params, prepare=True)
            if cursor.description is None:
                batches: list[list[tuple[Any, ...]]] = [[(max(0, cursor.rowcount),)]]
                return take(Rows(["changes"], ["INTEGER"], lambda _: batches.pop() if batches else []))
            return take(self._rows_of(cursor, cursor.fetchmany))
        stream = cursor.stream(query, params)
        try:
            first = next(stream, None)
            pending = [] if first is None else [first]

            def fetch(size: int) -> list[tuple[Any, ...]]:
                batch, pending[:] = list(pending), []
                for row in stream:
                    batch.append(row)
                    if len(batch) >= size:
                        break
                return batch

            return take(self._rows_of(cursor, fetch))
        finally:
            stream.close()

    def _rows_of(self, cursor: Any, fetch: Callable[[int], Sequence[Sequence[Any]]]) -> Rows:
        described = cursor.description or ()
        return Rows([column.name for column in described], [self._type(column) for column in described], fetch)

    def _type(self, column: Any) -> str:
        known = self._connection.adapters.types.get(column.type_code)
        return known.name if known is not None else "text"

    def _refusal(self, error: psycopg.Error) -> Refused:
        state = error.sqlstate or ""
        said = error.diag.message_primary or str(error)
        if state in ("42P01", "42703"):
            found = _NAMED.search(said)
            tables = {table["name"]: [column["name"] for column in table["columns"]] for table in self.catalogue()}
            return (unknown_table if state == "42P01" else unknown_column)(found[1] if found else said, tables)
        if state in ("25006", "42501", "25001"):
            return Refused("policy_denied", said, hint=READ_ONLY if state == "25006" else "the role may not do this")
        if state == "57014":
            return Refused("timeout", said, hint="do less in one statement")
        if state.startswith("53"):
            return too_large(said) if state == "53200" else Refused("upstream_error", said)
        if state.startswith(("08", "57P")) or not state:
            return Refused("upstream_error", f"the server ended the connection: {said}"[:1000])
        if "multiple commands" in said:
            return Refused("invalid_argument", "more than one statement", hint="send one statement a call")
        hint = error.diag.message_hint or ""
        place = f" (at character {error.diag.statement_position})" if error.diag.statement_position else ""
        return Refused("invalid_argument", f"PostgreSQL: {said}{place}", hint=hint)

    def catalogue(self) -> list[Table]:
        """See `Connection`; of the current schema, what the role may read."""
        tables: dict[str, Table] = {}
        for name, kind, column, declared, nullable in self._connection.execute(_CATALOGUE).fetchall():
            table = tables.setdefault(
                name,
                {"name": name, "kind": kind, "columns": [], "primary_key": [], "foreign_keys": [], "unique": []},
            )
            table["columns"].append({"name": column, "type": declared, "nullable": nullable})
        for name, kind, other, columns, references in self._connection.execute(_KEYS).fetchall():
            if name not in tables:
                continue
            if kind == "p":
                tables[name]["primary_key"] = columns
            elif kind == "u":
                tables[name]["unique"].append(columns)
            else:
                tables[name]["foreign_keys"].append({"columns": columns, "table": other, "references": references})
        return [tables[name] for name in sorted(tables)]

    def close(self) -> None:
        """See `Connection`."""
        self._connection.close()


def _first_word(query: str) -> str:
    found = _FIRST_WORD.match(query)
    return found[1].lower() if found else ""


def _without_secret(said: str, url: str) -> str:
    """What the client says of a connection, without the URL and its password."""
    password = re.search(r"://[^:/@]*:([^@]*)@", url)
    for secret in (url, password[1] if password else ""):
        said = said.replace(secret, "…") if secret else said
    return " ".join(said.split())[:500]
