"""The nodes of a tree that may be grown, and which of them a wave takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.records import Node
from agentflow_core.synthesis.tree import node_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.synthesis.config import SamplingConfig

__all__ = ["Frontier", "Growing", "growth_score"]


@frozen(kw_only=True)
class Growing:
    """A node that a wave grows, and by how many different actions."""

    node: Node
    children: int


class Frontier:
    """What may be grown next, under the configuration's shape and budget.

    ``uniform`` takes every node that waits; ``best_first`` the ``width`` ones with the best `growth_score`, of equal
    ones those that come first in node-id order. A node that got fewer children than it should leaves what it did not
    use of the budget to the others.
    """

    def __init__(self, config: SamplingConfig, root: Node) -> None:
        self.config = config
        self._waiting = [root]
        self._made = 0

    @property
    def waiting(self) -> Sequence[Node]:
        """The nodes that may be grown, the best first."""
        return tuple(self._waiting) if self._left > 0 else ()

    def take(self) -> list[Growing]:
        """The nodes of the next wave, in node-id order; none when the tree is finished."""
        count = self.config.width if self.config.growth == "best_first" else len(self._waiting)
        chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        left: float = self._left
        wave = []
        for node in chosen:
            children = int(min(self._children_of(node), left))
            left -= children
            if children:
                wave.append(Growing(node=node, children=children))
        return sorted(wave, key=lambda growing: node_order(growing.node.id))

    def add(self, made: int, growable: Iterable[Node]) -> None:
        """A wave is over: it made so many nodes, of which some may be grown."""
        self._made += made
        self._waiting += [node for node in growable if node.depth < self.config.max_depth]
        self._waiting.sort(key=self._rank)

    @property
    def _left(self) -> float:
        return math.inf if self.config.node_budget is None else self.config.node_budget - self._made

    def _children_of(self, node: Node) -> int:
        if node.error is not None or node.stale:  # one attempt to recover, one to go on
            return 1
        return self.config.branching_factor if node.depth < self.config.depth_threshold else 1

    def _rank(self, node: Node) -> tuple[float, tuple[int, ...]]:
        score = growth_score(node, self.config.max_depth) if self.config.growth == "best_first" else 0.0
        return -score, node_order(node.id)


def growth_score(node: Node, max_depth: int) -> float:
    """``(novelty + depth / max_depth) / 2``, 0 to 1: how much it is worth to grow a node.

    Novelty is the share of the node's text that was new to the tree: where there was something new, there may be more.
    Depth is what a path needs before it is of use, and the deeper one is, the less is missing. A failed call has no
    novelty, so that a recovery waits for what is known to lead on.
    """
    return (node.novelty + node.depth / max_depth) / 2
