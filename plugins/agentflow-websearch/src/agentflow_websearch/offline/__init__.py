"""How the offline model plays the environment ``web``: rules, no network, no weights; a baseline for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["WebPolicy"]


class WebPolicy:
    """Search what is named, open results, follow links; ask what a chain of pages tells; answer along such a chain."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        from agentflow_websearch.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` questions over two or three pages of the path, with quoted evidence, best first."""
        from agentflow_websearch.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next searches and visits, or the answer that the pages read so far support best."""
        from agentflow_websearch.offline.solving import solve

        return solve(inputs)
