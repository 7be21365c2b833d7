"""Begin a plugin: a distribution that works, from templates. Import from here."""

from __future__ import annotations

from agentflow_core.scaffold.naming import KINDS, NewPlugin, check_owners, new_plugin
from agentflow_core.scaffold.writing import render, write_plugin

__all__ = ["KINDS", "NewPlugin", "check_owners", "new_plugin", "render", "write_plugin"]
