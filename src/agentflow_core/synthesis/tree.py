"""A trajectory tree while it grows: nodes, reserved actions, and what its observations have said already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentflow_core.records import Action, Node, Observation, Seed, Usage
from agentflow_core.text import novelty, shingles

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentflow_core.records import Replay

__all__ = ["Tree", "node_order"]


def node_order(node_id: str) -> tuple[int, ...]:
    """The key that sorts the node ids of one tree: child numbers as numbers, so that 0.2 comes before 0.10."""
    return tuple(int(part) for part in node_id.rpartition("/")[2].split("."))


class Tree:
    """The tree of one seed. Nothing in it depends on the order in which calls complete."""

    def __init__(
        self,
        seed: Seed,
        *,
        stale_novelty: float,
        key_of: Callable[[Action], str],
        changes: Callable[[str], bool] = lambda _: False,
        relative: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.seed = seed
        self.stale_novelty = stale_novelty
        root = Node(id=f"{seed.id}/0", seed_id=seed.id, intent=seed.content)
        self.nodes: dict[str, Node] = {root.id: root}
        self.root = root
        self._key_of = key_of
        self._changes = changes
        self._relative = relative
        self._children: dict[str, int] = {}
        self._reserved: dict[tuple[str, str], Action] = {}  #: by what it starts from, and its own key
        self._seen: set[int] = set()

    def taken(self, node: Node) -> tuple[Action, ...]:
        """Every action that `reserve` would refuse below this node, in the order of reservation."""
        starts = {tool: self._start(tool, node) for tool in {action.tool for action in self._reserved.values()}}
        return tuple(action for (start, _), action in self._reserved.items() if start == starts[action.tool])

    def path(self, node: Node) -> tuple[Node, ...]:
        """The nodes from the root to this one."""
        path = [node]
        while path[-1].parent is not None:
            path.append(self.nodes[path[-1].parent])
        return tuple(reversed(path))

    def reserve(self, action: Action, node: Node) -> bool:
        """Take the action, as a child of the node, for this tree, unless one that means the same was taken before.

        A relative action (a click on a reference) means the same as another one only from the same state on.
        """
        key = self._start(action.tool, node), self._key_of(action)
        if key in self._reserved:
            return False
        self._reserved[key] = action
        return True

    def child_id(self, parent: Node) -> str:
        """The id of the parent's next child."""
        number = self._children.get(parent.id, 0)
        self._children[parent.id] = number + 1
        return f"{parent.id}.{number}"

    def add(
        self,
        node_id: str,
        parent: Node,
        action: Action,
        result: Observation,
        *,
        replay: Replay | None = None,
        usage: Usage | None = None,
    ) -> Node:
        """Add an executed action; call it in node-id order, since novelty counts against what was added before."""
        new = shingles(result.text) if result.ok else set()
        share = novelty(new, self._seen)
        node = Node(
            id=node_id,
            seed_id=self.seed.id,
            parent=parent.id,
            depth=parent.depth + 1,
            intent=action.intent,
            reasoning=action.reasoning,
            tool=action.tool,
            params=action.params,
            result=result,
            novelty=round(share, 6),
            stale=result.ok and share < self.stale_novelty,
            error=None if result.ok else result.code,
            replay=replay,
            usage=usage or Usage(),
        )
        self._seen |= new
        self.nodes[node.id] = node
        return node

    def may_grow(self, node: Node) -> bool:
        """Whether a node leads on.

        Not when it is stale, unless its tool changes a state: to enter a folder tells nothing, and yet leads on. And
        not when it failed, or was stale, right after one that did.
        """
        parent = self.nodes.get(node.parent or "")
        if parent is not None and ((node.error and parent.error) or (node.stale and parent.stale)):
            return False
        return not node.stale or self._changes(node.tool or "")

    def _start(self, tool: str, node: Node) -> str:
        """What a call below the node starts from: if it is relative, the last that changed its backend's state."""
        if not self._relative(tool):
            return ""
        group = _group(tool)
        changed = (each for each in reversed(self.path(node)) if each.tool and self._changes(each.tool))
        return next((each.id for each in changed if _group(each.tool) == group), self.root.id)

    def in_order(self) -> list[Node]:
        """All nodes, in node-id order."""
        return sorted(self.nodes.values(), key=lambda node: node_order(node.id))


def _group(tool: str | None) -> str:
    return (tool or "").partition(":")[0]
