"""Stage 3, first half: ask the synthesizer for question-answer pairs that quote their evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.models import ask
from agentflow_core.prompts import Prompts
from agentflow_core.records import QA, DraftInputs, Evidence, ModelRequest, ReasoningStep, Usage, system, user
from agentflow_core.synthesis.rendering import render_observations

if TYPE_CHECKING:
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.records import Node, Path, Seed, ToolDefinition
    from agentflow_core.synthesis.config import QAConfig

__all__ = ["Drafter", "Drafts"]

_KNOWN = ("question", "answer", "aliases", "answer_type", "reasoning_steps", "difficulty")


@frozen(kw_only=True)
class Drafts:
    """The drafts of one path, and what they used."""

    drafts: tuple[QA, ...]
    usage: Usage


class Drafter:
    """Drafts questions; keeps nothing between calls."""

    def __init__(
        self, *, model: ChatModel, tools: Sequence[ToolDefinition], config: QAConfig, prompts: Prompts | None = None
    ) -> None:
        self.model = model
        self.tools = tuple(tools)
        self.config = config
        self.prompt = (prompts or Prompts())("synthesis.draft")

    async def draft(self, seed: Seed, path: Path, nodes: Sequence[Node]) -> Drafts:
        """Up to ``per_trajectory`` drafts of a path.

        Raises:
            ModelError: the model failed, or twice answered what cannot be read as drafts.
        """
        asked = await ask(self.model, self._request(seed, nodes), _parse)
        drafts = tuple(
            self._record(item, seed, path, number, asked.usage if number == 0 else Usage())
            for number, item in enumerate(asked.value[: self.config.per_trajectory])
        )
        return Drafts(drafts=drafts, usage=asked.usage)

    def _request(self, seed: Seed, nodes: Sequence[Node]) -> ModelRequest:
        config = self.config
        examples = "\n".join(json.dumps(dict(example), ensure_ascii=False) for example in config.examples)
        text = self.prompt.render(
            n=config.per_trajectory,
            seed=seed.content,
            observations=render_observations(nodes, config.context_tokens),
            min_hops=config.min_hops,
            answer_types=f"; of type {' or '.join(config.answer_types)}" if config.answer_types else "",
            tips=f"\n{config.tips}\n" if config.tips else "",
            examples=f"\nExamples:\n{examples}\n" if examples else "",
        )
        return ModelRequest(
            messages=(system("You write precise questions for a benchmark."), user(text)),
            response_schema=DRAFTS_SCHEMA,
            purpose="draft",
            role="synthesizer",
            inputs=DraftInputs(
                seed=seed,
                path=tuple(nodes),
                n=config.per_trajectory,
                tools=self.tools,
                tips=config.tips,
                answer_types=config.answer_types,
            ),
        )

    def _record(self, item: Mapping[str, Any], seed: Seed, path: Path, number: int, usage: Usage) -> QA:
        return QA(
            id=f"{path.id}#{number}",
            seed_id=seed.id,
            path_id=path.id,
            question=_text(item.get("question")),
            answer=_text(item.get("answer")),
            aliases=tuple(_text(alias) for alias in _list(item.get("aliases"))),
            answer_type=_text(item.get("answer_type")),
            reasoning_steps=tuple(_step(step) for step in _list(item.get("reasoning_steps"))),
            difficulty=_text(item.get("difficulty")),
            model=self.model.name,
            extra={key: value for key, value in item.items() if key not in _KNOWN},
            usage=usage,
            session=seed.session,
        )


def _parse(value: Any) -> Sequence[Mapping[str, Any]]:
    """The drafts of an answer. Raises ValueError with what the model should correct."""
    items = value.get("drafts") if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and items is None and "question" in value:
        items = [value]
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise ValueError('expected {"drafts": [{...}]}')
    return items


def _step(value: Any) -> ReasoningStep:
    if not isinstance(value, Mapping):
        return ReasoningStep(step=_text(value))
    evidence = tuple(
        Evidence(node=_text(item.get("node")), quote=_text(item.get("quote")))
        for item in _list(value.get("evidence"))
        if isinstance(item, Mapping)
    )
    return ReasoningStep(step=_text(value.get("step")), evidence=evidence)


def _list(value: Any) -> list[Any]:
    """The list; one thing in place of a list of one is what models often write."""
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str | Mapping) and value else []


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_EVIDENCE = {
    "type": "object",
    "properties": {"node": {"type": "string"}, "quote": {"type": "string"}},
    "required": ["node", "quote"],
}
_STEP = {
    "type": "object",
    "properties": {"step": {"type": "string"}, "evidence": {"type": "array", "items": _EVIDENCE}},
    "required": ["step", "evidence"],
}
_DRAFT = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "answer": {"type": "string"},
        "aliases": {"type": "array", "items": {"type": "string"}},
        "answer_type": {"type": "string"},
        "reasoning_steps": {"type": "array", "items": _STEP},
    },
    "required": ["question", "answer", "answer_type", "reasoning_steps"],
}
#: JSON Schema of an answer that holds drafts.
DRAFTS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"drafts": {"type": "array", "items": _DRAFT}},
    "required": ["drafts"],
}
