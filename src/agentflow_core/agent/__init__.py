"""The agent loop: one task, one worker, one trajectory."""

from __future__ import annotations

from agentflow_core.agent.config import AgentConfig
from agentflow_core.agent.loop import Agent, Solved

__all__ = ["Agent", "AgentConfig", "Solved"]
