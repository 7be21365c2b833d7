"""Synthesize training data for agents, and evaluate agents, in every environment that is packaged as a plugin.

The public names, imported when first used: importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentflow_core.contributions import (
        BackendSpec,
        Check,
        ExecutorSpec,
        ExporterSpec,
        GateSpec,
        MetricSpec,
        ModelSpec,
        ScorerSpec,
        SelectorSpec,
        ToolSpec,
    )
    from agentflow_core.errors import AgentFlowError
    from agentflow_core.evaluation import RolloutConfig, aquick_rollout, arollout, quick_rollout, rollout
    from agentflow_core.hookspecs import hookimpl
    from agentflow_core.records import ToolResult
    from agentflow_core.sandbox import Backend, Range, Sandbox, Session, register_api_tool, tool
    from agentflow_core.synthesis import SynthesisConfig, asynthesize, synthesize

__version__ = "0.1.0"

_HOMES = {
    "agentflow_core.contributions": (
        "BackendSpec",
        "Check",
        "ExecutorSpec",
        "ExporterSpec",
        "GateSpec",
        "MetricSpec",
        "ModelSpec",
        "ScorerSpec",
        "SelectorSpec",
        "ToolSpec",
    ),
    "agentflow_core.errors": ("AgentFlowError",),
    "agentflow_core.evaluation": ("RolloutConfig", "aquick_rollout", "arollout", "quick_rollout", "rollout"),
    "agentflow_core.hookspecs": ("hookimpl",),
    "agentflow_core.records": ("ToolResult",),
    "agentflow_core.sandbox": ("Backend", "Range", "Sandbox", "Session", "register_api_tool", "tool"),
    "agentflow_core.synthesis": ("SynthesisConfig", "asynthesize", "synthesize"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AgentFlowError",
    "Backend",
    "BackendSpec",
    "Check",
    "ExecutorSpec",
    "ExporterSpec",
    "GateSpec",
    "MetricSpec",
    "ModelSpec",
    "Range",
    "RolloutConfig",
    "Sandbox",
    "ScorerSpec",
    "SelectorSpec",
    "Session",
    "SynthesisConfig",
    "ToolResult",
    "ToolSpec",
    "aquick_rollout",
    "arollout",
    "asynthesize",
    "hookimpl",
    "quick_rollout",
    "register_api_tool",
    "rollout",
    "synthesize",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
