"""Score the stored trajectories of a run again; nothing is rolled out anew."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from agentflow_core.concurrency import run_all
from agentflow_core.config import load_config
from agentflow_core.errors import RunCorruptError, UsageError
from agentflow_core.evaluation.config import RolloutConfig
from agentflow_core.evaluation.scoring import NamedMetric, Tally, build_scoring, check_embedder, sample_of, score_sample
from agentflow_core.evaluation.summary import summarize_results
from agentflow_core.interfaces import MetricContext
from agentflow_core.models import ModelEmbedder, open_models
from agentflow_core.prompts import Prompts
from agentflow_core.records.codec import dump
from agentflow_core.runs import RunReader
from agentflow_core.runs.files import write_atomic
from agentflow_core.runs.lines import encode
from agentflow_core.runs.lock import RunLock
from agentflow_core.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from agentflow_core.interfaces import SandboxClient
    from agentflow_core.plugins import PluginHost
    from agentflow_core.records import TaskResult

__all__ = ["rescore"]


async def rescore(
    run_dir: Path, metric_names: Sequence[str], host: PluginHost, judge: str | None = None
) -> dict[str, Any]:
    """Score a rollout by other metrics, and write ``scores.jsonl`` beside its other files, which stay as they are.

    A metric that needs a sandbox gets one as the run's configuration says.

    Args:
        run_dir: of a rollout, finished or not.
        metric_names: the metrics, each as a configuration has it: ``f1_score``, ``{pass_at_k: {k: 3}}``.
        host: the plugins.
        judge: the model of metrics that need one; default: the run's own.

    Returns:
        What ``summary.json`` would say of these metrics.

    Raises:
        ConfigError: what a metric is given is none of its settings.
        RunCorruptError: a result is of a task that the run did not plan.
        UsageError: the directory holds a run of another kind.
        UnknownNameError: a metric that nothing provides.
    """
    reader = RunReader(run_dir)
    if reader.kind != "rollout":
        raise UsageError(f"{run_dir} holds a run of kind {reader.kind!r}; only rollouts are scored")
    document = reader.config()
    if judge is not None:
        document["roles"] = {**document.get("roles", {}), "judge": judge}
    chosen = [f"metrics=[{', '.join(metric_names)}]"]
    config = load_config(RolloutConfig, document, sets=chosen, registry=host.registry).config
    scoring = build_scoring(host.registry, config.metrics)
    check_embedder(scoring, config)
    lock = RunLock.acquire(run_dir)
    try:
        async with AsyncExitStack() as stack:
            models = await stack.enter_async_context(open_models(config, host=host, blobs=reader.blobs))
            sandbox: SandboxClient | None = None
            if any(metric.spec.needs == "sandbox" for metric in scoring.metrics):
                sandbox = await stack.enter_async_context(
                    Sandbox(config=config.sandbox, host=host, artifacts=reader.blobs)
                )
            usage = {"judge": Tally(models("judge"))}
            if scoring.needs_embedder:
                usage["embedder"] = Tally(models("embedder"))
            results = await _scored(reader, scoring.metrics, usage, sandbox, Prompts(config.prompts))
        lines = (
            encode({"task_id": result.task_id, "sample": result.sample, "scores": dump(result)["scores"]}) + b"\n"
            for result in results
        )
        write_atomic(run_dir / "scores.jsonl", lines)
    finally:
        lock.release()
    return summarize_results(
        results,
        scoring.graded,
        status=reader.status,
        planned=len(results),
        usage={role: tally.usage for role, tally in usage.items()},
        versions=reader.manifest.get("versions", {}),
        aggregates=scoring.aggregates,
        described=scoring.described,
        cluster_by=config.cluster_by,
    )


async def _scored(
    reader: RunReader,
    metrics: Sequence[NamedMetric],
    models: Mapping[str, Tally],
    sandbox: SandboxClient | None,
    prompts: Prompts,
) -> list[TaskResult]:
    """Every stored result with its scores."""
    tasks = {task.id: task for task in reader.tasks()}
    trajectories = {trajectory.id: trajectory for trajectory in reader.trajectories()}
    embedder = ModelEmbedder(models["embedder"]) if "embedder" in models else None
    context = MetricContext(judge=models["judge"], embedder=embedder, sandbox=sandbox, prompts=prompts)

    async def score(result: TaskResult) -> TaskResult:
        task = tasks.get(result.task_id)
        if task is None:
            raise RunCorruptError(f"{reader.dir}: plan.jsonl has no task {result.task_id!r}, which results.jsonl has")
        sample = sample_of(result, trajectories.get(result.trajectory_id), task)
        return evolve(result, scores=await score_sample(sample, metrics, context))

    return await run_all(partial(score, result) for result in reader.results())
