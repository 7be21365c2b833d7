"""How the offline model plays the environment ``browser``: rules, no network, no weights; a baseline for models."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["BrowserPolicy"]


class BrowserPolicy:
    """Click what leads on, ask how the facts of several pages hang together, follow the words of a task through labels."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """Up to ``inputs.k`` different actions that are not in ``inputs.taken``, best first."""
        from agentflow_browser.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Up to ``inputs.n`` questions over facts of at least two pages of the path, with quoted evidence, best first."""
        from agentflow_browser.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next action on the page, or what the pages that were seen answer."""
        from agentflow_browser.offline.solving import solve

        return solve(inputs)
