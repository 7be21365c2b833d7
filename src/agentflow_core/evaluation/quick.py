"""One question, one answer: no run directory, no benchmark."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from agentflow_core.agent import Agent, AgentConfig
from agentflow_core.concurrency import run_blocking
from agentflow_core.config import load_config
from agentflow_core.models import ModelsConfig, open_models
from agentflow_core.names import match_tools
from agentflow_core.plugins import PluginHost
from agentflow_core.records import Task
from agentflow_core.records.codec import dump
from agentflow_core.records.events import ignore_event
from agentflow_core.sandbox import Sandbox, SandboxConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agentflow_core.records.events import Event

__all__ = ["aquick_rollout", "quick_rollout"]


async def aquick_rollout(
    question: str,
    *,
    tools: Sequence[str] = ("*",),
    model_name: str = "offline",
    base_url: str | None = None,
    api_key: str | None = None,
    system_prompt: str | None = None,
    max_turns: int = 20,
    sandbox: Mapping[str, Any] | None = None,
    sandbox_url: str | Sequence[str] | None = None,
    sandbox_token: str | None = None,
    host: PluginHost | None = None,
    observe: Callable[[Event], None] = ignore_event,
) -> Mapping[str, Any]:
    """Let an agent answer one question.

    Args:
        question: what to answer.
        tools: the tools to offer, such as ``["rag:search"]``.
        model_name: ``offline``, or the name of a model behind an OpenAI-compatible URL (``openai/`` may be left out).
        base_url: that URL; default: OpenAI's.
        api_key: its key; default: ``OPENAI_API_KEY``.
        system_prompt: in place of AgentFlow's own.
        max_turns: model calls at most.
        sandbox: the ``sandbox`` section of a configuration.
        sandbox_url: of a sandbox server, or of several, in place of the environments that are installed.
        sandbox_token: its token; default: ``AGENTFLOW_TOKEN``.
        host: the plugins; default: those installed.
        observe: is told every event.

    Returns:
        ``{answer, success, outcome, trajectory, usage, error}``; ``success`` says whether the agent answered.

    Raises:
        ConfigError, UnknownNameError: a tool, the model or the sandbox section is not there.
        AuthenticationError: the key is missing or wrong.
    """
    plugins = host or PluginHost.load()
    models_config = load_config(
        ModelsConfig, {"model": _model(plugins, model_name, base_url, api_key)}, registry=plugins.registry
    ).config
    sandbox_config = load_config(SandboxConfig, sandbox or {}, registry=plugins.registry).config
    async with (
        open_models(models_config, host=plugins, observe=observe) as models,
        Sandbox(sandbox_url, token=sandbox_token, config=sandbox_config, host=plugins, observe=observe) as box,
    ):
        offered = {tool.name: tool for tool in await box.list_tools()}
        agent = Agent(
            model=models("solver"),
            sandbox=box,
            tools=[offered[name] for name in match_tools(tools, offered)],
            config=AgentConfig(max_turns=max_turns, system_prompt=system_prompt),
        )
        solved = await agent.solve(Task(id="question", question=question))
    return {
        "answer": solved.trajectory.answer,
        "success": solved.trajectory.outcome == "answered",
        "outcome": solved.trajectory.outcome,
        "trajectory": dump(solved.trajectory),
        "usage": dump(solved.usage),
        "error": solved.error or None,
    }


def quick_rollout(question: str, **others: Any) -> Mapping[str, Any]:
    """`aquick_rollout`, from blocking code; works in notebooks too."""
    return run_blocking(partial(aquick_rollout, question, **others))


def _model(host: PluginHost, name: str, base_url: str | None, api_key: str | None) -> str | Mapping[str, Any]:
    provider = name.partition("/")[0]
    if base_url is None and api_key is None and provider in host.registry.names("model"):
        return name
    settings = {"base_url": base_url, "api_key": api_key}
    return {
        "provider": "openai",
        "name": name.removeprefix("openai/"),
        **{key: value for key, value in settings.items() if value is not None},
    }
