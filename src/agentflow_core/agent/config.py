"""How an agent works on a task: prompt, limits, and where its answer stands."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from agentflow_core.config import option

__all__ = ["AgentConfig"]


@frozen(kw_only=True)
class AgentConfig:
    """The ``rollout`` section."""

    system_prompt: str | None = option(None, help="the system prompt; default: a short one of AgentFlow's own")
    system_prompt_file: Path | None = option(None, help="a file that holds the system prompt", path=True)
    tools: tuple[str, ...] = option(("*",), help="the tools that the agent is offered, such as 'rag:*'")
    max_turns: int = option(20, help="model calls a task at most", at_least=1)
    max_tool_calls: int | None = option(None, help="tool calls a task at most; those beyond are refused", at_least=0)
    max_tokens: int | None = option(None, help="tokens a task at most, input and output together", at_least=1)
    max_usd: float | None = option(None, help="US dollars a task at most", at_least=0)
    timeout_s: float = option(1800.0, help="wall time of a task in seconds", at_least=0.001)
    samples: int = option(1, help="how often each task is tried", at_least=1)
    on_context_overflow: Literal["end", "compact"] = option(
        "end", help="a conversation too long for the model ends the task, or its oldest tool results are left out"
    )
    answer: Literal["tag", "last_message", "tool"] = option(
        "tag", help="the answer is the <answer> tag of the final message, all of it, or what a 'submit' tool was given"
    )
