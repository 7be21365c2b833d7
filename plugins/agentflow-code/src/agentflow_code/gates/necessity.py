"""The gate ``clauses_necessary``: no filter, join or other clause of a draft's SQL can go without changing the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_code.gates.clauses import Unreadable, rendered, variants
from agentflow_code.gates.rerunning import Outcome, database_of, fresh_session, one_text, run_sql
from agentflow_core.config import option
from agentflow_core.interfaces import GateOutcome

if TYPE_CHECKING:
    from agentflow_core.interfaces import GateContext
    from agentflow_core.records import QA

__all__ = ["ClausesConfig", "ClausesNecessary"]


@frozen(kw_only=True)
class ClausesConfig:
    """How far a query is tried."""

    timeout_s: float = option(
        10.0, help="seconds for one variant; one that takes longer counts as changed", at_least=0.1
    )
    most: int = option(40, help="variants that are tried at most; a query with more is refused", at_least=1)


class ClausesNecessary:
    """Every variant of the draft's ``sql`` without one clause gives another result, or none.

    Rows are compared in any order, but in theirs where the clause is an ORDER BY without LIMIT. See `variants` for
    what counts as a clause. A draft without ``sql`` passes: there is nothing to take out.
    """

    def __init__(self, config: ClausesConfig | None = None) -> None:
        self.config = config or ClausesConfig()

    async def check(self, draft: QA, context: GateContext) -> GateOutcome:
        """See the class.

        Raises:
            SandboxError: the sandbox could not run it, which says nothing about the draft.
        """
        sql = one_text(draft.extra.get("sql"))
        if not sql:
            return GateOutcome(passed=True, reason="the draft has no SQL")
        database = database_of(draft, context)
        async with fresh_session(context, f"{draft.id}/clauses_necessary") as worker:

            async def run(query: str) -> Outcome:
                return await run_sql(worker, query, database, self.config.timeout_s)

            whole = await run(sql)
            if whole.failure:
                return GateOutcome(passed=False, reason=f"the SQL fails: {whole.failure}")
            try:
                again = await run(rendered(sql, whole.dialect))
                tried = list(variants(sql, whole.dialect))
            except Unreadable as error:
                return GateOutcome(passed=False, reason=f"the SQL cannot be taken apart: {error}")
            if not whole.is_like(again, ordered=False):
                return GateOutcome(passed=False, reason="the SQL cannot be taken apart without changing it")
            if len(tried) > self.config.most:
                return GateOutcome(passed=False, reason=f"the SQL has {len(tried)} clauses, too many to try")
            for variant in tried:
                if whole.is_like(await run(variant.sql), ordered=variant.is_order):
                    return GateOutcome(passed=False, reason=f"without {variant.without!r} the result is the same")
        if not tried:
            return GateOutcome(passed=True, reason="the SQL has no clause that could go")
        return GateOutcome(passed=True, reason=f"taking out any of {len(tried)} clauses changes the result")
