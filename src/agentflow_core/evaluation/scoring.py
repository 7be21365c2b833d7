"""Score finished samples with named metrics, and sum the scores up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve, fields, frozen, has

from agentflow_core.contributions import MetricSpec
from agentflow_core.errors import AuthenticationError, LimitReached, ReplayMissError, UsageError
from agentflow_core.interfaces import Aggregate, ChatModel, Metric, MetricContext, ScoredSample
from agentflow_core.metrics.aggregates import sample_score
from agentflow_core.records import Completion, ModelRequest, Score, Task, TaskResult, Trajectory, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentflow_core.config import PluginChoice
    from agentflow_core.models import ModelsConfig
    from agentflow_core.plugins import Registry

__all__ = [
    "NamedAggregate",
    "NamedMetric",
    "Scoring",
    "Tally",
    "build_aggregates",
    "build_scoring",
    "check_embedder",
    "sample_of",
    "score_sample",
    "score_tasks",
]


@frozen(kw_only=True)
class NamedMetric:
    """A metric with the name that its scores stand under, and what it needs."""

    name: str
    metric: Metric
    spec: MetricSpec

    @property
    def needs(self) -> str:
        """What it needs: what the metric says itself, else what its spec does."""
        return str(getattr(self.metric, "needs", self.spec.needs))

    @property
    def is_pure(self) -> bool:
        """Whether it scores a sample from the sample alone, so that its scores are derived and never journaled."""
        return self.needs == "nothing"


@frozen(kw_only=True)
class NamedAggregate:
    """An aggregate with the name that the summary has it under."""

    name: str
    aggregate: Aggregate

    @property
    def is_pooled(self) -> bool:
        """Whether it is a figure of all samples, and none of a task."""
        return bool(getattr(self.aggregate, "pooled", False))

    def over(self, scores: Sequence[Score]) -> Score:
        """What it says of the scores; ungraded, with the reason, where it raises or returns no score."""
        try:
            found = self.aggregate(scores)
            if not isinstance(found, Score):
                raise TypeError(f"it returned a {type(found).__name__}, not a Score")
        except Exception as error:  # noqa: BLE001 - plugin boundary: an aggregate may raise anything
            return Score(value=0.0, graded=False, reason=f"the aggregate failed: {type(error).__name__}: {error}")
        return found


@frozen(kw_only=True)
class Scoring:
    """What a run scores by."""

    metrics: tuple[NamedMetric, ...] = ()  #: of samples
    aggregates: tuple[NamedAggregate, ...] = ()  #: of tasks, over the scores of those metrics

    @property
    def graded(self) -> tuple[str, ...]:
        """The names that have a mean: of metrics that grade, then of aggregates."""
        graded = (named.name for named in self.metrics if named.spec.gives == "score")
        return (*graded, *(named.name for named in self.aggregates))

    @property
    def described(self) -> tuple[str, ...]:
        """The names of the metrics that describe."""
        return tuple(named.name for named in self.metrics if named.spec.gives == "figures")

    @property
    def needs_embedder(self) -> bool:
        """Whether a metric asks an embedding model."""
        return any(named.needs == "embedder" for named in self.metrics)


def build_scoring(registry: Registry, choices: Sequence[PluginChoice]) -> Scoring:
    """The chosen metrics and aggregates, each built with its settings.

    What an aggregate counts is scored too, whether or not it is chosen. A name that is chosen more than once is told
    apart by the settings: ``pass_at_k[k=3]``.

    Raises:
        UnknownNameError: a name that nothing provides, or an aggregate counts something that is no graded metric.
        UsageError: a metric is chosen twice with the same settings.
    """
    metrics: dict[str, NamedMetric] = {}
    for name, choice in zip(_labels(choices), choices, strict=True):
        entry = registry.get("metric", choice.name)
        spec = cast("MetricSpec", entry.spec)
        if spec.gives != "aggregate":
            made = cast("Metric", entry.build(choice.settings))
            metrics[name] = NamedMetric(name=name, metric=made, spec=spec)
    aggregates = build_aggregates(registry, choices)
    for named in aggregates:
        counted = named.aggregate.metric
        if counted not in metrics:
            entry = registry.get("metric", counted)
            spec = cast("MetricSpec", entry.spec)
            metrics[counted] = NamedMetric(name=counted, metric=cast("Metric", entry.build()), spec=spec)
        if metrics[counted].spec.gives != "score":
            raise UsageError(f"{named.name} counts the scores of {counted!r}, which gives none to a sample")
    return Scoring(metrics=tuple(metrics.values()), aggregates=aggregates)


def build_aggregates(registry: Registry, choices: Sequence[PluginChoice]) -> tuple[NamedAggregate, ...]:
    """The aggregates among the choices, named as `build_scoring` names them; what they count need not be installed."""
    made = []
    for name, choice in zip(_labels(choices), choices, strict=True):
        entry = registry.get("metric", choice.name)
        if cast("MetricSpec", entry.spec).gives == "aggregate":
            made.append(NamedAggregate(name=name, aggregate=cast("Aggregate", entry.build(choice.settings))))
    return tuple(made)


def check_embedder(scoring: Scoring, config: ModelsConfig) -> None:
    """Raise `UsageError` if a metric asks an embedding model, and the configuration names none."""
    if scoring.needs_embedder and "embedder" not in config.roles:
        asking = next(named.name for named in scoring.metrics if named.needs == "embedder")
        raise UsageError(
            f"the metric {asking!r} compares by embeddings, and no model gives them",
            hint="name one: roles: {embedder: openai/text-embedding-3-small}",
        )


def _labels(choices: Sequence[PluginChoice]) -> list[str]:
    """The name of each choice, with its settings where the name alone stands more than once."""
    often = Counter(choice.name for choice in choices)
    labels = [choice.name if often[choice.name] == 1 else _labelled(choice) for choice in choices]
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise UsageError(f"the metric {twice[0]!r} is chosen twice with the same settings")
    return labels


def _labelled(choice: PluginChoice) -> str:
    """``name[setting=value]`` of the settings that are not the defaults."""
    settings: Any = choice.settings
    if settings is None or not has(type(settings)):
        given = dict(settings) if isinstance(settings, Mapping) else {}
    else:
        given = {
            item.name: getattr(settings, item.name)
            for item in fields(type(settings))
            if getattr(settings, item.name) != item.default
        }
    shown = ", ".join(f"{name}={value}" for name, value in given.items())
    return f"{choice.name}[{shown}]" if shown else choice.name


def sample_of(result: TaskResult, trajectory: Trajectory | None, task: Task) -> ScoredSample:
    """A stored result as metrics see it."""
    return ScoredSample(
        task=task,
        prediction=result.answer,
        references=result.references,
        outcome=result.outcome,
        sample=result.sample,
        trajectory=trajectory,
        end_state=trajectory.end_state if trajectory else {},
    )


async def score_sample(
    sample: ScoredSample, metrics: Sequence[NamedMetric], context: MetricContext
) -> Mapping[str, Score]:
    """The sample's score by each metric. A metric that raises, or returns no score, leaves it ungraded with the reason.

    Raises:
        AuthenticationError, ReplayMissError, LimitReached: the judge cannot answer this or any other sample.
    """
    scores: dict[str, Score] = {}
    for named in metrics:
        try:
            score = await named.metric.score(sample, context)
            if not isinstance(score, Score):
                raise TypeError(f"it returned a {type(score).__name__}, not a Score")
            scores[named.name] = score
        except (AuthenticationError, ReplayMissError, LimitReached):
            raise
        except Exception as error:  # noqa: BLE001 - plugin boundary: a metric may raise anything
            reason = f"the metric failed: {type(error).__name__}: {error}"
            scores[named.name] = Score(value=0.0, graded=False, reason=reason)
    return scores


def score_tasks(results: Iterable[TaskResult], named: NamedAggregate) -> list[TaskResult]:
    """A result for each task, in the order of the first samples, with the task's score under the aggregate's name.

    Its outcome is an error where every sample of the task crashed, else a limit where one reached it. An aggregate
    that raises, or returns no score, leaves the task ungraded with the reason.
    """
    tasks: dict[str, list[TaskResult]] = {}
    for result in results:
        tasks.setdefault(result.task_id, []).append(result)
    return [_score_task(samples, named) for samples in tasks.values()]


def _score_task(samples: Sequence[TaskResult], named: NamedAggregate) -> TaskResult:
    ordered = sorted(samples, key=lambda result: result.sample)
    metric = named.aggregate.metric
    found = named.over([score for result in ordered if (score := sample_score(result, metric)) is not None])
    outcomes = [result.outcome for result in ordered]
    crashed = found.graded and all(outcome.startswith("error:") for outcome in outcomes)
    limited = next((outcome for outcome in outcomes if outcome.startswith("limit:")), "answered")
    return evolve(ordered[0], sample=0, outcome=outcomes[0] if crashed else limited, scores={named.name: found})


class Tally:
    """A chat model that adds up what the answers of another one used."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.usage = Usage()

    @property
    def name(self) -> str:
        """The name of the model behind it."""
        return self._model.name

    async def complete(self, request: ModelRequest) -> Completion:
        """The other model's answer; see `ChatModel.complete`."""
        completion = await self._model.complete(request)
        self.usage += completion.usage
        return completion

    async def aclose(self) -> None:
        """Nothing: who opened the model closes it."""
