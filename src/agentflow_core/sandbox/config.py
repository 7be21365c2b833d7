"""Settings of the sandbox: which backends with which settings and limits; or where the server is that has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from agentflow_core.config import PluginChoice, option
from agentflow_core.errors import ConfigError, Problem, UsageError
from agentflow_core.sandbox.launchers.config import LauncherConfig

__all__ = ["EngineConfig", "LimitsConfig", "SandboxConfig"]


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
class EngineConfig:
    """An engine: with nothing set it offers every installed backend, each started at first use."""

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
    launcher: LauncherConfig = option(
        LauncherConfig(), help="how the processes of sessions are confined", operational=True
    )
    state_dir: Path | None = option(
        None, help="where backends keep what outlives the process, such as indexes", path=True, operational=True
    )


@frozen(kw_only=True)
class SandboxConfig(EngineConfig):
    """The sandbox: an engine in this process, or the servers at ``url``, which have their own configuration."""

    url: str | tuple[str, ...] | None = option(
        None, help="speak to the server at this URL, or to several that offer the same", operational=True
    )
    token: str | None = option(None, help="the server's token; default: AGENTFLOW_TOKEN", secret=True)

    def __attrs_post_init__(self) -> None:
        """Refuse what is wrong about ``url``, and what would be set in vain beside it."""
        if self.url is None:
            return
        from agentflow_core.sandbox.remote.transport import checked_url  # only where there is a server

        if not self.urls:
            raise ConfigError([Problem("names no server", path="url")])
        for url in self.urls:
            try:
                checked_url(url)
            except UsageError as error:
                raise ConfigError([Problem(f"{error.message}; {error.hint}", path="url")]) from error
        engine = EngineConfig()
        in_vain = [
            name for name in ("backends", "enabled", "limits", "launcher", "state_dir") if _differs(self, engine, name)
        ]
        if in_vain:
            raise ConfigError(
                [Problem("has no effect beside url: set it where the server is started", path=name) for name in in_vain]
            )

    @property
    def urls(self) -> tuple[str, ...]:
        """The servers; none for an engine in this process."""
        if self.url is None:
            return ()
        return (self.url,) if isinstance(self.url, str) else tuple(self.url)


def _differs(one: object, other: object, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))
