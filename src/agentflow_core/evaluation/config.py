"""The configuration of a rollout: one file a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from agentflow_core.agent import AgentConfig
from agentflow_core.config import PluginChoice, PluginsConfig, option
from agentflow_core.models import BudgetConfig, ModelsConfig, RetryConfig
from agentflow_core.sandbox import SandboxConfig

__all__ = ["DataConfig", "RolloutConfig"]


@frozen(kw_only=True)
class DataConfig:
    """The benchmark."""

    path: Path = option(help="JSON Lines, JSON, CSV or Parquet; one task a row", path=True)
    fields: Mapping[str, str] = option(
        factory=dict, help="which column holds 'id', 'question', 'answer' or 'kwargs', where that is not recognised"
    )
    limit: int | None = option(None, help="take the first tasks only", at_least=1)
    ids: tuple[str, ...] = option((), help="take these tasks only")
    shuffle_seed: int | None = option(None, help="shuffle the tasks by this seed before the limit is applied")


@frozen(kw_only=True)
class RolloutConfig:
    """A rollout: a model, its tools, a benchmark, and how answers are scored."""

    model: PluginChoice = option(PluginChoice("offline"), help="the model that every role defaults to", plugin="model")
    roles: Mapping[str, PluginChoice] = option(
        factory=dict, help="another model for 'solver' or 'judge'", plugin="model", choices=("solver", "judge")
    )
    budget: BudgetConfig = option(BudgetConfig(), help="what the run may use at most")
    retries: RetryConfig = option(RetryConfig(), help="how failed model requests are tried again")
    sandbox: SandboxConfig = option(SandboxConfig(), help="environments and their limits")
    data: DataConfig = option(help="the benchmark")
    rollout: AgentConfig = option(AgentConfig(), help="how the agent works on a task")
    metrics: tuple[PluginChoice, ...] = option(
        (PluginChoice("exact_match"), PluginChoice("f1_score")), help="how answers are scored", plugin="metric"
    )
    cluster_by: str | None = option(None, help="a metadata field; intervals resample its groups instead of tasks")
    breakdown: tuple[str, ...] = option((), help="metadata fields to give the metrics for, group by group")
    max_workers: int = option(64, help="tasks at once at most", at_least=1)
    executor: PluginChoice = option(PluginChoice("local"), help="where tasks run", plugin="executor")
    plugins: PluginsConfig = option(PluginsConfig(), help="plugin files to load")
    run_dir: Path | None = option(None, help="the run directory; default: runs/<name of this file>", path=True)

    @property
    def models(self) -> ModelsConfig:
        """The models by role."""
        return ModelsConfig(model=self.model, roles=self.roles, budget=self.budget, retries=self.retries)
