"""Run the SQL or Python of a draft again in sessions of its own, and read what it gives as rows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
from attrs import field, frozen

from agentflow_code.sql.rules import comparable
from agentflow_core.errors import SandboxError

if TYPE_CHECKING:
    from agentflow_core.interfaces import GateContext, SandboxWorker
    from agentflow_core.records import QA, ToolResult

__all__ = ["Outcome", "database_of", "fresh_session", "one_text", "order_is_asked", "run_code", "run_sql"]

#: Codes that say nothing about what was run, only that it could not be.
_NOT_RUN: Final = frozenset(
    {
        "unknown_tool",
        "unauthenticated",
        "session_expired",
        "session_lost",
        "not_ready",
        "overloaded",
        "quota_exceeded",
        "idle_timeout",
        "cancelled",
        "provider_unavailable",
        "upstream_error",
        "upstream_rate_limited",
    }
)
_MAX_ROWS: Final = 10_000
_ASKED: Final = re.compile(
    r"\b(?:order(?:ed)? by|in (?:\w+ )?order|sort(?:ed|ing)?|rank(?:ed|ing)?|alphabetically|chronologically|"
    r"from (?:the )?(?:high|low|larg|small|most|least|old|new|earl|lat|short|long|best|worst|first)\w* to)\b",
    re.IGNORECASE,
)
_NUMPY: Final = re.compile(r"\bnp\.\w+\(([^()]*)\)")
_PLAIN: Final = "text/plain"


@frozen(kw_only=True)
class Outcome:
    """What a run gave: rows, or why there are none."""

    rows: tuple[tuple[Any, ...], ...] = ()
    failure: str = ""
    dialect: str = ""  #: of SQL: sqlite, duckdb or postgres
    alternatives: tuple[tuple[tuple[Any, ...], ...], ...] = field(default=())  #: other readings of what was printed

    @property
    def is_empty(self) -> bool:
        """Are there no rows, or nothing in them?"""
        return not any(cell not in (None, "") for row in self.rows for cell in row)

    def is_like(self, other: Outcome, *, ordered: bool) -> bool:
        """Are the rows the same, in order or in any?"""
        if self.failure or other.failure:
            return False
        mine, its = comparable(self.rows), comparable(other.rows)
        return mine == its if ordered else Counter(mine) == Counter(its)


@asynccontextmanager
async def fresh_session(context: GateContext, label: str) -> AsyncIterator[SandboxWorker]:
    """A worker of its own whose sessions are opened as those of the seed were, and closed at the end.

    Raises:
        SandboxError: ``unsupported``: the run has no sandbox.
    """
    if context.sandbox is None:
        raise SandboxError("this gate runs code, and the run has no sandbox", code="unsupported")
    worker = context.sandbox.worker(label)
    try:
        settings = (context.seed.session or {}).get("code")
        if settings is not None:
            await worker.create_session({"code": settings})
        yield worker
    finally:
        with anyio.CancelScope(shield=True):
            await worker.aclose()


async def run_sql(worker: SandboxWorker, sql: str, database: str | None, timeout_s: float) -> Outcome:
    """The rows of a statement, all of them.

    Raises:
        SandboxError: the sandbox could not run it.
    """
    params: dict[str, Any] = {"query": sql, "limit": _MAX_ROWS, "timeout_s": timeout_s}
    if database is not None:
        params["database"] = database
    result = _ran(await worker.execute("code:sql", params))
    if not result.ok:
        return Outcome(failure=f"{result.code}: {result.message}")
    if result.data["truncated"]:
        return Outcome(failure=f"the result has more than {len(result.data['rows'])} rows")
    return Outcome(rows=tuple(tuple(row) for row in result.data["rows"]), dialect=result.data["dialect"])


async def run_code(worker: SandboxWorker, code: str, timeout_s: float) -> Outcome:
    """What a cell gives: its last value, else what it prints, as rows.

    Raises:
        SandboxError: the sandbox could not run it.
    """
    result = _ran(await worker.execute("code:run", {"code": code, "timeout_s": timeout_s}))
    if not result.ok:
        return Outcome(failure=f"{result.code}: {result.message}")
    if error := result.data.get("error"):
        return Outcome(failure=f"{error.get('name')}: {error.get('value')}")
    readings = list(_readings(result.data))
    return Outcome(rows=readings[0], alternatives=tuple(readings[1:])) if readings else Outcome()


def _ran(result: ToolResult) -> ToolResult:
    if result.code in _NOT_RUN:
        raise SandboxError(f"{result.tool or 'the sandbox'}: {result.message}", code=result.code, hint=result.hint)
    return result


def _readings(data: Mapping[str, Any]) -> list[tuple[tuple[Any, ...], ...]]:
    """The last value, and what was printed as a whole and in its last line; those that there are."""
    found = []
    values = [bundle for bundle in data.get("results", ()) if bundle.get("kind") == "result"]
    if values:
        table = values[-1].get("table")
        if table and not table.get("truncated"):
            found.append(tuple(tuple(row) for row in table["rows"]))
            if len(table["columns"]) == 1 and table.get("index"):
                found.append(tuple((label, *row) for label, row in zip(table["index"], table["rows"], strict=True)))
        plain = values[-1].get("mime", {}).get(_PLAIN)
        if isinstance(plain, str) and not table:
            found.append(_rows_of(plain))
    printed = str(data.get("stdout", "")).strip()
    if printed:
        found += [_rows_of(printed), _rows_of(printed.splitlines()[-1])]
    return [rows for rows in found if rows]


def _rows_of(text: str) -> tuple[tuple[Any, ...], ...]:
    """A printed value as rows: what Python reads as a literal by its items, else the text."""
    text = text.strip()
    if not text:
        return ()
    try:
        value = ast.literal_eval(_NUMPY.sub(r"\1", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    if isinstance(value, Mapping):
        return tuple((key, each) for key, each in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return tuple(tuple(item) if isinstance(item, list | tuple) else (item,) for item in items)
    return ((value,),)


def database_of(draft: QA, context: GateContext) -> str | None:
    """The database that the draft names, else the one of the path's last query; None: the session's only one."""
    named = draft.extra.get("database")
    if isinstance(named, str) and named:
        return named
    for node in reversed(context.path):
        if node.tool == "code:sql" and node.error is None and isinstance(node.params.get("database"), str):
            return str(node.params["database"])
    return None


def order_is_asked(question: str) -> bool:
    """Whether a question asks for its answer in an order."""
    return _ASKED.search(question) is not None


def one_text(value: Any) -> str:
    """SQL or code that a draft carries: a text, or lines of it."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return "\n".join(value).strip()
    return ""
