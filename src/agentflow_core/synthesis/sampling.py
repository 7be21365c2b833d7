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
from agentflow_core.sandbox.config import LimitsConfig
from agentflow_core.synthesis.branches import Branches, Step
from agentflow_core.synthesis.frontier import Frontier, Growing
from agentflow_core.synthesis.isolation import isolation_of
from agentflow_core.synthesis.proposals import Explorer, Proposals
from agentflow_core.synthesis.rooms import SessionPool
from agentflow_core.synthesis.tree import Tree, node_order
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import ChatModel, SandboxClient
    from agentflow_core.prompts import Prompts
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
    branches: Mapping[str, int]  #: actions by how they got their session, and how many branches were parked


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

    growing: Growing
    clash: tuple[Action, ...]


@frozen(kw_only=True)
class _Reserved:
    growths: list[_Growth]
    short: list[_Shortfall]
    repeats: int
    usage: Usage


class Sampler:
    """Grows trees with one model and one set of tools; seeds may overlap freely.

    Args:
        model: proposes.
        sandbox: where actions run.
        tools: what may be proposed.
        config: how trees grow.
        blobs: where images go.
        observe: is told of every node.
        limits: how many sessions there may be of a backend, where the sandbox does not say it.
        prompts: those of the run; default: those of the core.

    Raises:
        UsageError: the isolation that the configuration asks for cannot be had.
    """

    def __init__(
        self,
        *,
        model: ChatModel,
        sandbox: SandboxClient,
        tools: Sequence[ToolDefinition],
        config: SamplingConfig,
        blobs: BlobStore | None,
        observe: Callable[[Event], None],
        limits: Mapping[str, LimitsConfig] | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.config = config
        self.blobs = blobs
        self.observe = observe
        self.explorer = Explorer(model=model, tools=tools, config=config, prompts=prompts)
        self.isolation = isolation_of(sandbox, tools, config.isolation)
        self._limits = limits or {}
        self._pool = SessionPool(1 if config.isolation == "shared" else config.sessions_per_tree, self._session_limits)
        self._schemas = {tool.name: tool.parameters for tool in tools}
        self._rules = {tool.name: self.isolation.traits[tool.name].get("canonicalize") for tool in tools}

    async def grow(self, seed: Seed) -> Grown:
        """The tree of the seed.

        Raises:
            ModelError: the model failed in a way that is not one node's own, or had nothing usable for the root.
            SandboxError: the sandbox failed, or had no room.
        """
        tree = Tree(
            seed,
            stale_novelty=self.config.stale_novelty,
            key_of=self._key_of,
            changes=self.isolation.changes_state,
            relative=self.isolation.is_relative,
        )
        frontier = Frontier(self.config, tree.root)
        failed: dict[str, str] = {}
        repeats = 0
        usage = Usage()
        async with Branches(
            seed=seed, sandbox=self.sandbox, blobs=self.blobs, isolation=self.isolation, pool=self._pool
        ) as branches:
            while wave := frontier.take():
                proposals = await self._propose(tree, wave)
                for growing, found in zip(wave, proposals, strict=True):
                    if found.failure is None:
                        continue
                    if growing.node is tree.root:
                        raise found.failure
                    failed[growing.node.id] = found.failure.kind
                reserved = _reserve(tree, wave, proposals)
                again = await self._propose_again(tree, reserved.short)
                usage += reserved.usage + again.usage
                repeats += reserved.repeats + again.repeats
                growths = sorted(reserved.growths + again.growths, key=lambda growth: node_order(growth.node_id))
                made = await self._execute(tree, branches, growths, [node.id for node in frontier.waiting])
                frontier.add(len(made), filter(tree.may_grow, made))
                await branches.settle([tree.path(node) for node in frontier.waiting])
        return Grown(
            nodes=tuple(tree.in_order()), failed=failed, repeats=repeats, usage=usage, branches=dict(branches.counts)
        )

    async def _session_limits(self) -> Mapping[str, int]:
        """How many sessions there may be of each backend that has some."""
        status = await self.sandbox.status()
        servers = list(status.get("servers", {"": status}).values())
        totals = {}
        for backend in self.isolation.forkable:
            told = [server["backends"].get(backend, {}).get("limits") for server in servers if "backends" in server]
            own = self._limits.get(backend, LimitsConfig()).max_sessions
            totals[backend] = sum(limits["max_sessions"] if limits else own for limits in told) or own
        return totals

    def _key_of(self, action: Action) -> str:
        """What is equal for actions that mean the same: by the tool's own rule, else by its parameters."""
        rule = self._rules.get(action.tool)
        if rule is not None:
            try:
                return action_key(action.tool, {"": rule(action.params)})
            except Exception:  # noqa: BLE001 - plugin boundary: parameters that the tool would refuse
                return action_key(action.tool, action.params)
        return action_key(action.tool, action.params, self._schemas.get(action.tool))

    async def _propose(self, tree: Tree, wave: Sequence[Growing]) -> list[Proposals]:
        return await run_all(
            partial(
                self.explorer.propose,
                tree.seed,
                tree.path(growing.node),
                growing.children,
                tree.taken(growing.node),
            )
            for growing in wave
        )

    async def _propose_again(self, tree: Tree, short: Sequence[_Shortfall]) -> _Reserved:
        """One more call for each node that got too few different actions; it names those that clashed."""
        found = await run_all(
            partial(
                self.explorer.propose,
                tree.seed,
                tree.path(item.growing.node),
                item.growing.children,
                tree.taken(item.growing.node),
                item.clash,
            )
            for item in short
        )
        return _reserve(tree, [item.growing for item in short], found)

    async def _execute(
        self, tree: Tree, branches: Branches, growths: Sequence[_Growth], idle: Sequence[str]
    ) -> list[Node]:
        steps = [
            Step(
                node=growth.node_id,
                path=tree.path(growth.parent),
                action=growth.action,
                may_grow=growth.parent.depth + 1 < self.config.max_depth,
            )
            for growth in growths
        ]
        nodes = []
        for growth, done in zip(growths, await branches.execute(steps, idle), strict=True):
            node = tree.add(
                growth.node_id, growth.parent, growth.action, done.result, replay=done.replay, usage=growth.usage
            )
            self.observe(
                NodeAdded(node=node.id, tool=node.tool or "", novelty=node.novelty, stale=node.stale, error=node.error)
            )
            nodes.append(node)
        return nodes


def _reserve(tree: Tree, wave: Sequence[Growing], proposals: Sequence[Proposals]) -> _Reserved:
    """Reserve the proposed actions in node-id order, and say which nodes got too few."""
    growths: list[_Growth] = []
    short: list[_Shortfall] = []
    repeats = 0
    total = sum((found.usage for found in proposals), Usage())
    for growing, found in zip(wave, proposals, strict=True):
        node = growing.node
        usage = found.usage  # the first child carries what the proposal used, so that it is counted once
        clash = []
        got = 0
        for action in found.actions:
            if got == growing.children:
                break
            if tree.reserve(action, node):
                growths.append(_Growth(node_id=tree.child_id(node), parent=node, action=action, usage=usage))
                usage = Usage()
                got += 1
            else:
                clash.append(action)
        repeats += len(clash)
        if got < growing.children and found.actions:  # an explorer that proposes nothing sees nothing left to do
            missing = Growing(node=node, children=growing.children - got)
            short.append(_Shortfall(growing=missing, clash=tuple(clash)))
    return _Reserved(growths=growths, short=short, repeats=repeats, usage=total)
