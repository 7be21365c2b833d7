"""Write what a model is asked: the tools, the path so far, the observations within a budget of tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.records import Action, Node, ToolDefinition

__all__ = ["estimate_tokens", "render_actions", "render_history", "render_observations", "render_tools"]


def estimate_tokens(text: str) -> int:
    """A rough count of tokens, four bytes of UTF-8 each; no tokenizer is at hand for every model."""
    return len(text.encode("utf-8", "replace")) // 4 + 1


def render_tools(tools: Sequence[ToolDefinition]) -> str:
    """One block a tool: name, description, parameters as JSON Schema."""
    return "\n".join(
        f"- {tool.name}: {tool.description}\n  parameters: {json.dumps(tool.parameters, ensure_ascii=False)}"
        for tool in tools
    )


def render_actions(actions: Sequence[Action]) -> str:
    """One line an action."""
    return "\n".join(f"- {action.tool} {_params(action.params)}" for action in actions)


def render_history(path: Sequence[Node], budget_tokens: int) -> str:
    """The steps of a path, the latest observations whole and earlier ones left out when they do not fit."""
    kept = _fitting([node for node in reversed(path) if node.result], budget_tokens)
    blocks = []
    for node in path:
        if node.tool is None or node.result is None:
            continue
        seen = (node.result.shown or node.result.text) if node.id in kept else "[left out for length]"
        blocks.append(f"[{node.id}] {node.tool} {_params(node.params)}\n{seen}")
    return "\n\n".join(blocks) or "(nothing yet)"


def render_observations(path: Sequence[Node], budget_tokens: int) -> str:
    """The successful observations of a path, whole; when not all fit, those with the most new text are kept."""
    good = [node for node in path if node.result is not None and node.result.ok and node.result.text]
    kept = _fitting(sorted(good, key=lambda node: (-node.novelty, node.depth)), budget_tokens)
    return "\n\n".join(
        f"<observation node={json.dumps(node.id)} tool={json.dumps(node.tool)} params={_params(node.params)}>\n"
        f"{(node.result.shown or node.result.text) if node.result else ''}\n</observation>"
        for node in good
        if node.id in kept
    )


def _fitting(nodes: Sequence[Node], budget_tokens: int) -> set[str]:
    """The ids of the nodes whose observations fit the budget, taken in the given order; the first one always."""
    kept: set[str] = set()
    left = budget_tokens
    for node in nodes:
        cost = estimate_tokens((node.result.shown or node.result.text) if node.result else "")
        if cost <= left or not kept:
            kept.add(node.id)
            left -= cost
    return kept


def _params(params: Mapping[str, object]) -> str:
    return json.dumps(params, ensure_ascii=False, sort_keys=True)
