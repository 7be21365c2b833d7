"""Stage 1: grow a trajectory tree from a seed, in waves.

A wave proposes for the whole frontier at once, reserves actions in node-id order, executes them at once, and counts
novelty in node-id order. No decision depends on which call completes first, so a tree is a function of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from agentflow_core.concurrency import run_all
from agentflow_core.records import Action, Node, Usage
from agentflow_core.records.events import NodeAdded
from agentflow_core.synthesis.branches import Branches
from agentflow_core.synthesis.proposals import Explorer, Proposals
from agentflow_core.synthesis.tree import Tree, node_order
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import ChatModel, SandboxClient
    from agentflow_core.records import Seed, ToolDefinition
    from agentflow_core.records.events import Event
    from agentflow_core.synthesis.config import SamplingConfig

__all__ = ["Grown", "Sampler"]


@frozen(kw_only=True)
class Grown:
    """A seed's tree in node-id order, and the nodes for which no proposal could be had, with the kind of failure."""

    nodes: tuple[Node, ...]
    failed: Mapping[str, str]
    repeats: int  #: proposals that meant the same as an action that was taken
    usage: Usage  #: of every proposal, those that led to no node too


@frozen(kw_only=True)
class _Growth:
    """One action that will be executed."""

    node_id: str
    parent: Node
    action: Action
    usage: Usage


@frozen(kw_only=True)
class _Shortfall:
    """A node that got fewer different actions than wanted, and the proposals that clashed."""

    node: Node
    missing: int
    clash: tuple[Action, ...]


@frozen(kw_only=True)
class _Reserved:
    growths: list[_Growth]
    short: list[_Shortfall]
    repeats: int
    usage: Usage


class Sampler:
    """Grows trees with one model and one set of tools; seeds may overlap freely."""

    def __init__(
        self,
        *,
        model: ChatModel,
        sandbox: SandboxClient,
        tools: Sequence[ToolDefinition],
        config: SamplingConfig,
        blobs: BlobStore | None,
        observe: Callable[[Event], None],
    ) -> None:
        self.sandbox = sandbox
        self.config = config
        self.blobs = blobs
        self.observe = observe
        self.explorer = Explorer(model=model, tools=tools, config=config)
        self._schemas = {tool.name: tool.parameters for tool in tools}
        self._rules = {tool.name: sandbox.tool_traits(tool.name).get("canonicalize") for tool in tools}

    async def grow(self, seed: Seed) -> Grown:
        """The tree of the seed.

        Raises:
            ModelError: the model failed in a way that is not one node's own, or had nothing usable for the root.
            SandboxError: the sandbox failed, or had no room.
        """
        tree = Tree(seed, stale_novelty=self.config.stale_novelty, key_of=self._key_of)
        branches = Branches(seed=seed, sandbox=self.sandbox, blobs=self.blobs)
        failed: dict[str, str] = {}
        repeats = 0
        usage = Usage()
        frontier = [tree.root]
        while frontier:
            wanted = [self._children_of(node) for node in frontier]
            proposals = await self._propose(tree, frontier, wanted)
            for node, found in zip(frontier, proposals, strict=True):
                if found.failure is None:
                    continue
                if node is tree.root:
                    raise found.failure
                failed[node.id] = found.failure.kind
            reserved = _reserve(tree, frontier, wanted, proposals)
            again = await self._propose_again(tree, reserved.short)
            usage += reserved.usage + again.usage
            repeats += reserved.repeats + again.repeats
            growths = sorted(reserved.growths + again.growths, key=lambda growth: node_order(growth.node_id))
            frontier = [
                node
                for node in await self._execute(tree, branches, growths)
                if node.depth < self.config.max_depth and tree.may_grow(node)
            ]
        return Grown(nodes=tuple(tree.in_order()), failed=failed, repeats=repeats, usage=usage)

    def _key_of(self, action: Action) -> str:
        """What is equal for actions that mean the same: by the tool's own rule, else by its parameters."""
        rule = self._rules.get(action.tool)
        if rule is not None:
            try:
                return action_key(action.tool, {"": rule(action.params)})
            except Exception:  # noqa: BLE001 - plugin boundary: parameters that the tool would refuse
                return action_key(action.tool, action.params)
        return action_key(action.tool, action.params, self._schemas.get(action.tool))

    def _children_of(self, node: Node) -> int:
        return self.config.branching_factor if node.depth < self.config.depth_threshold else 1

    async def _propose(self, tree: Tree, nodes: Sequence[Node], wanted: Sequence[int]) -> list[Proposals]:
        taken = tree.taken
        return await run_all(
            partial(self.explorer.propose, tree.seed, tree.path(node), k, taken)
            for node, k in zip(nodes, wanted, strict=True)
        )

    async def _propose_again(self, tree: Tree, short: Sequence[_Shortfall]) -> _Reserved:
        """One more call for each node that got too few different actions; it names those that clashed."""
        taken = tree.taken
        found = await run_all(
            partial(self.explorer.propose, tree.seed, tree.path(item.node), item.missing, taken, item.clash)
            for item in short
        )
        return _reserve(tree, [item.node for item in short], [item.missing for item in short], found)

    async def _execute(self, tree: Tree, branches: Branches, growths: Sequence[_Growth]) -> list[Node]:
        executed = await run_all(
            partial(branches.execute, growth.node_id, tree.path(growth.parent), growth.action) for growth in growths
        )
        nodes = []
        for growth, done in zip(growths, executed, strict=True):
            node = tree.add(
                growth.node_id, growth.parent, growth.action, done.result, replay=done.replay, usage=growth.usage
            )
            self.observe(
                NodeAdded(node=node.id, tool=node.tool or "", novelty=node.novelty, stale=node.stale, error=node.error)
            )
            nodes.append(node)
        return nodes


def _reserve(tree: Tree, nodes: Sequence[Node], wanted: Sequence[int], proposals: Sequence[Proposals]) -> _Reserved:
    """Reserve the proposed actions in node-id order, and say which nodes got too few."""
    growths: list[_Growth] = []
    short: list[_Shortfall] = []
    repeats = 0
    total = sum((found.usage for found in proposals), Usage())
    for node, k, found in zip(nodes, wanted, proposals, strict=True):
        usage = found.usage  # the first child carries what the proposal used, so that it is counted once
        clash = []
        got = 0
        for action in found.actions:
            if got == k:
                break
            if tree.reserve(action):
                growths.append(_Growth(node_id=tree.child_id(node), parent=node, action=action, usage=usage))
                usage = Usage()
                got += 1
            else:
                clash.append(action)
        repeats += len(clash)
        if got < k and found.actions:  # an explorer that proposes nothing sees nothing left to do
            short.append(_Shortfall(node=node, missing=k - got, clash=tuple(clash)))
    return _Reserved(growths=growths, short=short, repeats=repeats, usage=total)
