"""A request to a model and its answer, and the records that a request was made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from agentflow_core.records.base import Record
from agentflow_core.records.messages import Message, ToolCall, ToolDefinition
from agentflow_core.records.synthesis import Action, Node, Observation, Seed
from agentflow_core.records.usage import Usage

__all__ = [
    "Completion",
    "DraftInputs",
    "JudgeInputs",
    "ModelRequest",
    "ModelRole",
    "ProposeInputs",
    "Purpose",
    "Sampling",
    "SolveInputs",
    "SolveStep",
]

Purpose = Literal["propose", "draft", "solve", "judge", "embed"]
ModelRole = Literal["explorer", "synthesizer", "solver", "judge", "embedder"]


@frozen(kw_only=True)
class Sampling:
    """How a model samples; None leaves the server's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict)  #: sent as further body fields


@frozen(kw_only=True)
class ProposeInputs:
    """What a proposal of ``k`` different actions is made from."""

    seed: Seed
    path: tuple[Node, ...]  #: from the root to the node that grows; the root has no tool
    k: int
    tools: tuple[ToolDefinition, ...]
    taken: tuple[Action, ...] = ()  #: actions of this seed's tree that are reserved already
    tips: str = ""


@frozen(kw_only=True)
class DraftInputs:
    """What a question is drafted from."""

    seed: Seed
    path: tuple[Node, ...]
    n: int = 1
    tools: tuple[ToolDefinition, ...] = ()
    tips: str = ""
    answer_types: tuple[str, ...] = ()


@frozen(kw_only=True)
class SolveStep:
    """One tool call that the agent made for a task, and what came back."""

    tool: str
    params: Mapping[str, Any]
    result: Observation


@frozen(kw_only=True)
class SolveInputs:
    """The state of an agent that solves a task."""

    question: str
    steps: tuple[SolveStep, ...]
    tools: tuple[ToolDefinition, ...]
    turn: int  #: counted from 0
    max_turns: int
    kwargs: Mapping[str, Any] = field(factory=dict)  #: what the task brings beside its question


@frozen(kw_only=True)
class JudgeInputs:
    """What a judge compares."""

    question: str
    references: tuple[str, ...]
    prediction: str


@frozen(kw_only=True)
class ModelRequest:
    """One request. ``sample`` tells repeats of one prompt apart and is part of cache and replay keys.

    ``inputs`` is the record that the prompt was rendered from: only the offline model reads it; it is never sent.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: str = "auto"  #: ``auto``, ``none``, ``required`` or a wire name
    response_schema: Mapping[str, Any] | None = None  #: JSON Schema that the answer must fit
    sampling: Sampling = Sampling()
    sample: int = 0
    purpose: Purpose = "solve"
    role: ModelRole = "solver"
    inputs: ProposeInputs | DraftInputs | SolveInputs | JudgeInputs | None = field(default=None, repr=False, eq=False)


@frozen(kw_only=True)
class Completion(Record):
    """What a model answered."""

    message: Message
    finish_reason: str = "stop"  #: ``stop``, ``tool_calls``, ``length`` or ``content_filter``
    usage: Usage = Usage()
    model: str = ""  #: what the server says it is
    parsed: Any = None  #: the JSON value, where a ``response_schema`` was asked for
    details: Mapping[str, Any] = field(factory=dict)  #: logprobs, token ids, where the server returned them

    @property
    def text(self) -> str:
        """The text of the message."""
        return self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Every tool call of the message, in order."""
        return self.message.tool_calls
