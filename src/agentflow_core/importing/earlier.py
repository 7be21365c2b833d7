"""What the earlier AgentFlow wrote: results with their trajectories, trajectories alone, or synthesized pairs.

Its rollouts wrote ``{task_id, question, predicted_answer, ground_truth, success, error, score, trajectory, metadata}`` a
line, or such a trajectory ``{task_id, question, messages, final_answer, success, error}`` alone; its syntheses wrote
``{question, answer, trajectory_id, reasoning_steps, source_id, qa_id, metadata}`` and, in a file of its own,
``{trajectory_id, source_id, seed_data, nodes}``. Any of it may be missing but a question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.errors import DataError
from agentflow_core.importing.chat import read_messages
from agentflow_core.importing.samples import Pair, Sample, finished, mended
from agentflow_core.importing.trees import Trees
from agentflow_core.records import (
    QA,
    Evidence,
    Message,
    Node,
    Observation,
    ReasoningStep,
    Score,
    TextPart,
    assistant,
    user,
)
from agentflow_core.rows import Row, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agentflow_core.blobs import BlobStore
    from agentflow_core.importing.notes import Notes

__all__ = ["files_of", "is_of_synthesis", "read_earlier"]

_RESULT = frozenset(
    {"task_id", "id", "question", "predicted_answer", "ground_truth", "score", "success", "error", "trajectory"}
    | {"metadata", "metric", "model_name"}
)
_TRAJECTORY = frozenset({"task_id", "question", "messages", "final_answer", "success", "error", "model_name"})
_PAIR = frozenset({"question", "answer", "trajectory_id", "reasoning_steps", "source_id", "qa_id", "metadata"})
_TREE = frozenset({"trajectory_id", "source_id", "seed_data", "nodes"})
_NODE = frozenset({"node_id", "observation", "intent", "action", "parent_id", "children_ids", "depth"})
#: How its messages put a failed call: they have no text.
_FAILED = ("null", "None")


def files_of(path: Path) -> list[Path]:
    """The file, or the ``.jsonl`` files of an output folder, by name; its summaries hold nothing that is not in them."""
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.jsonl"))
    if not found:
        raise DataError(f"{path}: holds no .jsonl file")
    return found


def is_of_synthesis(path: Path) -> bool:
    """Whether the first row is of a synthesis. Raises `DataError` where it is of neither."""
    for file in files_of(path):
        for row in read_rows(file):
            return _kind(row) in ("pair", "tree")
    raise DataError(f"{path}: it is empty")


def read_earlier(path: Path, blobs: BlobStore, notes: Notes) -> Iterator[Sample] | Iterator[Pair]:
    """Samples, or pairs with their paths.

    Raises:
        DataError: a row is not what the earlier AgentFlow wrote, or the rows are of both kinds.
    """
    return _pairs(path, notes) if is_of_synthesis(path) else _samples(path, blobs, notes)


def _kind(row: Row) -> str:
    value = row.value if isinstance(row.value, dict) else {}
    if "nodes" in value:
        return "tree"
    if "messages" in value:
        return "trajectory"
    if "predicted_answer" in value or isinstance(value.get("trajectory"), dict):
        return "result"
    if "question" in value and "answer" in value:
        return "pair"
    raise row.error(
        "neither a result, a trajectory nor a pair of the earlier AgentFlow",
        hint="a result has predicted_answer, a trajectory messages or nodes, a pair question and answer",
    )


# ---- rollouts


def _samples(path: Path, blobs: BlobStore, notes: Notes) -> Iterator[Sample]:
    for file in files_of(path):
        for row in read_rows(file):
            kind = _kind(row)
            if kind not in ("result", "trajectory"):
                raise row.error("a row of a synthesis among those of a rollout", hint="import the files one by one")
            yield _sample(row, row.value, blobs, notes, is_result=kind == "result")


def _sample(row: Row, value: dict[str, Any], blobs: BlobStore, notes: Notes, *, is_result: bool) -> Sample:
    inner = value.get("trajectory") or {} if is_result else value
    if not isinstance(inner, dict):
        raise row.error("'trajectory' is no object")
    if is_result:
        notes.rest(value, _RESULT)
    notes.rest(inner, _TRAJECTORY, "trajectory." if is_result else "")
    question = str(value.get("question") or inner.get("question") or "")
    answer = value.get("predicted_answer") if is_result else inner.get("final_answer")
    error = value.get("error") or inner.get("error")
    messages: Sequence[Message] = (user(question),)
    if inner.get("messages"):
        read = read_messages(inner["messages"], row.where, blobs, notes)
        messages = mended([_with_failure(message, notes) for message in read], notes)
    elif answer:
        notes.remark("a result without its messages; the conversation is the question and the answer")
        messages = (user(question), assistant(str(answer)))
    truth = value.get("ground_truth")
    scores = {}
    if isinstance(value.get("score"), int | float):
        scores[str(value.get("metric") or "score")] = Score(value=float(value["score"]), reason="imported")
    made = finished(
        messages,
        task_id=str(value.get("task_id") or value.get("id") or f"row-{row.number}"),
        question=question or None,
        answer=str(answer) if answer else None,
        outcome=_outcome(answer, error, value.get("success", inner.get("success", True))),
        references=[str(each) for each in (truth if isinstance(truth, list) else [truth]) if each is not None],
        model=str(value.get("model_name") or inner.get("model_name") or ""),
        metadata={**row.mapping("metadata"), **({"error": str(error)} if error else {})},
    )
    return evolve(made, result=evolve(made.result, scores=scores))


def _outcome(answer: Any, error: Any, success: Any) -> str:
    if error:
        return "error:imported"
    return "answered" if answer and success else "limit:unknown"


def _with_failure(message: Message, notes: Notes) -> Message:
    """A tool message that says nothing is that of a call that failed."""
    if message.role == "tool" and message.text.strip() in ("", *_FAILED) and len(message.content) < 2:
        notes.remark("a tool message without a text, which a failed call left; kept as it is")
        return message if message.content else evolve(message, content=(TextPart(""),))
    return message


# ---- syntheses


def _pairs(path: Path, notes: Notes) -> Iterator[Pair]:
    """The pairs by the order of their seeds, each with the nodes that it adds to the tree."""
    pairs: list[tuple[Row, dict[str, Any]]] = []
    trees = Trees()
    for file in files_of(path):
        for row in read_rows(file):
            kind = _kind(row)
            if kind == "tree":
                notes.rest(row.value, _TREE)
                trees.add(str(row.value.get("source_id") or ""), str(row.value.get("trajectory_id")), row.value)
                for node in row.value.get("nodes") or ():
                    notes.rest(node, _NODE, "nodes[].")
            elif kind == "pair":
                notes.rest(row.value, _PAIR)
                pairs.append((row, row.value))
            else:
                raise row.error("a row of a rollout among those of a synthesis", hint="import the files one by one")
    order: dict[str, int] = {}
    for _, value in pairs:
        order.setdefault(_seed_of(value), len(order))
    ids: set[str] = set()
    for row, value in sorted(pairs, key=lambda pair: order[_seed_of(pair[1])]):
        yield _pair(row, value, trees, ids, notes)


def _seed_of(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    about = metadata if isinstance(metadata, Mapping) else {}
    return str(value.get("source_id") or about.get("seed_data") or "seed")


def _pair(row: Row, value: dict[str, Any], trees: Trees, ids: set[str], notes: Notes) -> Pair:
    seed = _seed_of(value)
    metadata = row.mapping("metadata")
    found = trees.path(
        seed, str(value.get("source_id") or ""), str(value.get("trajectory_id")), str(metadata.get("seed_data") or "")
    )
    if len(found.path.nodes) < 2:
        notes.remark("a pair without its trajectory; its conversation is the question and the answer")
    id = str(value.get("qa_id") or f"{found.path.seed_id}/qa-{row.number}")
    while id in ids:
        id = f"{id}-{row.number}"
    ids.add(id)
    qa = QA(
        id=id,
        seed_id=found.path.seed_id,
        path_id=found.path.id,
        question=str(value["question"]),
        answer=str(value["answer"]),
        reasoning_steps=tuple(_step(step, found.nodes) for step in value.get("reasoning_steps") or ()),
        extra=dict(metadata),
    )
    return Pair(qa=qa, path=found.path, nodes=found.added)


def _step(step: Any, nodes: Sequence[Node]) -> ReasoningStep:
    """The step with its evidence, where that stands word for word in an observation; all else of it is kept along."""
    if not isinstance(step, Mapping):
        return ReasoningStep(step=str(step))
    said = next((str(step[name]) for name in ("fact", "description", "intent") if step.get(name)), "")
    quote = next((str(step[name]) for name in ("evidence", "observation") if step.get(name)), "")
    rest = {str(key): item for key, item in step.items() if item != said and key not in ("step", "evidence")}
    for node in nodes:
        observed = node.result or Observation()
        if quote and (start := observed.text.find(quote)) >= 0:
            evidence = Evidence(node=node.id, quote=quote, start=start, end=start + len(quote))
            return ReasoningStep(step=said, evidence=(evidence,), unknown=rest)
    return ReasoningStep(step=said, unknown={**rest, **({"unverified": quote} if quote else {})})
