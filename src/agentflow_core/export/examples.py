"""The examples of a run: each accepted pair with its path, or each sample of a task with its conversation."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from agentflow_core.agent.answers import ANSWER_RULES, SUBMIT
from agentflow_core.errors import DataError, UsageError
from agentflow_core.names import wire_name
from agentflow_core.prompts import load_prompt
from agentflow_core.records import (
    QA,
    ImagePart,
    Message,
    Node,
    Part,
    TaskResult,
    TextPart,
    ToolCall,
    ToolDefinition,
    Trajectory,
    assistant,
    cut,
    system,
    user,
)
from agentflow_core.runs.images import picture_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from agentflow_core.blobs import BlobStore
    from agentflow_core.records import Path
    from agentflow_core.runs import RunReader

__all__ = ["Example", "call_of", "examples_of", "is_whole", "record_lines", "seen_of"]

T = TypeVar("T")


@frozen(kw_only=True)
class Example:
    """One accepted pair of a synthesis (``qa``), or one sample of a rollout (``result``)."""

    id: str
    model: str  #: that made it; empty where the run does not say
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...]  #: that were offered
    qa: QA | None = None
    path: tuple[Node, ...] = ()  #: of a pair: from the root, which has no tool, to the leaf
    tree: tuple[Node, ...] = ()  #: of a pair: every node of its seed
    result: TaskResult | None = None
    trajectory: Trajectory | None = None  #: of a sample that has one

    @property
    def outcome(self) -> str:
        """How the sample ended; a pair is answered."""
        return "answered" if self.result is None else self.result.outcome

    @property
    def question(self) -> str:
        """What was asked."""
        return self.qa.question if self.qa is not None else self.result.question if self.result is not None else ""

    @property
    def references(self) -> tuple[str, ...]:
        """The right answers, the first one first."""
        if self.qa is not None:
            return (self.qa.answer, *self.qa.aliases)
        return self.result.references if self.result is not None else ()


def record_lines(run: RunReader) -> Iterator[Mapping[str, Any]]:
    """The records that `examples_of` makes examples of, as they stand in their file: pairs, or results.

    Raises:
        UsageError: a run of a kind that has none.
    """
    if run.kind == "synthesis":
        return run.lines("qa.jsonl")
    if run.kind == "rollout":
        return run.lines("results.jsonl")
    raise UsageError(f"{run.dir} holds a run of kind {run.kind!r}, of which there is nothing to export")


def examples_of(run: RunReader, is_chosen: Callable[[int], bool]) -> Iterator[Example]:
    """The chosen examples of a run, in the order of its files; ``is_chosen`` is asked by the number of their record.

    At any time, one tree or one conversation is in memory.

    Raises:
        UsageError: a run of a kind that has none.
        DataError: a pair whose path is not in the tree; results and trajectories that do not belong together.
    """
    if run.kind == "synthesis":
        return _of_pairs(run, is_chosen)
    if run.kind == "rollout":
        return _of_samples(run, is_chosen)
    raise UsageError(f"{run.dir} holds a run of kind {run.kind!r}, of which there is nothing to export")


def is_whole(messages: Sequence[Message]) -> bool:
    """Whether a conversation comes to an answer: a last message without calls, or a call of ``submit``."""
    said = next((message for message in reversed(messages) if message.role == "assistant"), None)
    if said is None:
        return False
    if messages[-1] is said and not said.tool_calls:
        return True
    return any(call.name == SUBMIT.name for call in said.tool_calls)


# ---- rollouts


def _of_samples(run: RunReader, is_chosen: Callable[[int], bool]) -> Iterator[Example]:
    """Both files are in the order of the plan; a sample that crashed has a result and may have no trajectory."""
    offered = {tool.name: tool for tool in run.tools()}
    trajectories = run.trajectories()
    waiting = next(trajectories, None)
    for number, result in enumerate(run.results()):
        trajectory = None
        if waiting is not None and waiting.id == result.trajectory_id:
            trajectory, waiting = waiting, next(trajectories, None)
        if is_chosen(number):
            named = trajectory.tools if trajectory is not None else ()
            yield Example(
                id=result.trajectory_id or f"{result.task_id}#{result.sample}",
                model=trajectory.model if trajectory is not None else "",
                messages=trajectory.messages if trajectory is not None else (),
                tools=tuple(offered[name] for name in named if name in offered),
                result=result,
                trajectory=trajectory,
            )
    if waiting is not None:
        raise DataError(f"{run.dir}: trajectory {waiting.id!r} has no result, or the files are in another order")


# ---- syntheses


def _of_pairs(run: RunReader, is_chosen: Callable[[int], bool]) -> Iterator[Example]:
    """Pairs, paths and nodes are in the order of their seeds, so one seed's are looked at at a time."""
    prompt = load_prompt("agentflow_core.agent", "system").render(answer_rule=ANSWER_RULES["last_message"])
    tools = tuple(run.tools())
    nodes = _BySeed(run.tree, lambda node: node.seed_id)
    paths = _BySeed(run.paths, lambda path: path.seed_id)
    for number, qa in enumerate(run.qa()):
        if not is_chosen(number):
            continue
        tree = nodes.of(qa.seed_id)
        by_id = {node.id: node for node in tree}
        path: Path | None = next((path for path in paths.of(qa.seed_id) if path.id == qa.path_id), None)
        missing = [node for node in path.nodes if node not in by_id] if path is not None else [qa.path_id]
        if path is None or missing:
            raise DataError(f"{run.dir}: the path of {qa.id!r} is not in the tree: no {missing[0]!r}")
        steps = tuple(by_id[node] for node in path.nodes)
        yield Example(
            id=qa.id,
            model=qa.model,
            messages=tuple(_messages(prompt, qa, steps, run.blobs)),
            tools=tools,
            qa=qa,
            path=steps,
            tree=tree,
        )


class _BySeed:
    """Records that stand together by seed: those of one seed at a time, read forward, and from the start once more."""

    def __init__(self, read: Callable[[], Iterable[T]], seed_of: Callable[[T], str]) -> None:
        self._read = read
        self._seed_of: Callable[[Any], str] = seed_of
        self._groups: Iterator[tuple[str, Iterator[Any]]] = iter(())
        self._seed: str | None = None
        self._records: tuple[Any, ...] = ()

    def of(self, seed: str) -> tuple[Any, ...]:
        """The records of a seed; empty where there are none."""
        if seed != self._seed and not self._forward_to(seed):
            self._groups = groupby(self._read(), key=self._seed_of)
            if not self._forward_to(seed):
                return ()
        return self._records

    def _forward_to(self, seed: str) -> bool:
        for found, records in self._groups:
            if found == seed:
                self._seed, self._records = seed, tuple(records)
                return True
        return False


def _messages(prompt: str, qa: QA, steps: Sequence[Node], blobs: BlobStore) -> Iterator[Message]:
    """The question, the path as tool calls and their results, the answer."""
    yield system(prompt)
    yield user(qa.question)
    for number, node in enumerate(node for node in steps if node.tool is not None):
        call = call_of(node, f"call_{number}")
        yield assistant(node.intent, tool_calls=(call,), reasoning=node.reasoning or None)
        yield Message(role="tool", tool_call_id=call.id, content=seen_of(node, blobs))
    yield assistant(qa.answer)


def call_of(node: Node, id: str) -> ToolCall:
    """The tool call of a node of a tree."""
    return ToolCall(id=id, name=wire_name(node.tool or ""), arguments=json.dumps(dict(node.params), ensure_ascii=False))


def seen_of(node: Node, blobs: BlobStore) -> tuple[Part, ...]:
    """What a model is shown of the node's observation."""
    if node.result is None:
        return (TextPart(""),)
    found = ((sha256, picture_type(blobs.get(sha256))) for sha256 in node.result.blobs)
    pictures = [ImagePart(sha256, mime) for sha256, mime in found if mime is not None]
    return (TextPart(node.result.shown or cut(node.result.text)), *pictures)
