"""Score the stored trajectories of a run again; nothing is rolled out anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.concurrency import run_all
from agentflow_core.config import PluginChoice, load_config
from agentflow_core.errors import UsageError
from agentflow_core.evaluation.config import RolloutConfig
from agentflow_core.evaluation.scoring import NamedMetric, Tally, build_metrics, sample_of, score_sample
from agentflow_core.evaluation.summary import summarize_results
from agentflow_core.interfaces import MetricContext
from agentflow_core.models import open_models
from agentflow_core.records.codec import dump
from agentflow_core.runs import RunReader
from agentflow_core.runs.files import write_atomic
from agentflow_core.runs.lines import encode
from agentflow_core.runs.lock import RunLock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentflow_core.interfaces import ChatModel
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import TaskResult

__all__ = ["rescore"]


async def rescore(
    run_dir: Path, metric_names: Sequence[str], host: PluginHost, judge: str | None = None
) -> dict[str, Any]:
    """Score a rollout by other metrics, and write ``scores.jsonl`` beside its other files, which stay as they are.

    Args:
        run_dir: of a rollout, finished or not.
        metric_names: the metrics.
        host: the plugins.
        judge: the model of metrics that need one; default: the run's own.

    Returns:
        What ``summary.json`` would say of these metrics.

    Raises:
        UsageError: the directory holds a run of another kind.
        UnknownNameError: a metric that nothing provides.
    """
    reader = RunReader(run_dir)
    if reader.kind != "rollout":
        raise UsageError(f"{run_dir} holds a run of kind {reader.kind!r}; only rollouts are scored")
    metrics = build_metrics(host.registry, [PluginChoice(name) for name in metric_names])
    config = reader.config()
    if judge is not None:
        config["roles"] = {**config.get("roles", {}), "judge": judge}
    models_config = load_config(RolloutConfig, config, registry=host.registry).config
    lock = RunLock.acquire(run_dir)
    try:
        async with open_models(models_config, host=host, blobs=reader.blobs) as models:
            judging = Tally(models("judge"))
            results = await _scored(reader, metrics, judging)
        lines = (
            encode({"task_id": result.task_id, "sample": result.sample, "scores": dump(result)["scores"]}) + b"\n"
            for result in results
        )
        write_atomic(run_dir / "scores.jsonl", lines)
    finally:
        lock.release()
    return summarize_results(
        results,
        list(metric_names),
        status=reader.status,
        planned=len(results),
        usage={"judge": judging.usage},
        versions=reader.manifest.get("versions", {}),
    )


async def _scored(reader: RunReader, metrics: Sequence[NamedMetric], judge: ChatModel) -> list[TaskResult]:
    """Every stored result with its scores."""
    trajectories = {trajectory.id: trajectory for trajectory in reader.trajectories()}
    context = MetricContext(judge=judge)

    async def score(result: TaskResult) -> TaskResult:
        sample = sample_of(result, trajectories.get(result.trajectory_id))
        return evolve(result, scores=await score_sample(sample, metrics, context))

    return await run_all(partial(score, result) for result in reader.results())
