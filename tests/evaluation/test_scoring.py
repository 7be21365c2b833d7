"""Scoring: metrics by name, a metric that fails, and what the judge used."""

from __future__ import annotations

import pytest

from agentflow_core.config import PluginChoice
from agentflow_core.contributions import MetricSpec
from agentflow_core.errors import AuthenticationError, LimitReached, ReplayMissError, UnknownNameError
from agentflow_core.evaluation.scoring import NamedMetric, Tally, build_scoring, sample_of, score_sample
from agentflow_core.interfaces import MetricContext
from agentflow_core.records import ModelRequest, Score, Task, TaskResult, Trajectory, Usage, user
from agentflow_core.testing.models import ScriptedModel, says

SAMPLE = sample_of(
    TaskResult(task_id="t", question="Where?", answer="Bern", references=("Bern", "Berne")),
    None,
    Task(id="t", question="Where?", references=("Bern", "Berne")),
)


def named(name: str, score) -> NamedMetric:
    """A metric that is this function."""

    class Metric:
        async def score(self, sample, context):
            return score(sample)

    return NamedMetric(name=name, metric=Metric(), spec=MetricSpec(name, target="x:Y", summary="s"))


def raising(error: Exception):
    def score(sample):
        raise error

    return score


def test_metrics_are_built_by_name_with_their_settings(plugin_host):
    registry = plugin_host().registry
    metrics = build_scoring(registry, [PluginChoice("exact_match"), PluginChoice("llm_judgement")]).metrics
    assert [metric.name for metric in metrics] == ["exact_match", "llm_judgement"]
    assert [metric.is_pure for metric in metrics] == [True, False]


def test_an_unknown_metric_comes_with_a_suggestion(plugin_host):
    with pytest.raises(UnknownNameError, match=r"did you mean 'exact_match'\?"):
        build_scoring(plugin_host().registry, [PluginChoice("exact_mach")])


async def test_a_sample_has_a_score_of_each_metric(plugin_host):
    metrics = build_scoring(plugin_host().registry, [PluginChoice("exact_match"), PluginChoice("f1_score")]).metrics
    scores = await score_sample(SAMPLE, metrics, MetricContext())
    assert {name: score.value for name, score in scores.items()} == {"exact_match": 1.0, "f1_score": 1.0}


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (raising(ValueError("no number")), "the metric failed: ValueError: no number"),
        (lambda _: 0.5, "the metric failed: TypeError: it returned a float, not a Score"),
        (lambda _: None, "the metric failed: TypeError: it returned a NoneType, not a Score"),
    ],
    ids=["raises", "number", "nothing"],
)
async def test_a_metric_that_fails_leaves_the_sample_ungraded_by_it_alone(score, reason):
    metrics = [named("bad", score), named("good", lambda sample: Score(value=len(sample.references)))]
    scores = await score_sample(SAMPLE, metrics, MetricContext())
    assert scores == {"bad": Score(value=0.0, graded=False, reason=reason), "good": Score(value=2)}


@pytest.mark.parametrize(
    "error", [AuthenticationError("key"), ReplayMissError("miss"), LimitReached("usd", "spent")], ids=type
)
async def test_what_concerns_every_sample_is_raised(error):
    with pytest.raises(type(error)):
        await score_sample(SAMPLE, [named("judge", raising(error))], MetricContext())


def test_a_stored_result_is_a_sample_again():
    result = TaskResult(task_id="t", sample=2, question="?", answer=None, outcome="limit:turns", references=("x",))
    trajectory = Trajectory(id="t#2", task_id="t", sample=2, end_state={"vm": {"file:a": None}})
    task = Task(id="t", question="?", references=("x",), kwargs={"k": 1}, end_state={"vm": {"file:a": None}})
    sample = sample_of(result, trajectory, task)
    assert (sample.prediction, sample.sample, sample.outcome) == (None, 2, "limit:turns")
    assert sample.end_state == {"vm": {"file:a": None}}
    assert sample.task is task


async def test_a_tally_adds_up_what_answers_used_and_leaves_the_model_open():
    model = ScriptedModel([says("a", usage=Usage(calls=1, prompt_tokens=3)), says("b", usage=Usage(calls=1))], name="m")
    tally = Tally(model)
    request = ModelRequest(messages=(user("?"),))
    assert tally.name == "m"
    assert [(await tally.complete(request)).text for _ in range(2)] == ["a", "b"]
    assert tally.usage == Usage(calls=2, prompt_tokens=3)
    await tally.aclose()
    assert not model.closed
