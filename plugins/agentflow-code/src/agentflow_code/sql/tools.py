"""The tools of ``code`` that read data: ``sql``, ``list_databases``, ``schema`` and ``profile``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Final

from agentflow_code.config import MAX_TIMEOUT_S, CodeConfig
from agentflow_code.session import CodeSession
from agentflow_code.sql import apart
from agentflow_code.sql.rendering import databases_text, profile_text, rows_text, schema_text
from agentflow_core.records import Observation, ToolResult
from agentflow_core.records.codes import CODES
from agentflow_core.sandbox import Range, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_ROWS", "SqlTools"]

#: What one call of ``code:sql`` gives back at most.
MAX_ROWS: Final = 10_000
_MAX_BYTES: Final = 1 << 20
_INTERRUPT_S: Final = 5.0  # beyond the statement's own time, after which the whole interpreter is interrupted
_TOOL_S: Final = MAX_TIMEOUT_S + 30

Seconds = Annotated[float, Range(0.1, MAX_TIMEOUT_S)]


def same_rows(recorded: Observation, replayed: Observation) -> bool:
    """Are the rows equal, in any order? Without ORDER BY an engine with several threads gives them as they come."""
    return sorted(recorded.text.splitlines()) == sorted(replayed.text.splitlines())


class SqlTools:
    """The data tools; `CodeBackend` inherits them beside those of Python."""

    config: CodeConfig

    @tool(timeout_s=_TOOL_S, compare=same_rows)
    async def sql(
        self,
        state: CodeSession,
        query: Annotated[str, Range(1, 200_000)],
        database: str | None = None,
        params: list[Any] | dict[str, Any] | None = None,
        limit: Annotated[int, Range(1, MAX_ROWS)] = 200,
        offset: Annotated[int, Range(0)] = 0,
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Run one SQL statement. Databases are read-only unless the session says otherwise.

        SQLite files take SQLite's SQL, PostgreSQL its own, everything else DuckDB's. In the database "files" the
        table files of the session are tables under their names, files of the workspace can be read by path, such as
        FROM 'out.csv', and DataFrames of Python by the names of their variables.

        Args:
            query: one statement.
            database: the name of a database, "files", or the path of a data file; default: the only database, else "files".
            params: values for ? (of PostgreSQL $1, $2) as a list, or for :name (of DuckDB $name) as an object.
            limit: how many rows to return.
            offset: how many rows of the result to pass over first.
            timeout_s: how long the statement may run, in seconds; default: what is configured.
        """
        payload = {
            "query": query,
            "params": params,
            "limit": limit,
            "offset": offset,
            "max_bytes": _MAX_BYTES,
        }
        found = await self._ask("query", state, payload, database, timeout_s)
        return _told(found, rows_text)

    @tool(timeout_s=_TOOL_S)
    async def list_databases(self, state: CodeSession) -> ToolResult:
        """List the databases and table files of the session, and their tables."""
        found = await self._ask("databases", state, {}, None, None)
        if isinstance(found, ToolResult):
            return found
        databases = found.get("databases")
        databases = list(databases) if isinstance(databases, list) else []
        for name, one in _urls(state).items():
            answer = await self._ask("databases", state, {}, name, None)
            if isinstance(answer, ToolResult):
                databases.append(
                    {"name": name, "kind": "postgres", "writable": one["writable"], "error": answer.message}
                )
            else:
                databases += answer["databases"]
        return _told({**found, "databases": databases}, databases_text)

    @tool(timeout_s=_TOOL_S)
    async def schema(
        self,
        state: CodeSession,
        database: str | None = None,
        tables: Annotated[list[Annotated[str, Range(1, 300)]], Range(1, 200)] | None = None,
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Describe the tables of a database: columns, types, keys, counts of distinct values, samples.

        Keys of table files are inferred from the values, and marked so.

        Args:
            database: as for sql.
            tables: which tables; default: all of them.
            timeout_s: how long it may take, in seconds; default: what is configured.
        """
        found = await self._ask("schema", state, {"tables": tables}, database, timeout_s)
        return _told(found, schema_text)

    @tool(timeout_s=_TOOL_S)
    async def profile(
        self,
        state: CodeSession,
        path: Annotated[str, Range(1, 1000)] | None = None,
        variable: Annotated[str, Range(1, 200)] | None = None,
        timeout_s: Seconds | None = None,
    ) -> ToolResult:
        """Profile a table: types, missing values, ranges, quantiles and common values of every column.

        Args:
            path: a CSV, Parquet or JSON file: its name among the session's files, or a path in the workspace.
            variable: or a DataFrame, Series, or list of objects of Python, by the name of the variable.
            timeout_s: how long it may take, in seconds; default: what is configured.
        """
        if (path is None) == (variable is None):
            return ToolResult.failure(
                "invalid_argument", "profile needs either path or variable", hint="send one of them"
            )
        found = await self._ask("profile", state, {"path": path, "variable": variable}, None, timeout_s)
        return _told(found, profile_text)

    async def _ask(
        self,
        function: str,
        state: CodeSession,
        payload: Mapping[str, Any],
        database: str | None,
        timeout_s: float | None,
    ) -> dict[str, Any] | ToolResult:
        """What a function of `agentflow_code.sql.inside` finds, in the session or for a URL beside it; or its failure."""
        seconds = self.config.timeout_s if timeout_s is None else timeout_s
        urls = _urls(state)
        if database is None and function in ("query", "schema") and len(state.databases) == 1 and urls:
            database = next(iter(urls))
        limits = self.config.limits
        common = {
            **payload,
            "database": database,
            "timeout_s": seconds,
            "memory_bytes": limits.memory_bytes,
            "threads": math.ceil(limits.cpus),
        }
        if database in urls:
            own = {"workspace": "/", "files": {}, "databases": {database: urls[database]}}
            return _answer(await apart.ask(f"{_INSIDE}:{function}", {**common, **own}, seconds), seconds)
        await state.start()  # where the workspace is, is known then
        own = {
            "workspace": state.workspace,
            "files": dict(state.files),
            "databases": {
                name: {"path": one.inside, "writable": one.config.writable}
                for name, one in state.databases.items()
                if one.inside is not None
            },
        }
        reply = await state.call(f"{_INSIDE}:{function}", {**common, **own}, seconds + _INTERRUPT_S)
        if reply.failure is not None:
            return reply.failure
        return reply.value if isinstance(reply.value, dict) else _NO_RESULT


_INSIDE: Final = "agentflow_code.sql.inside"


#: The user of the session can make its interpreter answer anything.
_NO_RESULT: Final = ToolResult.failure(
    "internal", "the interpreter answered what is no result", hint="code:reset starts it afresh"
)


def _told(found: dict[str, Any] | ToolResult, text: Callable[[Mapping[str, Any]], str]) -> ToolResult:
    """The result with its text."""
    if isinstance(found, ToolResult):
        return found
    try:
        return ToolResult.success(found, text=text(found))
    except (LookupError, TypeError, ValueError, AttributeError):
        return _NO_RESULT


def _urls(state: CodeSession) -> dict[str, dict[str, Any]]:
    """The databases of the session that are reached by URL."""
    return {
        name: {"url": one.config.url, "writable": one.config.writable}
        for name, one in state.databases.items()
        if one.config.url is not None
    }


def _answer(answer: Mapping[str, Any], seconds: float) -> dict[str, Any] | ToolResult:
    if "value" in answer:
        value: dict[str, Any] = answer["value"]
        return value
    if answer.get("late"):
        return ToolResult.failure("timeout", f"the server did not answer within {seconds:g} s", hint="do less at once")
    if refused := answer.get("refused"):
        code = refused["code"] if refused["code"] in CODES else "internal"
        return ToolResult.failure(code, refused["message"], hint=refused["hint"], data=refused["data"])
    return ToolResult.failure("internal", str(answer.get("defect", "it gave no answer"))[:2000])
