"""The summary of a rollout: how samples ended, what they scored and what they used."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agentflow_core.metrics.aggregates import breakdown, summarize_metrics
from agentflow_core.records import Usage
from agentflow_core.records.codec import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    cluster_by: str | None = None,
    breakdowns: Sequence[str] = (),
) -> dict[str, Any]:
    """What ``summary.json`` holds.

    Args:
        results: the finished samples, scored.
        metrics: the names of what they were scored by.
        status: how the run ended.
        planned: how many samples the run has in all.
        usage: by role, of the answers that the results rest on.
        versions: of the distributions that took part.
        cluster_by: a metadata field whose groups the intervals resample.
        breakdowns: metadata fields to give the metrics for, group by group.
    """
    outcomes = Counter(result.outcome for result in results)
    total = sum(usage.values(), Usage())
    return {
        "kind": "rollout",
        "status": status,
        "counts": {
            "planned": planned,
            "finished": len(results),
            "outcomes": {outcome: outcomes[outcome] for outcome in sorted(outcomes)},
        },
        "funnel": {},
        "metrics": summarize_metrics(results, metrics, cluster_by=cluster_by),
        "breakdown": {
            field: {
                name: {
                    group: figures.as_dict()
                    for group, figures in breakdown(results, name, field, cluster_by=cluster_by).items()
                }
                for name in metrics
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
