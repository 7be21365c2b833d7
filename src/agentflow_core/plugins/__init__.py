"""Discover plugins, load them one at a time, and look up what they contribute."""

from __future__ import annotations

from agentflow_core.plugins.discovery import Discovery, Found, PluginRow, discover
from agentflow_core.plugins.host import PluginHost
from agentflow_core.plugins.registry import Entry, Provider, Registry, tool_clashes

__all__ = ["Discovery", "Entry", "Found", "PluginHost", "PluginRow", "Provider", "Registry", "discover", "tool_clashes"]
