"""The gate ``executes``: the SQL or code of a draft, run again in fresh sessions, gives the stated answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_code.gates.answers import gives_answer
from agentflow_code.gates.rerunning import (
    Outcome,
    database_of,
    fresh_session,
    one_text,
    order_is_asked,
    run_code,
    run_sql,
)
from agentflow_core.config import option
from agentflow_core.interfaces import GateOutcome

if TYPE_CHECKING:
    from agentflow_core.interfaces import GateContext
    from agentflow_core.records import QA

__all__ = ["Executes", "ExecutesConfig"]


@frozen(kw_only=True)
class ExecutesConfig:
    """How long a run may take."""

    timeout_s: float = option(60.0, help="seconds for one run", at_least=0.1, at_most=600)


class Executes:
    """What the draft carries as ``sql`` or ``code`` runs, gives the same twice, something, and the stated answer.

    Both runs have a session of their own, opened as the seed's were. Rows are compared in order only if the question
    asks for one. A draft with both is held to both. The database is the draft's ``database``, else that of the
    path's last query. See `gives_answer` for what equals the answer.
    """

    def __init__(self, config: ExecutesConfig | None = None) -> None:
        self.config = config or ExecutesConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class.

        Raises:
            SandboxError: the sandbox could not run it, which says nothing about the draft.
        """
        kinds = [kind for kind in ("sql", "code") if one_text(draft.extra.get(kind))]
        if not kinds:
            return GateOutcome(passed=False, reason="the draft has neither sql nor code")
        ordered = order_is_asked(draft.question)
        for kind in kinds:
            first = await self._run(kind, draft, context, 1)
            problem = self._problem(kind, first, draft, ordered=ordered)
            if not problem:
                second = await self._run(kind, draft, context, 2)
                if not first.is_like(second, ordered=ordered):
                    problem = second.failure or f"the {kind} gives something else the second time"
            if problem:
                return GateOutcome(passed=False, reason=problem)
        return GateOutcome(passed=True, reason=f"the {' and the '.join(kinds)} gave the answer in two fresh sessions")

    async def _run(self, kind: str, draft: QA, context: GateContext, number: int) -> Outcome:
        text = one_text(draft.extra[kind])
        async with fresh_session(context, f"{draft.id}/executes/{kind}-{number}") as worker:
            if kind == "sql":
                return await run_sql(worker, text, database_of(draft, context), self.config.timeout_s)
            return await run_code(worker, text, self.config.timeout_s)

    def _problem(self, kind: str, outcome: Outcome, draft: QA, *, ordered: bool) -> str:
        if outcome.failure:
            return f"the {kind} fails: {outcome.failure}"
        if outcome.is_empty:
            return f"the {kind} gives nothing"
        readings = (outcome.rows, *outcome.alternatives)
        if any(gives_answer(rows, draft, ordered=ordered) for rows in readings):
            return ""
        shown = "; ".join(", ".join(map(str, row)) for row in outcome.rows[:3])
        return f"the {kind} gives {shown[:200]!r}, not {draft.answer[:200]!r}"
