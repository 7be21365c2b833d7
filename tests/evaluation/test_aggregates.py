"""Aggregates and figures in whole rollouts: what the summary says, and what it says where nothing is defined."""

from __future__ import annotations

import json

import anyio.to_thread
import pytest

from agentflow_core.config import PluginChoice
from agentflow_core.errors import ConfigError, UnknownNameError, UsageError
from agentflow_core.evaluation.scoring import NamedAggregate, build_scoring, score_tasks
from agentflow_core.evaluation.summary import summarize_results
from agentflow_core.metrics.attempts import AttemptsConfig, PassAtK
from agentflow_core.records import Score, TaskResult
from agentflow_core.testing.openai_server import OpenAIServer


def result(task, sample, value, outcome="answered", **metadata):
    scores = {} if value is None else {"m": Score(value=value)}
    return TaskResult(task_id=task, sample=sample, outcome=outcome, scores=scores, metadata=metadata)


def pass_at(k, name="pass_at_k"):
    return NamedAggregate(name=name, aggregate=PassAtK(AttemptsConfig(k=k, metric="m")))


def test_a_task_is_scored_by_all_its_samples_a_crash_is_one_that_did_not_pass():
    results = [
        result("a", 0, 1.0),
        result("b", 0, 0.0),
        result("a", 1, None, outcome="error:timeout"),
        result("b", 1, 0.0, outcome="limit:turns"),
        result("c", 0, None, outcome="error:x"),
        result("c", 1, None, outcome="error:x"),
    ]
    a, b, c = score_tasks(results, pass_at(1))
    assert (a.scores["pass_at_k"].value, a.scores["pass_at_k"].reason) == (0.5, "1 of 2 samples pass")
    assert (b.outcome, b.scores["pass_at_k"].value) == ("limit:turns", 0)
    assert (c.outcome, c.scores["pass_at_k"].value) == ("error:x", 0)
    summary = summarize_results(
        results, ["pass_at_k"], status="complete", planned=6, usage={}, versions={}, aggregates=[pass_at(1)]
    )
    figures = summary["metrics"]["pass_at_k"]
    assert [figures[key] for key in ("mean", "mean_graded", "attempted", "graded", "errored", "limited", "ungraded")] == [
        pytest.approx(1 / 6), 0.25, 3, 2, 1, 1, 0,
    ]  # fmt: skip


def test_an_ungraded_sample_is_left_out_so_that_too_few_may_be_left():
    ungraded = TaskResult(task_id="a", sample=1, scores={"m": Score(value=0, graded=False)})
    (task,) = score_tasks([result("a", 0, 1.0), ungraded], pass_at(2))
    assert (task.scores["pass_at_k"].graded, task.outcome) == (False, "answered")


def test_what_is_undefined_has_no_mean_and_is_warned_of():
    results = [result("a", 0, 1.0), result("a", 1, 0.0), result("b", 0, 1.0)]
    summary = summarize_results(
        results, ["pass_at_k"], status="complete", planned=3, usage={}, versions={}, aggregates=[pass_at(2)]
    )
    assert summary["warnings"] == [
        "pass_at_k says nothing of 1 of 2 tasks: not defined for k = 2 with 1 graded samples of a task"
    ]
    assert (summary["metrics"]["pass_at_k"]["mean"], summary["metrics"]["pass_at_k"]["ungraded"]) == (1.0, 1)
    none = summarize_results(
        results, ["pass_at_k"], status="complete", planned=3, usage={}, versions={}, aggregates=[pass_at(9)]
    )
    assert (none["metrics"]["pass_at_k"]["mean"], none["metrics"]["pass_at_k"]["ci95"]) == (None, None)


def test_intervals_of_aggregates_resample_the_clusters_of_their_tasks():
    results = [
        result(str(at), sample, float(at < 10), book="x" if at < 10 else "y") for at in range(20) for sample in (0, 1)
    ]
    given = {"status": "complete", "planned": 40, "usage": {}, "versions": {}, "aggregates": [pass_at(2)]}
    alone = summarize_results(results, ["pass_at_k"], **given)["metrics"]["pass_at_k"]
    books = summarize_results(results, ["pass_at_k"], cluster_by="book", **given)["metrics"]["pass_at_k"]
    assert books["stderr"] > 3 * alone["stderr"]
    assert books["ci95"] == [0.0, 1.0]


@pytest.mark.parametrize("give", [lambda scores: 1.0, lambda scores: scores[99]], ids=["number", "raises"])
def test_an_aggregate_that_fails_leaves_tasks_ungraded(give):
    give.metric = "m"
    (task,) = score_tasks([result("a", 0, 1.0)], NamedAggregate(name="x", aggregate=give))
    assert not task.scores["x"].graded
    assert task.scores["x"].reason.startswith("the aggregate failed: ")


# ---- what is chosen


def test_what_an_aggregate_counts_is_scored_too(plugin_host):
    scoring = build_scoring(plugin_host().registry, [PluginChoice("pass_at_k"), PluginChoice("tool_use")])
    assert [named.name for named in scoring.metrics] == ["tool_use", "exact_match"]
    assert (scoring.graded, scoring.described) == (("exact_match", "pass_at_k"), ("tool_use",))


def test_one_name_with_several_settings_is_told_apart_by_them(plugin_host):
    choices = [PluginChoice("pass_at_k", AttemptsConfig(k=k)) for k in (1, 3)]
    assert build_scoring(plugin_host().registry, choices).graded == ("exact_match", "pass_at_k", "pass_at_k[k=3]")
    with pytest.raises(UsageError, match="chosen twice with the same settings"):
        build_scoring(plugin_host().registry, [PluginChoice("f1_score"), PluginChoice("f1_score")])


@pytest.mark.parametrize(("counted", "error"), [("exact_mach", UnknownNameError), ("tool_use", UsageError)])
def test_an_aggregate_of_what_gives_no_score_is_refused(plugin_host, counted, error):
    with pytest.raises(error):
        build_scoring(plugin_host().registry, [PluginChoice("pass_at_k", AttemptsConfig(metric=counted))])


# ---- whole runs

METRICS = ["exact_match", {"pass_at_k": {"k": 3, "metric": "exact_match", "threshold": 0.5}}, "tool_use"]


async def test_a_run_with_enough_samples_has_pass_at_k_and_figures(quiz):
    finished = await quiz.run(rollout={"samples": 3}, metrics=METRICS, breakdown=["area"])
    metrics = finished.summary["metrics"]
    assert {name: (one["mean"], one["attempted"]) for name, one in metrics.items()} == {
        "exact_match": (pytest.approx(2 / 3), 9),
        "pass_at_k": (pytest.approx(2 / 3), 3),
    }
    assert "warnings" not in finished.summary
    groups = finished.summary["breakdown"]["area"]["pass_at_k"]
    assert {name: group["mean"] for name, group in groups.items()} == {"north": 0.5, "west": 1.0}
    figures = finished.summary["figures"]["tool_use"]
    assert list(figures) == ["turns", "calls", "distinct_tools", "errors"]
    assert figures["calls"] == {"mean": 1.0, "stderr": 0.0, "ci95": [1.0, 1.0], "samples": 9}
    line = quiz.lines("results.jsonl")[0]["scores"]
    assert list(line["exact_match"]) == ["value", "graded", "reason"]
    assert (line["tool_use"]["graded"], line["tool_use"]["figures"]["calls"]) == (False, 1.0)
    assert "pass_at_k" not in line


async def test_a_run_with_too_few_samples_says_so(quiz):
    finished = await quiz.run(metrics=METRICS)
    assert finished.summary["metrics"]["pass_at_k"]["mean"] is None
    assert finished.summary["warnings"] == [
        "pass_at_k says nothing of 3 of 3 tasks: not defined for k = 3 with 1 graded samples of a task"
    ]
    page = (quiz.dir / "summary.md").read_text("utf-8")
    assert "says nothing of 3 of 3 tasks" in page
    assert "tool_use.calls" in page


async def test_settings_of_aggregates_are_checked(quiz):
    with pytest.raises(ConfigError, match=r"metrics\.0\.pass_at_k\.k"):
        await quiz.run(metrics=[{"pass_at_k": {"k": 0}}])


async def test_a_run_is_scored_again_by_aggregates_with_settings(quiz, cli):
    await quiz.run(rollout={"samples": 2}, metrics=[])
    again = ["score", quiz.dir, "--metric", "{pass_hat_k: {k: 2, metric: f1_score}}", "--metric", "tool_use", "--json"]
    ran = await anyio.to_thread.run_sync(cli, *again)
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert {name: one["attempted"] for name, one in summary["metrics"].items()} == {"f1_score": 6, "pass_hat_k": 3}
    assert summary["figures"]["tool_use"]["turns"]["mean"] == 2.0
    assert set(quiz.lines("scores.jsonl")[0]["scores"]) == {"f1_score", "tool_use"}


# ---- embeddings


async def test_similarity_by_embeddings_needs_an_embedding_model(quiz):
    with pytest.raises(UsageError, match="the metric 'similarity' compares by embeddings, and no model gives them"):
        await quiz.run(metrics=[{"similarity": {"by": "embeddings"}}])
    assert quiz.purposes() == []


async def test_similarity_by_embeddings_is_scored_once_and_its_use_is_counted(quiz):
    with OpenAIServer() as server:
        roles = {"embedder": {"provider": "openai", "name": "e-1", "base_url": server.url}}
        config = {"metrics": [{"similarity": {"by": "embeddings"}}], "roles": roles}
        finished = await quiz.run(**config)
        again = await quiz.run(**config)
        assert server.calls == 3
    assert 0.6 < finished.summary["metrics"]["similarity"]["mean"] < 1
    assert finished.summary["usage"]["by_role"]["embedder"]["calls"] == 3
    assert again.summary == finished.summary
    assert quiz.lines("results.jsonl")[0]["scores"]["similarity"]["value"] == pytest.approx(1.0)
