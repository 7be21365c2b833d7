"""Put chains of steps, as the earlier AgentFlow kept them, together into the trees that they are paths of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from agentflow_core.records import Node, Observation, Path

__all__ = ["Branch", "Trees"]


@frozen(kw_only=True)
class Branch:
    """A path of a tree with its nodes, and those of them that no earlier path had."""

    path: Path
    nodes: tuple[Node, ...]
    added: tuple[Node, ...]


class Trees:
    """The trees of all seeds. Chains of a seed that begin alike share their nodes."""

    def __init__(self) -> None:
        self._chains: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._seeds: dict[str, str] = {}
        self._nodes: dict[tuple[str, str], Node] = {}
        self._children: dict[str, int] = {}

    def add(self, source: str, trajectory: str, chain: Mapping[str, Any]) -> None:
        """Remember a chain ``{seed_data, nodes}`` by the ids that pairs name it by."""
        self._chains[source, trajectory] = chain

    def path(self, seed: str, source: str, trajectory: str, content: str) -> Branch:
        """The path of a chain in the tree of its seed; of a chain that is not known, the root alone."""
        chain = self._chains.get((source, trajectory), {})
        seed_id = self._seeds.setdefault(seed, f"seed-{len(self._seeds) + 1:03}")
        content = str(chain.get("seed_data") or content or seed)
        added: list[Node] = []
        node = self._grown(seed_id, None, "", {"intent": content}, added)
        nodes = [node]
        for step in chain.get("nodes") or ():
            if isinstance(step, Mapping) and step.get("action"):
                node = self._grown(seed_id, node, str(step.get("node_id")), step, added)
                nodes.append(node)
        path = Path(
            id=node.id, seed_id=seed_id, nodes=tuple(each.id for each in nodes), selected=True, reason="imported"
        )
        return Branch(path=path, nodes=tuple(nodes), added=tuple(added))

    def _grown(self, seed_id: str, parent: Node | None, name: str, step: Mapping[str, Any], added: list[Node]) -> Node:
        """The node of a step, made where the tree does not have it."""
        under = seed_id if parent is None else parent.id
        known = self._nodes.get((under, name))
        if known is not None:
            return known
        if parent is None:
            node = Node(id=f"{seed_id}/0", seed_id=seed_id, intent=str(step["intent"]))
        else:
            number = self._children.get(under, 0)
            self._children[under] = number + 1
            node = _node(f"{under}.{number}", parent, step)
        self._nodes[under, name] = node
        added.append(node)
        return node


def _node(id: str, parent: Node, step: Mapping[str, Any]) -> Node:
    action = step["action"] if isinstance(step["action"], Mapping) else {"tool_name": str(step["action"])}
    params: Any = next((action[name] for name in ("parameters", "params", "arguments") if action.get(name)), {})
    observed = step.get("observation")
    text = observed if isinstance(observed, str) else json.dumps(observed, ensure_ascii=False)
    return Node(
        id=id,
        seed_id=parent.seed_id,
        parent=parent.id,
        depth=parent.depth + 1,
        intent=str(step.get("intent") or ""),
        tool=next((str(action[name]) for name in ("tool_name", "tool", "name") if action.get(name)), "unknown"),
        params=dict(params) if isinstance(params, Mapping) else {"value": params},
        result=Observation(text="" if observed is None else text),
    )
