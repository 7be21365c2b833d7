"""Tasks, trajectories, scores and results: the records of a rollout run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from agentflow_core.records.base import Record
from agentflow_core.records.messages import Message
from agentflow_core.records.usage import Usage

__all__ = ["Score", "StepRecord", "Task", "TaskResult", "Trajectory"]


@frozen(kw_only=True)
class Task(Record):
    """One question of a benchmark. ``references`` is empty where the benchmark gives no answer."""

    id: str
    question: str
    references: tuple[str, ...] = ()
    kwargs: Mapping[str, Any] = field(factory=dict)
    #: what the task's sessions begin with, by backend
    session: Mapping[str, Mapping[str, Any]] = field(factory=dict, metadata={"sparse": True})
    #: what probes of a backend are expected to see when the agent has ended: ``{backend: {probe: expected}}``
    end_state: Mapping[str, Mapping[str, Any]] = field(factory=dict, metadata={"sparse": True})
    metadata: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Score(Record):
    """What a metric says of one prediction."""

    value: float  #: higher is better; 0 to 1 unless the metric says otherwise
    graded: bool = True  #: False: the metric could not judge (a judge that failed); counted apart, never as 0
    reason: str = ""  #: one sentence that a person can check
    #: what a metric that describes counted, by name; written only where there is any
    figures: Mapping[str, float] = field(factory=dict, metadata={"sparse": True})


@frozen(kw_only=True)
class StepRecord(Record):
    """One turn of the agent: what it used and how its tool calls ended, in call order."""

    usage: Usage = Usage()
    tools: tuple[Mapping[str, Any], ...] = ()  #: ``{call_id, tool, code, blobs}`` each


@frozen(kw_only=True)
class Trajectory(Record):
    """A whole conversation, every tool call answered."""

    id: str
    task_id: str
    sample: int = 0
    model: str = ""
    tools: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    #: what the probes saw that the task names, ``{backend: {probe: seen}}``; ``{backend: {"error": why}}``: nothing
    end_state: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    outcome: str = "answered"
    answer: str | None = None


@frozen(kw_only=True)
class TaskResult(Record):
    """How one sample of one task ended: ``answered``, ``limit:<kind>`` or ``error:<kind>``."""

    task_id: str
    sample: int = 0
    question: str = ""
    answer: str | None = None
    references: tuple[str, ...] = ()
    outcome: str = "answered"
    scores: Mapping[str, Score] = field(factory=dict)
    trajectory_id: str = ""
    usage: Usage = Usage()
    metadata: Mapping[str, Any] = field(factory=dict)
