"""How the offline model plays the environment ``code``: rules, no network, no weights; a baseline for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["CodePolicy"]


class CodePolicy:
    """Read the schema, compose a query from it, run it; ask for what it returned; read questions by the schema's words."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        from agentflow_code.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` questions, one for each query of the path whose result answers one, with its evidence."""
        from agentflow_code.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next look at the data, the query that the question seems to ask for, or what that returned."""
        from agentflow_code.offline.solving import solve

        return solve(inputs)
