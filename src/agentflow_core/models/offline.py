"""The offline model: rules that plugins bring, no network and no weights; a baseline that a model must beat.

It knows no domain. For the tools that a request offers it finds the `OfflinePolicy` objects that their plugins name,
asks them, and combines what they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, cast

import attrs
import orjson
from attrs import frozen

from agentflow_core.models.documents import canonical
from agentflow_core.names import wire_name
from agentflow_core.records import (
    QA,
    Action,
    Completion,
    DraftInputs,
    JudgeInputs,
    ModelRequest,
    ProposeInputs,
    SolveInputs,
    ToolCall,
    Usage,
    assistant,
)
from agentflow_core.refs import resolve
from agentflow_core.text import normalize_answer

if TYPE_CHECKING:
    from agentflow_core.blobs import BlobStore
    from agentflow_core.interfaces import Move, OfflinePolicy
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import ToolDefinition

__all__ = ["OfflineConfig", "OfflineModel"]

_UNKNOWN = "unknown"


@frozen(kw_only=True)
class OfflineConfig:
    """The offline model has nothing to set."""


class OfflineModel:
    """Answers from rules: the same request always has the same answer.

    Args:
        config: nothing to set.
        policies: policies, or their import paths, by tool name (``rag:search``) or group (``rag``); they go before
            those that plugins name.
    """

    name = "offline"
    host = ""
    local = True  #: no network: its answers need no cache, no retries and no limiter

    def __init__(
        self, config: OfflineConfig | None = None, *, policies: Mapping[str, str | OfflinePolicy] | None = None
    ) -> None:
        self.config = config or OfflineConfig()
        self._given: dict[str, str | OfflinePolicy] = dict(policies or {})
        self._host: PluginHost | None = None
        self._found: dict[str, OfflinePolicy | None] = {}
        self._made: dict[str, OfflinePolicy] = {}

    def bind(self, host: PluginHost, blobs: BlobStore | None = None) -> None:
        """Take the plugins whose specs name the policies; ``blobs`` is not needed."""
        self._host = host
        self._found.clear()

    def use(self, policies: Mapping[str, str | OfflinePolicy]) -> None:
        """Add policies, or their import paths, by tool name or group."""
        self._given.update(policies)
        self._found.clear()

    async def complete(self, request: ModelRequest) -> Completion:
        """Answer from ``request.inputs``; without inputs, say in plain text that there is nothing to go by.

        Raises:
            RefError: a policy cannot be imported.
        """
        match request.inputs:
            case ProposeInputs() as inputs:
                return _json_answer({"actions": [_action(action) for action in self._propose(inputs)]})
            case DraftInputs() as inputs:
                return _json_answer({"drafts": [_draft(draft) for draft in self._draft(inputs)]})
            case SolveInputs() as inputs:
                return self._solve(inputs)
            case JudgeInputs() as inputs:
                return _json_answer(_judge(inputs))
            case _:
                return _text_answer(_UNKNOWN)

    async def aclose(self) -> None:
        """Nothing is held."""

    def _propose(self, inputs: ProposeInputs) -> list[Action]:
        """Round robin over the policies, so that each gets its turn, until there are k different actions."""
        offered = {tool.name for tool in inputs.tools}
        answers = [policy.propose(inputs) for policy in self._policies(inputs.tools)]
        seen = {_identity(action) for action in inputs.taken}
        chosen: list[Action] = []
        for action in chain.from_iterable(zip_longest(*answers)):
            if action is None or action.tool not in offered or (identity := _identity(action)) in seen:
                continue
            seen.add(identity)
            chosen.append(action)
            if len(chosen) == inputs.k:
                break
        return chosen[: inputs.k]

    def _draft(self, inputs: DraftInputs) -> list[QA]:
        answers = [policy.draft(inputs) for policy in self._policies(inputs.tools or _tools_of(inputs))]
        return list(chain.from_iterable(answers))[: inputs.n]

    def _solve(self, inputs: SolveInputs) -> Completion:
        moves = [policy.solve(inputs) for policy in self._policies(inputs.tools)]
        last = inputs.turn >= inputs.max_turns - 1
        calls: dict[bytes, Action] = {}
        if not last:
            for action in chain.from_iterable(move.actions for move in moves):
                calls.setdefault(_identity(action), action)
        if calls:
            reasoning = " ".join(move.reasoning for move in moves if move.actions and move.reasoning)
            return _calls_answer(tuple(calls.values()), inputs.turn, reasoning)
        best = max((move for move in moves if move.answer is not None), key=lambda move: move.confidence, default=None)
        return _final_answer(best)

    def _policies(self, tools: tuple[ToolDefinition, ...]) -> list[OfflinePolicy]:
        """The policies of the tools, each once, in the order of the tools."""
        found: dict[int, OfflinePolicy] = {}
        for tool in tools:
            if tool.name not in self._found:
                self._found[tool.name] = self._find(tool.name)
            policy = self._found[tool.name]
            if policy is not None:
                found.setdefault(id(policy), policy)
        return list(found.values())

    def _find(self, tool: str) -> OfflinePolicy | None:
        group = tool.partition(":")[0]
        for name in (tool, group):
            if name in self._given:
                return self._make(self._given[name])
        if self._host is None:
            return None
        for kind, name in (("tool", tool), ("backend", group)):
            if name not in self._host.registry.names(kind):
                continue
            entry = self._host.registry.get(kind, name)
            policy = entry.resolve_offline()
            if policy is not None:
                return self._made.setdefault(str(entry), cast("OfflinePolicy", policy()))
        return None

    def _make(self, policy: str | OfflinePolicy) -> OfflinePolicy:
        if not isinstance(policy, str):
            return policy
        if policy not in self._made:
            self._made[policy] = cast("OfflinePolicy", resolve(policy)())
        return self._made[policy]


def _identity(action: Action) -> bytes:
    return canonical([action.tool, action.params])


def _tools_of(inputs: DraftInputs) -> tuple[ToolDefinition, ...]:
    """Where a draft names no tools, those that its path used."""
    from agentflow_core.records import ToolDefinition

    names = dict.fromkeys(node.tool for node in inputs.path if node.tool is not None)
    return tuple(ToolDefinition(name=name, description="", parameters={}) for name in names)


def _action(action: Action) -> dict[str, Any]:
    found: dict[str, Any] = {"tool": action.tool, "params": dict(action.params), "intent": action.intent}
    if action.reasoning:
        found["reasoning"] = action.reasoning
    return found


def _draft(draft: QA) -> dict[str, Any]:
    found: dict[str, Any] = {
        "question": draft.question,
        "answer": draft.answer,
        "aliases": list(draft.aliases),
        "answer_type": draft.answer_type,
        "reasoning_steps": [
            {
                "step": step.step,
                "evidence": [{"node": evidence.node, "quote": evidence.quote} for evidence in step.evidence],
            }
            for step in draft.reasoning_steps
        ],
    }
    if draft.difficulty:
        found["difficulty"] = draft.difficulty
    return found | {name: value for name, value in draft.extra.items() if name not in found}


def _judge(inputs: JudgeInputs) -> dict[str, Any]:
    """Equal after SQuAD's normalization to one of the references."""
    prediction = normalize_answer(inputs.prediction)
    for reference in inputs.references:
        if normalize_answer(reference) == prediction:
            return {"correct": True, "reason": f"equal to the reference {reference!r} after normalization"}
    if not inputs.references:
        return {"correct": False, "reason": "there is no reference to compare with"}
    return {"correct": False, "reason": "equal to no reference after normalization"}


def _calls_answer(actions: tuple[Action, ...], turn: int, reasoning: str) -> Completion:
    calls = tuple(
        ToolCall(
            id=f"call_{turn}_{index}",
            name=wire_name(action.tool),
            arguments=orjson.dumps(dict(action.params), default=_jsonable).decode(),
        )
        for index, action in enumerate(actions)
    )
    return Completion(
        message=assistant(reasoning, tool_calls=calls),
        finish_reason="tool_calls",
        usage=_USAGE,
        model=OfflineModel.name,
    )


def _final_answer(move: Move | None) -> Completion:
    answer = _UNKNOWN if move is None or not move.answer else move.answer
    reasoning = f"{move.reasoning}\n" if move is not None and move.reasoning else ""
    return _text_answer(f"{reasoning}<answer>{answer}</answer>")


def _json_answer(value: dict[str, Any]) -> Completion:
    text = orjson.dumps(value, default=_jsonable).decode()
    return attrs.evolve(_text_answer(text), parsed=orjson.loads(text))


def _text_answer(text: str) -> Completion:
    return Completion(message=assistant(text), usage=_USAGE, model=OfflineModel.name)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


#: A rule reads no tokens and costs nothing.
_USAGE = Usage(calls=1)
