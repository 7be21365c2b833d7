"""Settings of the engine: which backends with which settings, and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from agentflow_core.config import PluginChoice, option

__all__ = ["LimitsConfig", "SandboxConfig"]


@frozen(kw_only=True)
class LimitsConfig:
    """What one backend may take; calls and sessions beyond it wait, then are answered ``overloaded``."""

    max_sessions: int = option(64, help="open sessions at most", at_least=1)
    max_concurrency: int = option(64, help="calls that run at once at most", at_least=1)
    queue_length: int = option(1000, help="calls, and likewise sessions, that may wait for their turn", at_least=0)
    queue_wait_s: float = option(120.0, help="seconds that a call or session waits for its turn at most", at_least=0)
    idle_ttl_s: float = option(900.0, help="seconds without a call after which a session expires", at_least=0)
    absolute_ttl_s: float = option(14_400.0, help="seconds after which a session expires in any case", at_least=0)
    timeout_s: float = option(60.0, help="seconds for one call, where neither call nor tool says", at_least=0)
    start_timeout_s: float = option(300.0, help="seconds for the start of a session", at_least=0)
    cleanup_timeout_s: float = option(30.0, help="seconds for the cleanup of a session and for a shutdown", at_least=0)


@frozen(kw_only=True)
class SandboxConfig:
    """The sandbox: with nothing set it offers every installed backend, each started at first use."""

    backends: Mapping[str, PluginChoice] = option(
        factory=dict, help="settings of backends, by name: the plugin's own keys", plugin="backend"
    )
    enabled: tuple[str, ...] | None = option(
        None, help="backends, and groups of tools, that are offered (default: all that are installed)"
    )
    warmup: tuple[str, ...] = option(
        (), help="backends that start with the sandbox, before they are first used", operational=True
    )
    limits: Mapping[str, LimitsConfig] = option(
        factory=dict, help="limits of backends and groups of tools, by name", operational=True
    )
    state_dir: Path | None = option(
        None, help="where backends keep what outlives the process, such as indexes", path=True, operational=True
    )
