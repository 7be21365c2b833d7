"""What ``code:sql`` and its neighbours run in the session's interpreter: a payload in, JSON out, or a refusal."""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from agentflow_code.inside.calls import Refused
from agentflow_code.sql.describing import Asking, describe, infer_keys
from agentflow_code.sql.kinds import kind_of
from agentflow_code.sql.names import unknown_table
from agentflow_code.sql.opening import FILES, Place, found_path, opened, table_files
from agentflow_code.sql.profiling import profiled
from agentflow_code.sql.values import Window, collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agentflow_code.sql.engine import Connection, Rows

__all__ = ["databases", "profile", "query", "schema"]

TABLES: Final = 50  # that are described at once
_LISTED: Final = 200
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


def query(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run one statement on a database of the session.

    Args:
        payload: what `Place` reads, and ``query``, ``database``, ``params``, ``limit``, ``offset``, ``max_bytes``.
    """
    place = Place(payload)
    window = Window(payload["limit"], payload["offset"], payload["max_bytes"])
    text: str = payload["query"]

    def take(rows: Rows) -> dict[str, Any]:
        return collect(rows.names, rows.types, rows.batches(window.counted + 1), window)

    with opened(place, payload.get("database")) as (name, connection), _frames(name, connection, text):
        found = connection.run(text, payload.get("params"), place.seconds, take)
    return {"database": name, "dialect": connection.dialect, **found}


@contextmanager
def _frames(name: str, connection: Connection, text: str) -> Iterator[None]:
    """Let a query of the files read the user's DataFrames that it names."""
    if name != FILES:
        yield
        return
    words = set(_WORD.findall(text))
    frames = {word: value for word, value in _variables().items() if word in words and _is_frame(value)}
    shown: list[str] = []
    if frames:
        taken = {table["name"].lower() for table in connection.catalogue()}
        found = {word: value for word, value in frames.items() if word.lower() not in taken}
        shown = connection.with_frames(found)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if shown:
            connection.without(shown)  # type: ignore[attr-defined]


def _variables() -> Mapping[str, Any]:
    from agentflow_code.inside.interpreter import namespace  # it wants IPython, which only sessions need

    return namespace()


def _is_frame(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.partition(".")[0] == "pandas" and kind.__name__ == "DataFrame"


def databases(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The databases and table files of the session with their tables; one that cannot be opened has an ``error``."""
    place = Place(payload)
    found = []
    for name, database in sorted(place.databases.items()):
        entry: dict[str, Any] = {"name": name, "writable": database.writable}
        if database.url is not None:
            found.append(entry | {"kind": "postgres"} | _tables_of(place, name))
        else:
            found.append(entry | {"path": database.path} | _looked_at(place, name, database.path))
    if place.files:
        found.append({"name": FILES, "kind": "files", "writable": False} | _tables_of(place, FILES))
    shown = {
        name: table for table, path in table_files(place).items() for name in place.files if place.files[name] == path
    }
    others = sorted(name for name in place.files if name not in shown)
    return {"databases": found, "other_files": others}


def _looked_at(place: Place, name: str, path: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = {"kind": kind_of(path, os.path.basename(path)), "size_bytes": os.path.getsize(path)}
    except Refused as refused:
        return {"kind": "unknown", "error": refused.message}
    return told | _tables_of(place, name)


def _tables_of(place: Place, name: str) -> dict[str, Any]:
    try:
        with opened(place, name) as (_, connection):
            tables = [table["name"] for table in connection.catalogue()]
    except Refused as refused:
        return {"error": refused.message}
    return {"tables": tables[:_LISTED], "table_count": len(tables)}


def schema(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a database, described: see `describe` and `infer_keys`.

    Args:
        payload: what `Place` reads, and ``database``, ``tables``.
    """
    place = Place(payload)
    deadline = time.monotonic() + place.seconds
    with opened(place, payload.get("database")) as (name, connection):
        catalogue = connection.catalogue()
        known = {table["name"]: table for table in catalogue}
        by_form = {each.casefold(): each for each in known}
        wanted = payload.get("tables") or list(known)
        for each in wanted:
            if each.casefold() not in by_form:
                raise unknown_table(each, {table: [] for table in known})
        chosen = [known[by_form[each.casefold()]] for each in dict.fromkeys(wanted)]

        def ask(steps: Asking) -> dict[str, Any]:
            return _asked(steps, connection, max(0.1, deadline - time.monotonic()))

        described = [_described(table, ask) for table in chosen[:TABLES]]
        if not any(table["foreign_keys"] for table in catalogue):
            inferred = ask(infer_keys(described))
            for table in described:
                table["foreign_keys"] = inferred["foreign"].get(table["name"], [])
                if key := inferred["primary"].get(table["name"]):
                    table |= {"primary_key": key, "primary_key_inferred": True}
    return {
        "database": name,
        "dialect": connection.dialect,
        "table_count": len(known),
        "tables": described,
        "left_out": [table["name"] for table in chosen[TABLES:]],
    }


def _described(table: dict[str, Any], ask: Callable[[Asking], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask(describe(table))
    except Refused as refused:
        if refused.code == "timeout":
            raise
        return {**table, "error": refused.message}  # such as a view on what is no longer there


def _asked(steps: Asking, connection: Connection, seconds: float) -> dict[str, Any]:
    """What the steps find, their queries answered by the connection within the time."""
    deadline = time.monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            left = max(0.05, deadline - time.monotonic())
            wanted = steps.send(connection.run(wanted, None, left, list))
    except StopIteration as end:
        found: dict[str, Any] = end.value
        return found


def profile(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the columns of a table file, or of a variable of the user, hold: see `profiled`.

    Args:
        payload: what `Place` reads, and ``path`` or ``variable``.
    """
    place = Place(payload)
    if (variable := payload.get("variable")) is not None:
        return profiled(place, variable, frame=_frame(variable))
    name = payload["path"]
    path = place.databases[name].path if name in place.databases else found_path(place, name)
    kind = kind_of(path, os.path.basename(path))
    if kind in ("sqlite", "duckdb"):
        raise Refused("invalid_argument", f"{name} is a database", hint="code:schema describes its tables")
    return profiled(place, name, path=path, kind=kind)


def _frame(variable: str) -> Any:
    """The variable as a DataFrame."""
    variables = _variables()
    if variable not in variables:
        known = [name for name in variables if not name.startswith("_")]
        from agentflow_code.sql.names import unknown_name

        raise unknown_name("variable", variable, known)
    import pandas

    value = variables[variable]
    if isinstance(value, pandas.DataFrame):
        return value
    if isinstance(value, pandas.Series):
        return value.to_frame(name=value.name if value.name is not None else variable)
    try:
        return pandas.DataFrame(value)
    except (ValueError, TypeError) as error:
        raise Refused(
            "invalid_argument", f"{variable} is no table: it is a {type(value).__name__}", hint="code:inspect shows it"
        ) from error
