"""What offline policies have in common: the calls that were seen, the actions that are left, the drafts that are best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.records import QA, Observation
from agentflow_core.text import action_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentflow_core.records import Action, DraftInputs, Node, ProposeInputs, SolveInputs, SolveStep

__all__ = ["Call", "Ranked", "best_drafts", "calls_in_steps", "calls_on_path", "undone", "untaken"]


@frozen(kw_only=True)
class Call:
    """A call that was made, and what it showed."""

    where: str  #: the id of the node, or the number of the step
    tool: str
    params: Mapping[str, Any]
    result: Observation


@frozen(kw_only=True)
class Ranked:
    """A draft and how well it reads: lower is better."""

    qa: QA
    rank: int


def calls_on_path(path: Iterable[Node]) -> Iterator[Call]:
    """The calls of a path, from the root on; those that failed are left out."""
    for node in path:
        if node.tool is not None and node.result is not None and node.error is None:
            yield Call(where=node.id, tool=node.tool, params=node.params, result=node.result)


def calls_in_steps(steps: Iterable[SolveStep]) -> Iterator[Call]:
    """The calls that an agent made, in order, also those that failed."""
    for number, step in enumerate(steps):
        yield Call(where=str(number), tool=step.tool, params=step.params, result=step.result)


def untaken(wishes: Iterable[Action], inputs: ProposeInputs) -> list[Action]:
    """The first ``inputs.k`` wishes that are offered, not taken in the tree and different from one another."""
    offered = {tool.name for tool in inputs.tools}
    taken = {action_key(action.tool, action.params) for action in inputs.taken}
    chosen: list[Action] = []
    for action in wishes:
        key = action_key(action.tool, action.params)
        if action.tool not in offered or key in taken:
            continue
        taken.add(key)
        chosen.append(action)
        if len(chosen) == inputs.k:
            break
    return chosen


def undone(wishes: Iterable[Action], inputs: SolveInputs) -> list[Action]:
    """The wishes that are offered and were not done in a step yet, each once."""
    offered = {tool.name for tool in inputs.tools}
    done = {action_key(step.tool, step.params) for step in inputs.steps}
    found: dict[str, Action] = {}
    for action in wishes:
        key = action_key(action.tool, action.params)
        if action.tool in offered and key not in done:
            found.setdefault(key, action)
    return list(found.values())


def best_drafts(drafts: Iterable[Ranked], inputs: DraftInputs) -> list[QA]:
    """The first ``inputs.n`` drafts of a wanted type, best and shortest first, none with the last quote and answer of another."""
    chosen: dict[tuple[str, str], QA] = {}
    for draft in sorted(drafts, key=lambda draft: (draft.rank, len(draft.qa.question), draft.qa.question)):
        if len(chosen) == inputs.n:
            break
        qa = draft.qa
        if not inputs.answer_types or qa.answer_type in inputs.answer_types:
            chosen.setdefault((qa.reasoning_steps[-1].evidence[-1].quote, qa.answer), qa)
    return list(chosen.values())
