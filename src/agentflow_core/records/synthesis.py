"""Seeds, trees, paths and QA: the records of a synthesis run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from agentflow_core.records.base import Record
from agentflow_core.records.usage import Usage

__all__ = ["QA", "Action", "Evidence", "Node", "Observation", "Path", "ReasoningStep", "Replay", "Seed", "Verdict"]


@frozen(kw_only=True)
class Seed(Record):
    """Where an exploration starts."""

    id: str
    content: str
    kwargs: Mapping[str, Any] = field(factory=dict)
    session: Mapping[str, Any] | None = None  #: what a session backend initializes the seed's sessions with


@frozen(kw_only=True)
class Action:
    """A tool call that an explorer proposes."""

    tool: str  #: native name, such as ``rag:search``
    params: Mapping[str, Any] = field(factory=dict)
    intent: str = ""  #: why, in one sentence
    reasoning: str = ""


@frozen(kw_only=True)
class Observation(Record):
    """What a tool returned, as it is stored. ``text`` is whole; quotes and offsets are of ``text``."""

    ok: bool = True
    code: str = "ok"
    data: Any = None
    text: str = ""
    shown: str | None = None  #: what the model saw, where that was cut
    blobs: tuple[str, ...] = ()  #: hashes of images and other large parts


@frozen(kw_only=True)
class Replay(Record):
    """How a replay of the path to this node compared."""

    equal: bool
    step: int | None = None  #: the first step that differed
    similarity: float | None = None


@frozen(kw_only=True)
class Node(Record):
    """One step of a trajectory tree. The root has no tool and its ``intent`` is the seed's content.

    ``id`` is a path of child numbers: ``seed-007/0.1.3``; the root is ``seed-007/0``.
    """

    id: str
    seed_id: str
    parent: str | None = None
    depth: int = 0
    intent: str = ""
    reasoning: str = ""
    tool: str | None = None
    params: Mapping[str, Any] = field(factory=dict)
    result: Observation | None = None
    novelty: float = 0.0  #: share of the observation's 5-word shingles that are new to the tree, 0 to 1
    stale: bool = False
    error: str | None = None  #: the code of a failed call
    replay: Replay | None = None
    kept_by: tuple[str, ...] = ()  #: ids of the selected paths through this node
    usage: Usage = Usage()


@frozen(kw_only=True)
class Path(Record):
    """A root-to-leaf path; ``nodes`` are node ids from the root to the leaf."""

    id: str
    seed_id: str
    nodes: tuple[str, ...]
    scores: Mapping[str, float] = field(factory=dict)
    total: float = 0.0
    selected: bool = False
    reason: str = ""


@frozen(kw_only=True)
class Evidence(Record):
    """A quote from a stored observation; ``start`` and ``end`` are character offsets into its ``result.text``."""

    node: str
    quote: str
    start: int | None = None
    end: int | None = None
    source: Mapping[str, Any] = field(factory=dict)  #: what the domain locates by: doc_id; url; page and box; file


@frozen(kw_only=True)
class ReasoningStep(Record):
    """One hop: a statement and the evidence it rests on."""

    step: str
    evidence: tuple[Evidence, ...] = ()


@frozen(kw_only=True)
class Verdict(Record):
    """What one gate said.

    ``passed`` is None where the gate could not be asked: the reason then begins with ``error:<kind>:`` (tried again
    when the run is resumed) or ``limit:<kind>:``, and the draft is not accepted.
    """

    name: str
    passed: bool | None
    reason: str = ""


@frozen(kw_only=True)
class QA(Record):
    """A question with its answer, drafted or accepted."""

    id: str
    seed_id: str
    path_id: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    answer_type: str = ""  #: entity, person, place, date, number, yes_no, text, list
    reasoning_steps: tuple[ReasoningStep, ...] = ()
    gates: tuple[Verdict, ...] = ()
    difficulty: str = ""
    model: str = ""
    extra: Mapping[str, Any] = field(factory=dict)  #: what a domain adds: sql, code
    parent_qa_id: str | None = None
    usage: Usage = Usage()
    #: what the sessions began with that the question is about; who answers it begins so too
    session: Mapping[str, Any] | None = field(default=None, metadata={"sparse": True})
