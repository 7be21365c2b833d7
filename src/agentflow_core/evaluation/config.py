"""The configuration of a rollout: one file a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from agentflow_core.agent import AgentConfig
from agentflow_core.config import PluginChoice, option
from agentflow_core.runs import RunConfig

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
class RolloutConfig(RunConfig):
    """A rollout: a model, its tools, a benchmark, and how answers are scored."""

    data: DataConfig = option(help="the benchmark")
    rollout: AgentConfig = option(AgentConfig(), help="how the agent works on a task")
    metrics: tuple[PluginChoice, ...] = option(
        (PluginChoice("exact_match"), PluginChoice("f1_score")), help="how answers are scored", plugin="metric"
    )
    cluster_by: str | None = option(None, help="a metadata field; intervals resample its groups instead of tasks")
    breakdown: tuple[str, ...] = option((), help="metadata fields to give the metrics for, group by group")
    max_workers: int = option(64, help="tasks at once at most", at_least=1, operational=True)
