"""Score a path by its shape: how long it is, which tools it uses, how much of it failed or repeated."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.config import option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentflow_core.interfaces import ScoringContext
    from agentflow_core.records import Node

__all__ = ["Depth", "DepthConfig", "ErrorShare", "Replayable", "Staleness", "ToolDiversity"]


def _steps(path: Sequence[Node]) -> list[Node]:
    return [node for node in path if node.tool is not None]


@frozen(kw_only=True)
class DepthConfig:
    """What counts as deep."""

    soft_cap: float = option(5.0, help="steps after which further ones add little", at_least=0.1)


class Depth:
    """``tanh(steps / soft_cap)``: 0 without steps, 0.76 at the soft cap, towards 1 beyond it."""

    def __init__(self, config: DepthConfig | None = None) -> None:
        self._soft_cap = (config or DepthConfig()).soft_cap

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        return math.tanh(len(_steps(path)) / self._soft_cap)


class ToolDiversity:
    """The entropy of the tools used, as a share of the greatest: every offered tool equally often.

    0 where one tool is used or offered.
    """

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        counts = Counter(node.tool for node in _steps(path))
        offered = max(len(context.tools), len(counts))
        if len(counts) < 2:
            return 0.0
        total = counts.total()
        entropy = -sum(count / total * math.log(count / total) for count in counts.values())
        return min(1.0, entropy / math.log(offered))


class ErrorShare:
    """1 minus the share of steps whose call failed; 1 without steps."""

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        steps = _steps(path)
        failed = sum(node.error is not None or (node.result is not None and not node.result.ok) for node in steps)
        return 1 - failed / len(steps) if steps else 1.0


class Staleness:
    """1 minus the share of steps whose observation added almost nothing to the tree; 1 without steps."""

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        steps = _steps(path)
        return 1 - sum(node.stale for node in steps) / len(steps) if steps else 1.0


class Replayable:
    """0 if a replay of any step of the path gave another observation, else 1."""

    def score(self, path: Sequence[Node], context: ScoringContext) -> float:
        """See the class."""
        return float(all(node.replay is None or node.replay.equal for node in path))
