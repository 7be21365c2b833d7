"""The summary of a rollout: how samples ended, what they scored and what they used."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from agentflow_core.evaluation.scoring import score_tasks
from agentflow_core.metrics.aggregates import MetricSummary, breakdown, describe, summarize, summarize_pooled
from agentflow_core.records import Usage
from agentflow_core.records.codec import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.evaluation.scoring import NamedAggregate
    from agentflow_core.records import TaskResult

__all__ = ["summarize_results"]


def summarize_results(
    results: Sequence[TaskResult],
    metrics: Sequence[str],
    *,
    status: str,
    planned: int,
    usage: Mapping[str, Usage],
    versions: Mapping[str, str],
    aggregates: Sequence[NamedAggregate] = (),
    described: Sequence[str] = (),
    cluster_by: str | None = None,
    breakdowns: Sequence[str] = (),
) -> dict[str, Any]:
    """What ``summary.json`` holds.

    Args:
        results: the finished samples, scored.
        metrics: the names of what has a mean, in the order of the summary.
        status: how the run ended.
        planned: how many samples the run has in all.
        usage: by role, of the answers that the results rest on.
        versions: of the distributions that took part.
        aggregates: those of the metrics that score tasks; their counts are of tasks.
        described: the metrics that describe samples; their figures stand apart.
        cluster_by: a metadata field whose groups the intervals resample.
        breakdowns: metadata fields to give the metrics for, group by group.
    """
    outcomes = Counter(result.outcome for result in results)
    total = sum(usage.values(), Usage())
    pooled = {named.name: named for named in aggregates if named.is_pooled}
    tasks = {named.name: score_tasks(results, named) for named in aggregates if not named.is_pooled}
    scored = {name: tasks.get(name, results) for name in metrics}

    def summary(name: str, of: Sequence[TaskResult]) -> MetricSummary:
        if name in pooled:
            return summarize_pooled(of, pooled[name].aggregate.metric, pooled[name].over, cluster_by=cluster_by)
        return summarize(of, name, cluster_by=cluster_by)

    warnings = [text for name in tasks if (text := _undefined(name, tasks[name]))]
    figures = {name: found for name in described if (found := describe(results, name, cluster_by=cluster_by))}
    return {
        "kind": "rollout",
        "status": status,
        **({"warnings": warnings} if warnings else {}),
        "counts": {
            "planned": planned,
            "finished": len(results),
            "outcomes": {outcome: outcomes[outcome] for outcome in sorted(outcomes)},
        },
        "funnel": {},
        "metrics": {name: summary(name, of).as_dict() for name, of in scored.items()},
        **({"figures": figures} if figures else {}),
        "breakdown": {
            field: {
                name: {
                    group: figures.as_dict() for group, figures in breakdown(of, field, partial(summary, name)).items()
                }
                for name, of in scored.items()
            }
            for field in breakdowns
        },
        "usage": {
            "by_role": {role: dump(used) for role, used in usage.items()},
            "cost_usd": total.cost_usd,
            "cost_per_accepted": None,
        },
        "versions": dict(versions),
    }


def _undefined(name: str, tasks: Sequence[TaskResult]) -> str:
    """Of how many tasks an aggregate says nothing, and why of the first; empty if it says something of all."""
    without = [score for task in tasks if not (score := task.scores[name]).graded]
    return f"{name} says nothing of {len(without)} of {len(tasks)} tasks: {without[0].reason}" if without else ""
