"""How the offline model plays the environment ``doc``: rules, no network, no weights; a baseline for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["DocPolicy"]


class DocPolicy:
    """Look into outlines, read pages with tables, follow what their cells name; ask over the tables of two documents."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        from agentflow_doc.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` questions over tables and sentences of the path, with quoted evidence, best first."""
        from agentflow_doc.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next searches and readings, or what the tables and sentences that were read say."""
        from agentflow_doc.offline.solving import solve

        return solve(inputs)
