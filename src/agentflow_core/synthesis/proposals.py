"""Ask the explorer for k different next actions of a node, in one model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from agentflow_core.errors import BadOutputError, ContentFilterError, ContextOverflowError, ModelError
from agentflow_core.models import ask
from agentflow_core.names import did_you_mean
from agentflow_core.prompts import Prompts
from agentflow_core.records import Action, ModelRequest, ProposeInputs, Usage, system, user
from agentflow_core.synthesis.rendering import render_actions, render_history, render_tools

if TYPE_CHECKING:
    from agentflow_core.interfaces import ChatModel
    from agentflow_core.prompts import Prompt
    from agentflow_core.records import Node, Seed, ToolDefinition
    from agentflow_core.synthesis.config import SamplingConfig

__all__ = ["Explorer", "Proposals"]

_HISTORY_TOKENS = 12_000
_TAKEN_SHOWN = 40


@frozen(kw_only=True)
class Proposals:
    """What the explorer proposed for one node; ``failure`` is a model failure that costs this node only."""

    actions: tuple[Action, ...] = ()
    usage: Usage = Usage()
    failure: ModelError | None = None


class Explorer:
    """Proposes actions; keeps nothing between calls."""

    def __init__(
        self,
        *,
        model: ChatModel,
        tools: Sequence[ToolDefinition],
        config: SamplingConfig,
        prompts: Prompts | None = None,
    ) -> None:
        self.model = model
        self.tools = tuple(tools)
        self.config = config
        self.prompt: Prompt = (prompts or Prompts())("synthesis.propose")
        self._by_name = {tool.name: tool for tool in tools} | {tool.wire_name: tool for tool in tools}
        self._schema = _proposals_schema([tool.name for tool in tools])

    async def propose(
        self, seed: Seed, path: Sequence[Node], k: int, taken: Sequence[Action], clash: Sequence[Action] = ()
    ) -> Proposals:
        """The actions that were proposed when ``k`` were asked for; more than ``k`` stand in for those that are taken.

        ``taken`` are reserved already; ``clash`` are those that were just proposed in vain.

        Raises:
            ModelError: a failure that is not this node's own (rate limit, connection, authentication).
        """
        request = self._request(seed, path, k, taken, clash)
        try:
            asked = await ask(self.model, request, self._parse)
        except (BadOutputError, ContentFilterError, ContextOverflowError) as error:
            return Proposals(failure=error)
        return Proposals(actions=tuple(asked.value), usage=asked.usage)

    def _request(
        self, seed: Seed, path: Sequence[Node], k: int, taken: Sequence[Action], clash: Sequence[Action]
    ) -> ModelRequest:
        config = self.config
        notes = []
        if taken:
            notes.append(f"Already taken, do not propose these again:\n{render_actions(taken[-_TAKEN_SHOWN:])}\n")
        if clash:
            notes.append(f"You proposed these, but they are taken:\n{render_actions(clash)}\n")
        text = self.prompt.render(
            seed=seed.content,
            seed_description=config.seed_description,
            history=render_history(path, _HISTORY_TOKENS),
            tools=render_tools(self.tools),
            taken="\n" + "\n".join(notes) if notes else "",
            k=k,
            tips=config.tips,
        )
        inputs = ProposeInputs(seed=seed, path=tuple(path), k=k, tools=self.tools, taken=tuple(taken), tips=config.tips)
        return ModelRequest(
            messages=(system("You are a careful explorer."), user(text)),
            response_schema=self._schema,
            purpose="propose",
            role="explorer",
            inputs=inputs,
        )

    def _parse(self, value: Any) -> list[Action]:
        """The actions of an answer. Raises ValueError with what the model should correct."""
        items = value.get("actions") if isinstance(value, Mapping) else value
        if not isinstance(items, list):
            raise ValueError('expected {"actions": [...]}')
        return [self._action(item) for item in items]

    def _action(self, item: Any) -> Action:
        if not isinstance(item, Mapping) or not isinstance(item.get("tool"), str):
            raise ValueError('each action needs a "tool" and "params"')
        tool = self._by_name.get(item["tool"])
        if tool is None:
            names = sorted(known.name for known in self.tools)
            raise ValueError(
                f"there is no tool {item['tool']!r}{did_you_mean(item['tool'], names)}: {', '.join(names)}"
            )
        params = item.get("params") or {}
        if not isinstance(params, Mapping):
            raise ValueError(f"the params of {tool.name} must be an object")
        return Action(
            tool=tool.name,
            params=dict(params),
            intent=str(item.get("intent") or ""),
            reasoning=str(item.get("reasoning") or ""),
        )


def _proposals_schema(tools: Sequence[str]) -> Mapping[str, Any]:
    action = {
        "type": "object",
        "properties": {
            "intent": {"type": "string"},
            "tool": {"type": "string", "enum": sorted(tools)},
            "params": {"type": "object"},
        },
        "required": ["intent", "tool", "params"],
    }
    return {
        "type": "object",
        "properties": {"actions": {"type": "array", "items": action}},
        "required": ["actions"],
    }
