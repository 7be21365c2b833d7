"""The metric ``sql_execution``: the predicted query gives what the gold query gives, by the rules of Spider or BIRD."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio
from attrs import frozen

from agentflow_code.metrics.extracting import extract_sql
from agentflow_code.sql.rules import as_official, comparable
from agentflow_code.sql.verdicts import MARK, verdict
from agentflow_core.config import option
from agentflow_core.errors import SandboxError
from agentflow_core.records import Score

if TYPE_CHECKING:
    from agentflow_core.interfaces import MetricContext, SandboxWorker, ScoredSample
    from agentflow_core.records import ToolResult

__all__ = ["SqlExecution", "SqlExecutionConfig"]

#: Where a task has the gold query and the database, in order of preference.
GOLD: Final = ("sql", "SQL", "query", "gold", "gold_sql")
DATABASE: Final = ("databases", "database", "db_id")
_DIED: Final = frozenset({"kernel_died", "timeout", "memory_limit", "pids_limit", "disk_limit", "output_limit"})
_MARGIN_S: Final = 10.0
_MAX_ROWS: Final = 10_000


@frozen(kw_only=True)
class SqlExecutionConfig:
    """By which rules queries are compared."""

    rules: Literal["spider", "bird"] = option("spider", help="whose rules hold: spider or bird")
    timeout_s: float = option(30.0, help="seconds for a query; of bird for both together", at_least=0.1, at_most=590)
    keep_distinct: bool = option(
        False, help="spider: run DISTINCT as it stands; the official script takes it out of both queries"
    )
    database: str | None = option(None, help="the database of tasks that name none (default: the session's only one)")


class _Ungraded(Exception):
    """The sample cannot be judged, for a reason that is not the prediction's."""


class SqlExecution:
    """Runs prediction and gold on the task's database, in a session of its own; 1 if the results are the same, else 0.

    The gold query is the task's ``sql`` (or ``SQL``, ``query``, ``gold``, ``gold_sql``) in its metadata, else its
    references, of which any may match. The database is its ``database`` or ``db_id``; a list of several (also as
    ``databases``) is Spider's test suite: the prediction has to be right on each. See `extract_sql` for what of an
    answer is the query, and `agentflow_code.sql.rules` for the rules, which give the verdicts of the official scripts.

    Where it differs from them: statements that write are refused, so such a prediction is 0; a gold query that fails
    or takes too long leaves the sample ungraded. A prediction that fails, takes too long or ends the interpreter is 0;
    if the sandbox fails, the sample is ungraded.
    """

    def __init__(self, config: SqlExecutionConfig | None = None) -> None:
        self.config = config or SqlExecutionConfig()

    async def score(self, sample: ScoredSample, context: MetricContext) -> Score:
        """See the class."""
        golds = _gold_of(sample)
        if not golds:
            return _ungraded("the task has no gold SQL")
        if sample.prediction is None:
            return Score(value=0.0, reason=f"there is no prediction ({sample.outcome})")
        predicted = extract_sql(sample.prediction)
        if not predicted:
            return Score(value=0.0, reason="the prediction has no SQL")
        if context.sandbox is None:
            return _ungraded("sql_execution needs a sandbox, and there is none")
        worker = context.sandbox.worker(f"{sample.task.id}#{sample.sample}/sql_execution")
        try:
            return await self._score(worker, sample, golds, predicted)
        except _Ungraded as reason:
            return _ungraded(str(reason))
        except SandboxError as error:
            return _ungraded(f"the sandbox failed ({error.code}): {error.message}")
        finally:
            with anyio.CancelScope(shield=True):
                await worker.aclose()

    async def _score(self, worker: SandboxWorker, sample: ScoredSample, golds: Sequence[str], predicted: str) -> Score:
        named = self._named(sample)
        if named:  # a session that sees these alone; a benchmark may have hundreds
            await worker.create_session({"code": {"databases": named, "files": []}})
        listed = _checked(await worker.execute("code:list_databases", {}))
        databases = {one["name"]: one for one in listed.data["databases"]}
        if not named and len(databases) != 1:
            raise _Ungraded(f"the task names none of the {len(databases)} databases")
        last = Score(value=0.0, reason="")
        for gold in golds:
            for name in named or databases:
                last = await self._on(worker, databases[name], gold, predicted)
                if not last.value:
                    break
            if last.value:
                break
        return last

    def _named(self, sample: ScoredSample) -> list[str]:
        """The databases that the task names, each once; none is the session's only one."""
        found = next((sample.task.metadata[key] for key in DATABASE if sample.task.metadata.get(key)), None)
        named = found if found is not None else self.config.database
        if named is None:
            return []
        return [named] if isinstance(named, str) else list(dict.fromkeys(map(str, named)))

    async def _on(self, worker: SandboxWorker, database: Mapping[str, Any], gold: str, predicted: str) -> Score:
        if database.get("error"):
            raise _Ungraded(f"the database {database['name']!r} cannot be read: {database['error']}")
        if not database.get("path"):
            return await self._by_tool(worker, database["name"], gold, predicted)
        config = self.config
        payload = {
            "name": database["name"],
            "path": database["path"],
            "rules": config.rules,
            "keep_distinct": config.keep_distinct,
            "timeout_s": config.timeout_s,
        }
        told = _answer(_checked(await self._cell(worker, "run_gold", {**payload, "sql": gold})))
        if "error" in told:
            raise _Ungraded(f"the gold SQL fails: {told['error']}")
        result = await self._cell(worker, "compare", {**payload, "sql": predicted})
        if result.code in _DIED:
            return Score(value=0.0, reason=f"the prediction fails ({result.code}): {result.message}"[:500])
        told = _answer(_checked(result))
        return Score(value=float(told["equal"]), reason=told["reason"])

    async def _cell(self, worker: SandboxWorker, function: str, payload: Mapping[str, Any]) -> ToolResult:
        written = json.dumps(json.dumps(payload))
        code = (
            "import json\nfrom agentflow_code.sql import verdicts\n"
            f"verdicts.tell(verdicts.{function}(json.loads({written})))"
        )
        return await worker.execute("code:run", {"code": code, "timeout_s": self.config.timeout_s + _MARGIN_S})

    async def _by_tool(self, worker: SandboxWorker, database: str, gold: str, predicted: str) -> Score:
        """On a database of a URL, whose queries run beside the session: the rows as ``code:sql`` gives them."""
        results = []
        for text in (gold, predicted):
            sql = text if self.config.rules == "bird" else as_official(text, keep_distinct=self.config.keep_distinct)
            results.append(
                await worker.execute(
                    "code:sql",
                    {"query": sql, "database": database, "limit": _MAX_ROWS, "timeout_s": self.config.timeout_s},
                )
            )
        wanted, found = results
        if not wanted.ok or wanted.data["truncated"]:
            said = wanted.message or f"it has more than {_MAX_ROWS} rows"
            raise _Ungraded(f"the gold SQL fails: {said}")
        if not found.ok:
            if found.code == "upstream_error":
                raise _Ungraded(f"the database cannot be reached: {found.message}")
            return Score(value=0.0, reason=f"the prediction fails ({found.code}): {found.message}"[:500])
        if found.data["truncated"]:
            return Score(value=0.0, reason=f"the prediction gives more than {_MAX_ROWS} rows")
        told = verdict(
            comparable(wanted.data["rows"]), comparable(found.data["rows"]), rules=self.config.rules, gold_sql=gold
        )
        return Score(value=float(told["equal"]), reason=told["reason"])


def _gold_of(sample: ScoredSample) -> list[str]:
    found = next((sample.task.metadata[key] for key in GOLD if sample.task.metadata.get(key)), None)
    if isinstance(found, str):
        return [found]
    if isinstance(found, Sequence):
        return [str(each) for each in found]
    return [reference for reference in sample.references if reference.strip()]


def _checked(result: ToolResult) -> ToolResult:
    if not result.ok:
        raise _Ungraded(f"the sandbox failed ({result.code}): {result.message}")
    return result


def _answer(result: ToolResult) -> dict[str, Any]:
    """What a cell told."""
    lines = str(result.data.get("stdout", "")).splitlines()
    for line in reversed(lines):
        if line.startswith(MARK):
            told: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return told
    error = result.data.get("error") or {}
    raise _Ungraded(f"the comparison failed: {error.get('name', 'no answer')}: {error.get('value', '')}"[:500])


def _ungraded(reason: str) -> Score:
    return Score(value=0.0, graded=False, reason=reason)
