"""The sandbox over HTTP: ``agentflow serve``. Its configuration is imported from here, the rest from its modules."""

from __future__ import annotations

from agentflow_core.sandbox.server.config import ServeConfig, ServerConfig

__all__ = ["ServeConfig", "ServerConfig"]
