"""Score finished samples with named metrics, and sum the scores up."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import frozen

from agentflow_core.contributions import MetricSpec
from agentflow_core.errors import AuthenticationError, LimitReached, ReplayMissError
from agentflow_core.interfaces import ChatModel, Metric, MetricContext, ScoredSample
from agentflow_core.records import Completion, ModelRequest, Score, Task, TaskResult, Trajectory, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentflow_core.config import PluginChoice
    from agentflow_core.plugins import Registry

__all__ = ["NamedMetric", "Tally", "build_metrics", "sample_of", "score_sample"]


@frozen(kw_only=True)
class NamedMetric:
    """A metric with its name and what it needs."""

    name: str
    metric: Metric
    spec: MetricSpec

    @property
    def is_pure(self) -> bool:
        """Whether it scores a sample from the sample alone, so that its scores are derived and never journaled."""
        return self.spec.needs == "nothing"


def build_metrics(registry: Registry, choices: Sequence[PluginChoice]) -> tuple[NamedMetric, ...]:
    """The chosen metrics, each built with its settings. Raises `UnknownNameError` for a name that nothing provides."""
    made = []
    for choice in choices:
        entry = registry.get("metric", choice.name)
        spec = cast("MetricSpec", entry.spec)
        metric = cast("Metric", entry.build(choice.settings))
        made.append(NamedMetric(name=choice.name, metric=metric, spec=spec))
    return tuple(made)


def sample_of(result: TaskResult, trajectory: Trajectory | None, task: Task | None = None) -> ScoredSample:
    """A stored result as metrics see it."""
    return ScoredSample(
        task=task or Task(id=result.task_id, question=result.question, references=result.references),
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
