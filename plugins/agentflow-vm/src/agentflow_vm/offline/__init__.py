"""How the offline model plays a desktop: scripted keys, and texts read through the clipboard; a baseline for models.

It sees no pictures. It knows the usual keys of a file manager and an editor (those of ``examples/gui-desktop``), reads
what it copied, and asks for what the lines ``Name: value`` of several texts tell together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import Move
    from agentflow_core.records import QA, Action, DraftInputs, ProposeInputs, SolveInputs

__all__ = ["VmPolicy"]


class VmPolicy:
    """See the module."""

    def propose(self, inputs: ProposeInputs) -> Sequence[Action]:
        """List the files, then read what the subject names, and what that names; at most ``inputs.k``."""
        from agentflow_vm.offline.proposing import propose

        return propose(inputs)

    def draft(self, inputs: DraftInputs) -> Sequence[QA]:
        """Ask for what is told of what is told of something, where two texts are needed for it."""
        from agentflow_vm.offline.drafting import draft

        return draft(inputs)

    def solve(self, inputs: SolveInputs) -> Move:
        """The next keys of an errand, the next text that a question leads to, or the answer."""
        from agentflow_vm.offline.solving import solve

        return solve(inputs)
