"""How the offline model plays the environment ``rag``: rules, no network, no weights; a baseline for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["RagPolicy"]


class RagPolicy:
    """Search what is named, read it, follow the names in it; ask what two documents tell; answer by the best span."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        from agentflow_rag.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` questions over two documents of the path, with quoted evidence, best first."""
        from agentflow_rag.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next searches and readings, or the best supported span as the answer."""
        from agentflow_rag.offline.solving import solve

        return solve(inputs)
