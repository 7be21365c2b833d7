"""Roll an agent out over a benchmark: plan, run, score, sum up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from agentflow_core.agent import Agent
from agentflow_core.agent.loop import system_prompt
from agentflow_core.errors import AgentFlowError, ConfigError, Problem
from agentflow_core.evaluation.scoring import NamedMetric, build_metrics, sample_of, score_sample
from agentflow_core.evaluation.tasks import read_tasks
from agentflow_core.interfaces import MetricContext
from agentflow_core.metrics.aggregates import summarize
from agentflow_core.names import match_tools
from agentflow_core.records import Score, Task, TaskResult, Trajectory, Usage
from agentflow_core.records.codec import dump, dumps, load
from agentflow_core.records.events import RunFinished, RunStarted
from agentflow_core.runs import Run, RunOptions, StopSignal, UnitJournal, Workshop, open_workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentflow_core.config import Loaded
    from agentflow_core.evaluation.config import RolloutConfig
    from agentflow_core.interfaces import Unit
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records.events import Event

__all__ = ["Finished", "run_rollout"]


@frozen(kw_only=True)
class Finished:
    """How a run ended: ``status`` is complete, interrupted or limited."""

    run_dir: Path
    status: str
    summary: Mapping[str, Any]


async def run_rollout(
    loaded: Loaded[RolloutConfig],
    *,
    host: PluginHost,
    options: RunOptions,
    observe: Callable[[Event], None],
    stop: StopSignal,
) -> Finished:
    """Run every task and sample of the benchmark that the run directory does not hold yet, then score all of them.

    Raises:
        DataError, UnknownNameError: the benchmark, a tool or a metric is not what the configuration says.
        RunError: the run directory cannot be used.
        AuthenticationError, ReplayMissError, LimitReached, StorageError: nothing more can be done now; what was
            finished is kept and can be resumed.
    """
    config = loaded.config
    tasks = read_tasks(config.data)
    metrics = build_metrics(host.registry, config.metrics)
    _check_references(tasks, metrics, loaded)
    stages = _stages(loaded)
    async with open_workshop(
        kind="rollout", loaded=loaded, stages=stages, host=host, options=options, observe=observe, stop=stop
    ) as workshop:
        run = workshop.run
        observe(RunStarted(run_dir=str(run.dir), kind="rollout", resumed=run.resumed))
        by_id = {task.id: task for task in tasks}
        try:
            await _roll_out(workshop, tasks, config)
            await _judge(workshop, by_id, metrics)
        except AgentFlowError:
            _derive(run, by_id, metrics, config, workshop, "limited")
            raise
        status = "interrupted" if stop.is_set else "complete"
        summary = await _derive(run, by_id, metrics, config, workshop, status)
        observe(RunFinished(run_dir=str(run.dir), status=status, summary=summary))
        return Finished(run_dir=run.dir, status=status, summary=summary)
