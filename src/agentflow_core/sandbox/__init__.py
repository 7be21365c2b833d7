"""Environments: the `Backend` base class, ``@tool``, and the sandbox that runs them. Import from here."""

from __future__ import annotations

from agentflow_core.sandbox.backend import Backend, BackendContext, FileSlice, Session
from agentflow_core.sandbox.catalog import Catalog
from agentflow_core.sandbox.client import Sandbox
from agentflow_core.sandbox.config import LimitsConfig, SandboxConfig
from agentflow_core.sandbox.engine import SandboxEngine
from agentflow_core.sandbox.observation import observation_of
from agentflow_core.sandbox.replaying import Replayed, compare_observations
from agentflow_core.sandbox.schema import Range
from agentflow_core.sandbox.tools import register_api_tool, tool

__all__ = [
    "Backend",
    "BackendContext",
    "Catalog",
    "FileSlice",
    "LimitsConfig",
    "Range",
    "Replayed",
    "Sandbox",
    "SandboxConfig",
    "SandboxEngine",
    "Session",
    "compare_observations",
    "observation_of",
    "register_api_tool",
    "tool",
]
