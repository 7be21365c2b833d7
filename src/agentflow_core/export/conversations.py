"""The conversations of a run: one for each accepted pair of a synthesis, one for each answered task of a rollout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.agent.answers import ANSWER_RULES
from agentflow_core.errors import DataError, UsageError
from agentflow_core.names import wire_name
from agentflow_core.prompts import load_prompt
from agentflow_core.records import Message, TextPart, ToolCall, assistant, cut, system, user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentflow_core.records import QA, Node, ToolDefinition
    from agentflow_core.runs import RunReader

__all__ = ["Conversation", "conversations", "offered_tools"]


@frozen(kw_only=True)
class Conversation:
    """One example: its id, its messages, and the model that made it."""

    id: str
    messages: tuple[Message, ...]
    model: str


def conversations(run: RunReader) -> Iterator[Conversation]:
    """The conversations of a run, in the order of its files.

    Raises:
        UsageError: a run of a kind that has none.
        DataError: a pair whose path is not in the tree.
    """
    if run.kind == "synthesis":
        yield from _of_pairs(run)
    elif run.kind == "rollout":
        for trajectory in run.trajectories():
            if trajectory.outcome == "answered":
                yield Conversation(id=trajectory.id, messages=trajectory.messages, model=trajectory.model)
    else:
        raise UsageError(f"{run.dir} holds a run of kind {run.kind!r}, which has no conversations")


def offered_tools(run: RunReader) -> Sequence[Mapping[str, Any]]:
    """The tools of the run as function definitions."""
    return [_function(tool) for tool in run.tools()]


def _function(tool: ToolDefinition) -> Mapping[str, Any]:
    described = {"name": tool.wire_name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": described}


def _of_pairs(run: RunReader) -> Iterator[Conversation]:
    """The question, the kept path as tool calls and their results, the answer."""
    prompt = load_prompt("agentflow_core.agent", "system").render(answer_rule=ANSWER_RULES["last_message"])
    nodes = {node.id: node for node in run.tree()}
    paths = {path.id: path.nodes for path in run.paths()}
    for qa in run.qa():
        try:
            steps = [nodes[node] for node in paths[qa.path_id]]
        except KeyError as error:
            raise DataError(f"{run.dir}: the path of {qa.id!r} is not in the tree: no {error}") from error
        yield Conversation(id=qa.id, messages=tuple(_messages(prompt, qa, steps)), model=qa.model)


def _messages(prompt: str, qa: QA, steps: Sequence[Node]) -> Iterator[Message]:
    yield system(prompt)
    yield user(qa.question)
    for number, node in enumerate(node for node in steps if node.tool is not None):
        assert node.tool is not None
        call = ToolCall(
            id=f"call_{number}", name=wire_name(node.tool), arguments=json.dumps(dict(node.params), ensure_ascii=False)
        )
        yield assistant(node.intent, tool_calls=(call,), reasoning=node.reasoning or None)
        seen = "" if node.result is None else node.result.shown or cut(node.result.text)
        yield Message(role="tool", tool_call_id=call.id, content=(TextPart(seen),))
    yield assistant(qa.answer)
