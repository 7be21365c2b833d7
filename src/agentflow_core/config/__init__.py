"""Configuration files into frozen attrs classes: strict, complete about what is wrong, and with the place of it."""

from __future__ import annotations

from agentflow_core.config.documents import Document, load_document
from agentflow_core.config.legacy_upgrade import upgrade
from agentflow_core.config.loading import Loaded, PluginsConfig, load_config, plugin_files, write_resolved
from agentflow_core.config.options import Option, PluginChoice, option, option_of
from agentflow_core.config.schema import config_schema

__all__ = [
    "Document",
    "Loaded",
    "Option",
    "PluginChoice",
    "PluginsConfig",
    "config_schema",
    "load_config",
    "load_document",
    "option",
    "option_of",
    "plugin_files",
    "upgrade",
    "write_resolved",
]
