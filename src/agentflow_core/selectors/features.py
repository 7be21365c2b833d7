"""Keep what is computed from a node, so that paths which share it do not compute it again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from agentflow_core.text import shingles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentflow_core.records import Node

__all__ = ["PerNode", "observed_text", "path_shingles"]

T = TypeVar("T")


def observed_text(node: Node) -> str:
    """The whole text of the node's observation; empty for the root and for a failed call, which inform of nothing."""
    if node.result is None or not node.result.ok or node.error is not None:
        return ""
    return node.result.text


class PerNode(Generic[T]):
    """A function of a node that remembers its last values, by node id and only while the node is the same object."""

    def __init__(self, compute: Callable[[Node], T], size: int = 4096) -> None:
        self._compute = compute
        self._size = size
        self._known: OrderedDict[str, tuple[Node, T]] = OrderedDict()

    def __call__(self, node: Node) -> T:
        known = self._known.get(node.id)
        if known is not None and known[0] is node:
            self._known.move_to_end(node.id)
            return known[1]
        value = self._compute(node)
        self._known[node.id] = (node, value)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return value


def path_shingles(nodes: Sequence[Node], of_node: Callable[[Node], set[int]] | None = None) -> set[int]:
    """The 5-word shingles of all observations of a path: the content by which paths are compared."""
    of_node = of_node or node_shingles
    return set().union(*map(of_node, nodes))


def node_shingles(node: Node) -> set[int]:
    """The 5-word shingles of a node's observation."""
    return shingles(observed_text(node))
