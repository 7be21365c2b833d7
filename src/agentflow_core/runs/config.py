"""What the configurations of all kinds of runs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from agentflow_core.config import PluginChoice, PluginsConfig, option
from agentflow_core.models import ModelsConfig
from agentflow_core.prompts import Prompts
from agentflow_core.sandbox import SandboxConfig

__all__ = ["RunConfig"]


@frozen(kw_only=True)
class RunConfig(ModelsConfig):
    """Models, environments, and where and how the run is done."""

    sandbox: SandboxConfig = option(SandboxConfig(), help="environments and their limits")
    max_workers: int = option(16, help="units of work at once at most", at_least=1, operational=True)
    executor: PluginChoice = option(
        PluginChoice("local"), help="where units of work run", plugin="executor", operational=True
    )
    prompts: Mapping[str, Path] = option(
        factory=dict, help="files that stand in for prompts of the core, such as {synthesis.draft: my.md}", path=True
    )
    plugins: PluginsConfig = option(PluginsConfig(), help="plugin files to load")
    run_dir: Path | None = option(
        None, help="the run directory; default: the next free name in runs/", path=True, operational=True
    )

    def __attrs_post_init__(self) -> None:
        """Refuse files that cannot stand in for the prompts that they are named for."""
        Prompts(self.prompts)
