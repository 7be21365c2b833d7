"""Launchers: start a session's processes confined, with limits, and kill everything in it. Import from here."""

from __future__ import annotations

from agentflow_core.sandbox.launchers.config import LauncherConfig, launcher_of
from agentflow_core.sandbox.launchers.ledger import Ledger, Taken
from agentflow_core.sandbox.launchers.reaping import reap
from agentflow_core.sandbox.launchers.spec import (
    CONTROL,
    HOST_NAME,
    WORKSPACE,
    Bind,
    Confined,
    Control,
    Ended,
    Entrance,
    Launcher,
    LaunchSpec,
    Limits,
    Network,
    Usage,
)

__all__ = [
    "CONTROL",
    "HOST_NAME",
    "WORKSPACE",
    "Bind",
    "Confined",
    "Control",
    "Ended",
    "Entrance",
    "LaunchSpec",
    "Launcher",
    "LauncherConfig",
    "Ledger",
    "Limits",
    "Network",
    "Taken",
    "Usage",
    "launcher_of",
    "reap",
]
