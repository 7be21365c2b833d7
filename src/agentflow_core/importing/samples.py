"""What importers make of foreign files: samples of a rollout, or pairs of a synthesis; and how a conversation is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.agent.answers import tagged_answer
from agentflow_core.records import (
    QA,
    Message,
    Node,
    Path,
    StepRecord,
    TaskResult,
    TextPart,
    ToolDefinition,
    ToolResult,
    Trajectory,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.importing.notes import Notes

__all__ = ["Pair", "Sample", "final_answer", "finished", "function_tool", "mended"]

#: How a conversation ended that does not say why it has no answer.
UNKNOWN_END = "limit:unknown"
_UNANSWERED = ToolResult.failure("cancelled", "this call was not run").text


@frozen(kw_only=True)
class Sample:
    """One conversation with what is known of its task; its ids are given when all are known."""

    result: TaskResult
    trajectory: Trajectory | None = None
    tools: tuple[ToolDefinition, ...] = ()


@frozen(kw_only=True)
class Pair:
    """A question with its answer, and the path of the tree that it rests on."""

    qa: QA
    path: Path
    nodes: tuple[Node, ...]  #: of the path that no earlier pair had


def finished(
    messages: Sequence[Message],
    *,
    task_id: str,
    question: str | None = None,
    answer: str | None = None,
    outcome: str | None = None,
    references: Iterable[str] = (),
    model: str = "",
    tools: tuple[ToolDefinition, ...] = (),
    steps: tuple[StepRecord, ...] = (),
    metadata: dict[str, Any] | None = None,
) -> Sample:
    """The sample of a conversation; question, answer and outcome are read from it where they are not given."""
    said = final_answer(messages)
    answer = said if answer is None else answer
    outcome = outcome or ("answered" if answer is not None else UNKNOWN_END)
    asked = next((message.text for message in messages if message.role == "user"), "")
    names = dict.fromkeys([tool.name for tool in tools])
    return Sample(
        result=TaskResult(
            task_id=task_id,
            question=asked if question is None else question,
            answer=answer,
            references=tuple(references),
            outcome=outcome,
            usage=sum((step.usage for step in steps), Usage()),
            metadata=metadata or {},
        ),
        trajectory=Trajectory(
            id="",
            task_id=task_id,
            model=model,
            tools=tuple(names),
            messages=tuple(messages),
            steps=steps,
            outcome=outcome,
            answer=answer,
        ),
        tools=tools,
    )


def final_answer(messages: Sequence[Message]) -> str | None:
    """What the last message answers, if it is an assistant's that calls no tool."""
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls and messages[-1].text.strip():
        return tagged_answer(messages[-1].text)
    return None


def mended(messages: Iterable[Message], notes: Notes) -> tuple[Message, ...]:
    """The messages with every tool call answered by one tool message right after it.

    A call that has no answer gets one that says so; calls with one id in one message, and tool messages that answer
    nothing, are told apart or left out; each is noted.
    """
    found: list[Message] = []
    open_calls: list[str] = []

    def close() -> None:
        for id in open_calls:
            notes.remark("a tool call without an answer; answered as not run")
            found.append(Message(role="tool", tool_call_id=id, content=(TextPart(_UNANSWERED),)))
        open_calls.clear()

    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                notes.remark("a tool message that answers no call; left out")
                continue
            open_calls.remove(message.tool_call_id)
            found.append(message)
            continue
        close()
        if message.tool_calls:
            message = _with_own_ids(message, notes)
            open_calls.extend(call.id for call in message.tool_calls)
        found.append(message)
    close()
    return tuple(found)


def _with_own_ids(message: Message, notes: Notes) -> Message:
    ids = [call.id for call in message.tool_calls]
    if len(set(ids)) == len(ids):
        return message
    notes.remark("tool calls of one message with one id; only the first is answered by it")
    seen: set[str] = set()
    calls = []
    for number, call in enumerate(message.tool_calls):
        calls.append(evolve(call, id=f"{call.id}-{number}") if call.id in seen else call)
        seen.add(call.id)
    return evolve(message, tool_calls=tuple(calls))


def function_tool(value: Any) -> ToolDefinition | None:
    """The tool of a function definition; None for anything else."""
    function = value.get("function", value) if isinstance(value, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    parameters = function.get("parameters")
    return ToolDefinition(
        name=function["name"],
        description=str(function.get("description") or ""),
        parameters=parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}},
    )
