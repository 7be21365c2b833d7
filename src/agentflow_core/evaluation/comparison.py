"""Compare two rollouts of one benchmark, sample by sample; nothing runs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, frozen

from agentflow_core.config import PluginChoice, load_config, option
from agentflow_core.errors import UsageError
from agentflow_core.evaluation.scoring import build_aggregates, score_tasks
from agentflow_core.metrics.aggregates import Difference, figure_results, paired_difference, pooled_difference
from agentflow_core.names import unknown_name
from agentflow_core.records import Score, TaskResult
from agentflow_core.records.codec import load
from agentflow_core.runs import RunReader

if TYPE_CHECKING:
    from agentflow_core.evaluation.scoring import NamedAggregate
    from agentflow_core.plugins import Registry

__all__ = ["Comparison", "compare_runs"]

_Key = tuple[str, int]
_SHOWN = 3


@frozen(kw_only=True)
class Comparison:
    """How run B (``right``) differs from run A (``left``), over what both have."""

    left: str
    right: str
    tasks: int  #: that both have
    pairs: int  #: samples that both have, by task and number
    only_left: tuple[str, ...]  #: samples that only A has, as ``task#number``
    only_right: tuple[str, ...]
    changed_references: tuple[str, ...]  #: tasks whose references differ, so that a score may differ for that alone
    cluster_by: str | None  #: the metadata field whose groups the intervals resample; None: the tasks
    metrics: Mapping[str, Difference]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        metrics = {name: asdict(one) | {"equal": one.equal} for name, one in self.metrics.items()}
        return asdict(self, recurse=False) | {"metrics": metrics}


def compare_runs(
    left: Path, right: Path, registry: Registry, *, metrics: Sequence[str] = (), cluster_by: str | None = None
) -> Comparison:
    """Pair the samples of two rollouts by task and number.

    Args:
        left: run A.
        right: run B.
        registry: where the aggregates of the runs are looked up.
        metrics: what to compare: a metric, a figure such as ``tool_use.calls``, or an aggregate of both runs, such as
            ``pass_at_k``, which is paired by task, or ``mmlongbench_f1``, a figure of all samples. Default: all that both
            have.
        cluster_by: a metadata field whose groups the intervals resample; default: that of the runs' configurations,
            where they agree.

    Raises:
        UsageError: one of them is no rollout, they are of different benchmarks, or a metric is missing in one.
        UnknownNameError: a metric that neither has.
    """
    before, after = _Side.read(left), _Side.read(right)
    tasks = _common_tasks(before, after)
    aggregates = _aggregates(before.document, after.document, registry)
    known = [name for name in before.values if name in after.values]
    chosen = metrics or [*known, *aggregates]
    for name in chosen:
        if name not in known and name not in aggregates:
            raise _missing(name, before, after, [*known, *aggregates])
    cluster_by = cluster_by or (before.cluster_by if before.cluster_by == after.cluster_by else None)
    differences = {
        name: _difference(before, after, name, aggregates.get(name), cluster_by=cluster_by) for name in chosen
    }
    references = {task: result.references for task, result in before.tasks.items()}
    return Comparison(
        left=str(left),
        right=str(right),
        tasks=len(tasks),
        pairs=len(before.keys.keys() & after.keys.keys()),
        only_left=tuple(f"{task}#{sample}" for task, sample in before.keys if (task, sample) not in after.keys),
        only_right=tuple(f"{task}#{sample}" for task, sample in after.keys if (task, sample) not in before.keys),
        changed_references=tuple(task for task in tasks if references[task] != after.tasks[task].references),
        cluster_by=cluster_by,
        metrics=differences,
    )


def _difference(
    before: _Side, after: _Side, name: str, aggregate: NamedAggregate | None, *, cluster_by: str | None
) -> Difference:
    if aggregate is None:
        return paired_difference(before.values[name], after.values[name], name, cluster_by=cluster_by)
    if aggregate.is_pooled:
        counted = aggregate.aggregate.metric
        return pooled_difference(before.results, after.results, counted, aggregate.over, cluster_by=cluster_by)
    one, other = score_tasks(before.results, aggregate), score_tasks(after.results, aggregate)
    return paired_difference(one, other, name, cluster_by=cluster_by)


@frozen(kw_only=True)
class _Side:
    """One of the two runs."""

    dir: Path
    results: Sequence[TaskResult]
    document: Mapping[str, Any]  #: the configuration
    values: Mapping[str, Sequence[TaskResult]]  #: by name of a metric or figure: the samples with their scores
    tasks: Mapping[str, TaskResult]  #: the first sample of each task
    keys: Mapping[_Key, None]

    @property
    def cluster_by(self) -> str | None:
        value = self.document.get("cluster_by")
        return value if isinstance(value, str) else None

    @classmethod
    def read(cls, directory: Path) -> _Side:
        reader = RunReader(directory)
        if reader.kind != "rollout":
            raise UsageError(f"{directory} holds a run of kind {reader.kind!r}; only rollouts are compared")
        later = {
            (line["task_id"], line["sample"]): {name: load(Score, score) for name, score in line["scores"].items()}
            for line in reader.lines("scores.jsonl")
        }
        results = [
            evolve(result, scores={**result.scores, **later.get((result.task_id, result.sample), {})})
            for result in reader.results()
        ]
        names = dict.fromkeys(name for result in results for name in result.scores)
        values: dict[str, Sequence[TaskResult]] = {}
        for name in names:
            described = figure_results(results, name)
            values.update(dict.fromkeys((label for one in described for label in one.scores), described))
            if not described:
                values[name] = results
        tasks: dict[str, TaskResult] = {}
        for result in results:
            tasks.setdefault(result.task_id, result)
        keys = dict.fromkeys((result.task_id, result.sample) for result in results)
        return cls(dir=directory, results=results, document=reader.config(), values=values, tasks=tasks, keys=keys)


def _common_tasks(before: _Side, after: _Side) -> list[str]:
    """The ids of the tasks that both have; raises `UsageError` where they are not of one benchmark."""
    common = [task for task in before.tasks if task in after.tasks]
    if not common:
        raise UsageError(
            f"{before.dir} and {after.dir} have no task in common ({_some(before.tasks)} and {_some(after.tasks)}): "
            "they are of different benchmarks"
        )
    for task in common:
        one, other = before.tasks[task].question, after.tasks[task].question
        if one != other:
            raise UsageError(
                f"{before.dir} and {after.dir} are of different benchmarks: task {task!r} asks {_cut(one)} in one and "
                f"{_cut(other)} in the other"
            )
    return common


def _some(tasks: Mapping[str, TaskResult]) -> str:
    names = list(tasks)
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "") if names else "none"


def _cut(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _missing(name: str, before: _Side, after: _Side, known: Sequence[str]) -> UsageError:
    for side, other in ((before, after), (after, before)):
        if name in other.values:
            hint = f"agentflow score {side.dir} --metric {name.partition('.')[0]}"
            return UsageError(f"{side.dir} has no scores of {name!r}, {other.dir} has", hint=hint)
    return unknown_name("metric", name, known)


@frozen(kw_only=True)
class _Chosen:
    """The part of a run's configuration that says what it scores by."""

    metrics: tuple[PluginChoice, ...] = option((), help="how answers are scored", plugin="metric")


def _aggregates(before: Mapping[str, Any], after: Mapping[str, Any], registry: Registry) -> dict[str, NamedAggregate]:
    """The aggregates that both configurations have with equal settings, as far as they are installed."""
    installed = {
        entry.spec.name for entry in registry.entries("metric") if getattr(entry.spec, "gives", "") == "aggregate"
    }
    other = after.get("metrics") or []
    common = [one for one in before.get("metrics") or [] if one in other and _name(one) in installed]
    choices = load_config(_Chosen, {"metrics": common}, registry=registry).config.metrics
    return {named.name: named for named in build_aggregates(registry, choices)}


def _name(choice: object) -> str:
    return next(iter(choice), "") if isinstance(choice, Mapping) else str(choice)
