"""Sum scores up: means with errors counted, standard error, bootstrap interval, breakdowns, paired differences."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import asdict, evolve, frozen

from agentflow_core.records import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentflow_core.records import TaskResult

__all__ = [
    "Difference",
    "MetricSummary",
    "breakdown",
    "describe",
    "figure_results",
    "paired_difference",
    "pooled_difference",
    "sample_score",
    "summarize",
    "summarize_metrics",
    "summarize_pooled",
]

T = TypeVar("T")

_RESAMPLES = 1000


@frozen(kw_only=True)
class MetricSummary:
    """One metric over all samples.

    Every attempted sample is one of: *errored* (its outcome is ``error:…``), *ungraded* (it ended, and the metric could
    not judge it or gave nothing), *graded*. ``limited`` counts the outcomes ``limit:…``, which are scored like others.
    """

    mean: (
        float | None
    )  #: sum of the graded scores / (graded + errored): a crash counts 0, an ungraded sample is left out
    mean_graded: float | None  #: sum of the graded scores / graded
    stderr: float | None  #: of ``mean``, robust to clusters; None with fewer than two clusters
    ci95: (
        tuple[float, float] | None
    )  #: of ``mean``: 2.5 and 97.5 percentiles of a bootstrap over clusters; None likewise
    attempted: int
    graded: int
    ungraded: int
    errored: int
    limited: int

    def as_dict(self) -> dict[str, Any]:
        """As ``summary.json`` has it."""
        values = asdict(self)
        values["ci95"] = None if self.ci95 is None else list(self.ci95)
        return values


@frozen(kw_only=True)
class Difference:
    """How the mean (or another figure) of B differs from that of A over the samples that both have."""

    mean: float | None  #: mean of B's value - A's value
    stderr: float | None  #: robust to clusters; None with fewer than two
    ci95: tuple[float, float] | None  #: 2.5 and 97.5 percentiles of a bootstrap over clusters of pairs; None likewise
    pairs: int
    better: int  #: pairs in which B is higher
    worse: int
    left: float | None = None  #: mean of A over the pairs
    right: float | None = None  #: mean of B over the pairs

    @property
    def equal(self) -> int:
        """Pairs without a difference."""
        return self.pairs - self.better - self.worse


def summarize(
    results: Iterable[TaskResult],
    metric: str,
    *,
    cluster_by: str | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> MetricSummary:
    """Sum one metric up.

    Args:
        results: the samples, in any order; the figures do not depend on it.
        metric: its name in ``scores``.
        cluster_by: the metadata field whose values say which samples depend on one another; a sample without it is
            its task's. Without it the samples of a task are a cluster.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    clusters: defaultdict[str, list[float]] = defaultdict(list)
    attempted = graded = errored = limited = 0
    total: list[float] = []
    for result in results:
        attempted += 1
        limited += result.outcome.startswith("limit:")
        value = _value(result, metric)
        if value is None:
            continue
        if _crashed(result):
            errored += 1
        else:
            graded += 1
            total.append(value)
        clusters[_cluster(result, cluster_by)].append(value)
    mean, stderr, interval = _estimate(clusters, seed, resamples)
    return MetricSummary(
        mean=mean,
        mean_graded=math.fsum(total) / graded if graded else None,
        stderr=stderr,
        ci95=interval,
        attempted=attempted,
        graded=graded,
        ungraded=attempted - graded - errored,
        errored=errored,
        limited=limited,
    )


def summarize_metrics(
    results: Sequence[TaskResult], metrics: Iterable[str], *, cluster_by: str | None = None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """`summarize` for each metric, as the ``metrics`` of ``summary.json``."""
    return {name: summarize(results, name, cluster_by=cluster_by, seed=seed).as_dict() for name in metrics}


def summarize_pooled(
    results: Iterable[TaskResult],
    metric: str,
    figure: Callable[[Sequence[Score]], Score],
    *,
    cluster_by: str | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> MetricSummary:
    """Sum up a figure that is no mean: of all samples at once; ``mean`` is the figure, None where it is not defined.

    Error and interval are those of a bootstrap over clusters; the counts are those of the metric.

    Args:
        results: the samples, in any order.
        metric: whose scores the figure is made of: a crash is a graded 0, ungraded ones are left out.
        figure: from scores.
        cluster_by: as `summarize` has it.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    results = list(results)
    clusters: defaultdict[str, list[Score]] = defaultdict(list)
    for result in sorted(results, key=lambda result: (result.task_id, result.sample)):
        if (score := sample_score(result, metric)) is not None:
            clusters[_cluster(result, cluster_by)].append(score)
    groups = [clusters[name] for name in sorted(clusters)]
    ended = [score for result in results if not _crashed(result) and (score := sample_score(result, metric))]
    stderr, interval = _bootstrapped(groups, partial(_figure, figure), seed, resamples)
    return evolve(
        summarize(results, metric, cluster_by=cluster_by, resamples=0),
        mean=_figure(figure, groups),
        mean_graded=_figure(figure, [ended]),
        stderr=stderr,
        ci95=interval,
    )


def _figure(figure: Callable[[Sequence[Score]], Score], groups: Iterable[Sequence[Score]]) -> float | None:
    found = figure([score for group in groups for score in group])
    return found.value if found.graded else None


def sample_score(result: TaskResult, metric: str) -> Score | None:
    """What a sample gives an aggregate: 0 for a crash, None where it is not graded."""
    if _crashed(result):
        return Score(value=0.0, reason=result.outcome)
    score = result.scores.get(metric)
    return score if score is not None and score.graded else None


def breakdown(
    results: Iterable[TaskResult], by: str, summary: Callable[[Sequence[TaskResult]], MetricSummary]
) -> dict[str, MetricSummary]:
    """The summary of the samples of each value of a metadata field, by value, sorted.

    A list counts for each of its elements; samples without the field stand under ``(none)``.
    """
    groups: defaultdict[str, list[TaskResult]] = defaultdict(list)
    for result in results:
        value = result.metadata.get(by)
        for name in value if isinstance(value, list | tuple) and value else (value,):
            groups["(none)" if name is None or name == () or name == [] else str(name)].append(result)
    return {name: summary(groups[name]) for name in sorted(groups)}


def figure_results(results: Iterable[TaskResult], metric: str) -> list[TaskResult]:
    """The samples that a metric described, with each of its figures as a score: ``calls`` as ``tool_use.calls``.

    A crash does not count as 0 here: what a sample did before it is what it did.
    """
    return [
        evolve(
            result,
            outcome="answered",
            scores={f"{metric}.{name}": Score(value=value) for name, value in score.figures.items()},
        )
        for result in results
        if (score := result.scores.get(metric)) is not None and score.figures
    ]


def describe(
    results: Iterable[TaskResult], metric: str, *, cluster_by: str | None = None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """The figures of a metric that describes: by name ``{mean, stderr, ci95, samples}`` over the samples that have it."""
    expanded = figure_results(results, metric)
    found: dict[str, dict[str, Any]] = {}
    for label in dict.fromkeys(label for result in expanded for label in result.scores):
        one = summarize(expanded, label, cluster_by=cluster_by, seed=seed).as_dict()
        name = label.removeprefix(f"{metric}.")
        found[name] = {key: one[key] for key in ("mean", "stderr", "ci95")} | {"samples": one["graded"]}
    return found


def paired_difference(
    left: Iterable[TaskResult],
    right: Iterable[TaskResult],
    metric: str,
    *,
    cluster_by: str | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Difference:
    """How much better ``right`` is, over the samples (task and number) for which both have a value; a crash is 0."""
    before = {(result.task_id, result.sample): _value(result, metric) for result in left}
    clusters: defaultdict[str, list[float]] = defaultdict(list)
    ones: list[float] = []
    others: list[float] = []
    for result in right:
        one, other = before.get((result.task_id, result.sample)), _value(result, metric)
        if one is not None and other is not None:
            clusters[_cluster(result, cluster_by)].append(other - one)
            ones.append(one)
            others.append(other)
    differences = [value for values in clusters.values() for value in values]
    mean, stderr, interval = _estimate(clusters, seed, resamples)
    return Difference(
        mean=mean,
        stderr=stderr,
        ci95=interval,
        pairs=len(differences),
        better=sum(value > 0 for value in differences),
        worse=sum(value < 0 for value in differences),
        left=math.fsum(ones) / len(ones) if ones else None,
        right=math.fsum(others) / len(others) if others else None,
    )


def pooled_difference(
    left: Iterable[TaskResult],
    right: Iterable[TaskResult],
    metric: str,
    figure: Callable[[Sequence[Score]], Score],
    *,
    cluster_by: str | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Difference:
    """How much higher a figure of all samples at once is for ``right``, over the samples for which both have a score.

    ``better`` and ``worse`` count pairs by the scores that the figure is made of; see `summarize_pooled` for the rest.
    """
    before = {(result.task_id, result.sample): sample_score(result, metric) for result in left}
    clusters: defaultdict[str, list[tuple[Score, Score]]] = defaultdict(list)
    for result in sorted(right, key=lambda result: (result.task_id, result.sample)):
        one, other = before.get((result.task_id, result.sample)), sample_score(result, metric)
        if one is not None and other is not None:
            clusters[_cluster(result, cluster_by)].append((one, other))
    groups = [clusters[name] for name in sorted(clusters)]
    pairs = [pair for group in groups for pair in group]
    stderr, interval = _bootstrapped(groups, partial(_figure_difference, figure), seed, resamples)
    return Difference(
        mean=_figure_difference(figure, groups),
        stderr=stderr,
        ci95=interval,
        pairs=len(pairs),
        better=sum(other.value > one.value for one, other in pairs),
        worse=sum(other.value < one.value for one, other in pairs),
        left=_figure(figure, [[one for one, _ in pairs]]),
        right=_figure(figure, [[other for _, other in pairs]]),
    )


def _figure_difference(
    figure: Callable[[Sequence[Score]], Score], groups: Sequence[Sequence[tuple[Score, Score]]]
) -> float | None:
    one = _figure(figure, [[pair[0] for pair in group] for group in groups])
    other = _figure(figure, [[pair[1] for pair in group] for group in groups])
    return None if one is None or other is None else other - one


def _bootstrapped(
    groups: Sequence[T], value_of: Callable[[Sequence[T]], float | None], seed: int, resamples: int
) -> tuple[float | None, tuple[float, float] | None]:
    """Standard error and percentile interval of a value over resampled groups; None with fewer than two, or no value."""
    rng = Random(seed)
    drawn = (value_of(rng.choices(groups, k=len(groups))) for _ in range(resamples if len(groups) > 1 else 0))
    values = sorted(value for value in drawn if value is not None)
    if not values:
        return None, None
    mean = math.fsum(values) / len(values)
    stderr = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    return stderr, (_percentile(values, 0.025), _percentile(values, 0.975))


def _crashed(result: TaskResult) -> bool:
    return result.outcome.startswith("error:")


def _value(result: TaskResult, metric: str) -> float | None:
    """What the sample counts: 0 for a crash, None if it is not graded."""
    score = sample_score(result, metric)
    return None if score is None else score.value


def _cluster(result: TaskResult, cluster_by: str | None) -> str:
    value = result.metadata.get(cluster_by) if cluster_by else None
    return f"task {result.task_id}" if value is None else f"{cluster_by} {value}"


def _estimate(
    clusters: Mapping[str, Sequence[float]], seed: int, resamples: int
) -> tuple[float | None, float | None, tuple[float, float] | None]:
    """Mean, cluster-robust standard error and percentile interval."""
    # in the order of their names and values, so that nothing depends on the order in which samples ended
    groups = [sorted(clusters[name]) for name in sorted(clusters)]
    sums, sizes = [math.fsum(group) for group in groups], [len(group) for group in groups]
    count = len(groups)
    total = sum(sizes)
    if not total:
        return None, None, None
    mean = math.fsum(sums) / total
    if count < 2:
        return mean, None, None
    residuals = math.fsum((added - size * mean) ** 2 for added, size in zip(sums, sizes, strict=True))
    stderr = math.sqrt(count / (count - 1) * residuals) / total
    if not resamples:
        return mean, stderr, None
    rng = Random(seed)
    # summed exactly: what plain sums give differs from one version of Python to the next
    if len(set(sizes)) == 1:
        means = sorted(math.fsum(rng.choices(sums, k=count)) / total for _ in range(resamples))
    else:
        means = sorted(_resampled(sums, sizes, rng) for _ in range(resamples))
    return mean, stderr, (_percentile(means, 0.025), _percentile(means, 0.975))


def _resampled(sums: Sequence[float], sizes: Sequence[int], rng: Random) -> float:
    drawn = rng.choices(range(len(sums)), k=len(sums))
    return math.fsum(map(sums.__getitem__, drawn)) / sum(map(sizes.__getitem__, drawn))


def _percentile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
